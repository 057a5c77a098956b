"""Trains the paper's flow on CelebA, or another of its data sets, and exports it.

    python examples/train_celeba.py --data-dir my/tfds
    python examples/train_celeba.py --dataset lsun_tower --data-dir my/lsun
    python examples/train_celeba.py --smoke

It trains on all GPUs of this machine, or on its CPU. Called again with the same
arguments, it continues where it was stopped. `--smoke` goes through all steps in a few
minutes on two CPU cores, with a small flow on made-up images. `tfp-realnvp train`,
`evaluate` and `export` do the same on the command line.
"""

import argparse

import numpy as np
import tensorflow as tf

import tfp_realnvp as nvp
from tfp_realnvp.data import ImageData, ImageSplit, load_images
from tfp_realnvp.flows import preset_for
from tfp_realnvp.runs import (
    RunConfig,
    RunDirectory,
    evaluate_run,
    make_strategy,
    recipe_of,
    train,
    write_report,
)

SMALL = {"num_scales": 1, "filters": 4, "num_blocks": 1}


def made_up(dataset, event_shape):
    """Returns random images, under a name that says so."""
    rng = np.random.default_rng(0)
    splits = {
        name: ImageSplit.from_array(rng.integers(0, 256, [64, *event_shape], np.uint8))
        for name in ("train", "validation", "test")
    }
    name = f"made-up images, not {dataset}"
    return ImageData(name=name, event_shape=event_shape, **splits)


def check(saved):
    """Samples from the SavedModel, and scores the samples, with TensorFlow alone."""
    served = tf.saved_model.load(saved).signatures
    drawn = served["sample"](
        num_samples=tf.constant(2),
        seed=tf.constant([0, 1]),
        temperature=tf.constant(1.0),
    )
    inside = tf.clip_by_value(drawn["samples"], 0.0, 255.9)
    bits = served["serving_default"](x=inside)["bits_per_dim"].numpy().mean()
    print(f"Wrote {saved}: its own samples have {bits:.2f} bits/dim.")


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument(
        "--dataset",
        default="celeb_a",
        help="or cifar10, imagenet32, imagenet64, lsun_*",
    )
    parser.add_argument("--data-dir", help="folder of the data")
    parser.add_argument("--output", help="folder of the run; by default runs/PRESET")
    parser.add_argument("--epochs", type=int, default=100)
    parser.add_argument("--precision", default="float32", help="or mixed_bfloat16")
    parser.add_argument("--strategy", choices=("none", "mirrored"), default="mirrored")
    parser.add_argument("--smoke", action="store_true", help="a quick try without data")
    arguments = parser.parse_args()

    preset, smoke = preset_for(arguments.dataset), arguments.smoke
    flow = {**nvp.PRESETS[preset], "network_dtype": arguments.precision}
    recipe, epochs = recipe_of(preset), arguments.epochs
    strategy = make_strategy(arguments.strategy)
    print(f"1. Devices: {strategy.num_replicas_in_sync} x {type(strategy).__name__}")
    if smoke:
        data = made_up(arguments.dataset, tuple(flow["event_shape"]))
        flow, recipe, epochs = {**flow, **SMALL}, {**recipe, "batch_size": 16}, 2
    else:
        data = load_images(arguments.dataset, data_dir=arguments.data_dir)
    print(f"2. Data: {data.name}, {data.train.count} training images")
    config = RunConfig(
        dataset=data.name,
        flow=flow,
        epochs=epochs,
        seed=0,
        data_dir=arguments.data_dir,
        **recipe,
    )
    model = config.build_model(strategy)
    path = arguments.output or f"runs/{preset}{'-smoke' if smoke else ''}"
    directory = RunDirectory(path)
    if directory.is_begun:
        config.check_goes_on_from(directory.load_config())
    else:
        RunDirectory.create(directory.path, config)

    print(f"3. Training: {directory.path}")
    progress = train(model, config, data, directory)
    print("4. Evaluation and samples")
    summary = evaluate_run(model, data, config, progress)
    write_report(model, data, config, progress, summary, directory)
    print("5. SavedModel")
    saved = directory.path / "saved_model"
    nvp.export_saved_model(model.flow, saved, overwrite=True)
    check(saved)
    print(f"Trained on {data.name}.")


if __name__ == "__main__":
    main()
