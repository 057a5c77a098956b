"""Trains a small Real NVP on scikit-learn's digits and writes samples to a PNG.

python examples/train_digits.py --epochs 20
"""

import argparse

import tfp_realnvp as nvp
from tfp_realnvp.data import load_images
from tfp_realnvp.figures import image_grid, sample_images, write_png


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--epochs", type=int, default=20)
    parser.add_argument("--output", default="digits.png")
    arguments = parser.parse_args()

    data = load_images("digits")
    model = nvp.FlowModel(nvp.image_flow("digits", seed=0), seed=0)
    model.compile()
    model.fit(
        data.training_batches(64, seed=0),
        steps_per_epoch=data.steps_per_epoch(64),
        validation_data=data.validation_batches(64),
        epochs=arguments.epochs,
    )
    samples = sample_images(model.flow, 64, seed=0)
    write_png(arguments.output, image_grid(samples, columns=8, scale=4))
    print(f"Wrote {arguments.output}.")


if __name__ == "__main__":
    main()
