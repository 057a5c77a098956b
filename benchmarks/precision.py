"""Compares networks in float32 with networks in bfloat16, trained alike.

    python benchmarks/precision.py --data-dir my/tfds --steps 400 --seeds 2

Trains the same flow from the same initial weights on the same batches in either
precision, in turns, and scores both on the same test images.
"""

import argparse
import time

import keras
import numpy as np

import tfp_realnvp as nvp
from tfp_realnvp.data import load_images
from tfp_realnvp.runs.callbacks import LearningRate, Throughput

PRECISIONS = ("float32", "mixed_bfloat16")


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--dataset", default="cifar10")
    parser.add_argument("--data-dir")
    parser.add_argument("--preset", default="cifar10-small")
    parser.add_argument("--batch-size", type=int, default=32)
    parser.add_argument("--steps", type=int, default=400)
    parser.add_argument("--seeds", type=int, default=2)
    parser.add_argument("--images", type=int, default=2000, help="to test on")
    arguments = parser.parse_args()

    data = load_images(arguments.dataset, data_dir=arguments.data_dir)
    scores = {precision: [] for precision in PRECISIONS}
    for seed in range(arguments.seeds):
        for precision in PRECISIONS:
            begin = time.monotonic()
            bits, speed = score(arguments, data, seed, precision)
            scores[precision].append(bits)
            print(
                f"seed {seed}, {precision}: {bits:.4f} bits/dim, {speed:.0f} images/s, "
                f"{time.monotonic() - begin:.0f} s in all",
                flush=True,
            )
    differences = np.subtract(*(scores[p] for p in reversed(PRECISIONS)))
    error = np.std(differences, ddof=1) / np.sqrt(len(differences))
    print(f"bfloat16 minus float32: {differences.mean():+.4f} +- {error:.4f} bits/dim")


def score(arguments, data, seed, precision):
    keras.utils.set_random_seed(seed)
    flow = nvp.image_flow(arguments.preset, network_dtype=precision, seed=seed)
    model = nvp.FlowModel(flow, seed=seed)
    model.compile()
    throughput = Throughput(arguments.batch_size)
    model.fit(
        data.training_batches(arguments.batch_size, seed=seed),
        steps_per_epoch=arguments.steps,
        callbacks=[LearningRate(1e-3, arguments.steps), throughput],
        verbose=0,
    )
    test = data.test_batches(100, limit=arguments.images)
    bits = model.evaluate(test, verbose=0, return_dict=True)["bits_per_dim"]
    return bits, throughput.images_per_second


if __name__ == "__main__":
    main()
