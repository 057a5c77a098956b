"""Trains the paper's 64 x 64 flow on CelebA and writes samples and a SavedModel.

    python examples/train_celeba.py --data-dir my/tfds
    python examples/train_celeba.py --smoke

Trains on all GPUs of this machine, or on its CPU. Asked again with the same arguments,
it goes on where it was stopped. `--smoke` goes through all of it in a few minutes on
two CPU cores, with a small flow and few steps; without `--data-dir` on made-up images.
"""

import argparse
import contextlib

import numpy as np
import tensorflow as tf
import tensorflow_datasets as tfds

import tfp_realnvp as nvp
from tfp_realnvp.data import load_images
from tfp_realnvp.training.report import evaluate_run, write_report
from tfp_realnvp.training.run import train
from tfp_realnvp.training.run_config import RunConfig
from tfp_realnvp.training.run_directory import RunDirectory
from tfp_realnvp.training.strategy import make_strategy

SMALL = {"num_scales": 3, "filters": 4, "num_blocks": 1}


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data-dir", help="folder of prepared TFDS data")
    parser.add_argument("--output", default="runs/celeba")
    parser.add_argument("--batch-size", type=int, default=64)
    parser.add_argument("--epochs", type=int, default=100)
    parser.add_argument("--precision", default="float32", help="or mixed_bfloat16")
    parser.add_argument("--strategy", choices=("none", "mirrored"), default="mirrored")
    parser.add_argument("--smoke", action="store_true", help="a try in two minutes")
    arguments = parser.parse_args()

    strategy = make_strategy(arguments.strategy)
    print(f"1. Devices: {strategy.num_replicas_in_sync} x {type(strategy).__name__}")
    data = load(arguments)
    config = RunConfig(
        dataset="celeb_a",
        flow={
            **nvp.PRESETS["celeba64"],
            **(SMALL if arguments.smoke else {}),
            "network_dtype": arguments.precision,
        },
        batch_size=16 if arguments.smoke else arguments.batch_size,
        epochs=2 if arguments.smoke else arguments.epochs,
        learning_rate=1e-3,
        seed=0,
        data_dir=arguments.data_dir,
    )
    model = config.build_model(strategy)
    directory = RunDirectory(arguments.output)
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


def load(arguments):
    """Returns CelebA, prepared or, for a try without it, made up by TFDS."""
    made_up = contextlib.nullcontext()
    where = arguments.data_dir or "TFDS's default folder"
    if arguments.smoke and arguments.data_dir is None:
        made_up = tfds.testing.mock_data(num_examples=64)
        where = "made-up images of tfds.testing.mock_data, not CelebA"
    with made_up:
        data = load_images("celeb_a", data_dir=arguments.data_dir)
    print(f"2. Data: {data.train.count} images for training, from {where}")
    return data


def check(saved):
    """Scores and samples with TensorFlow alone."""
    served = tf.saved_model.load(saved)
    drawn = served.signatures["sample"](
        num_samples=tf.constant(2), seed=tf.constant([0, 1])
    )["samples"]
    inside = np.clip(drawn, 0, 255.9).astype(np.float32)
    bits = served.signatures["serving_default"](x=tf.constant(inside))["bits_per_dim"]
    print(f"Wrote {saved}: its own samples have {bits.numpy().mean():.2f} bits/dim.")


if __name__ == "__main__":
    main()
