"""What the programs that train the paper's flows have in common."""

import argparse
import contextlib
import dataclasses
import pathlib
import tempfile

import numpy as np
import tensorflow as tf

import tfp_realnvp as nvp
from tfp_realnvp.data import ImageSplit, load_images
from tfp_realnvp.flows import preset_for
from tfp_realnvp.optional import require
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
FEW = 64


def make_parser(description, epochs):
    parser = argparse.ArgumentParser(description=description.splitlines()[0])
    parser.add_argument("--data-dir", help="folder of the data")
    parser.add_argument("--output", help="by default runs/ and the data's name")
    parser.add_argument("--batch-size", type=int, default=64)
    parser.add_argument("--epochs", type=int, default=epochs)
    parser.add_argument("--precision", default="float32", help="or mixed_bfloat16")
    parser.add_argument("--strategy", choices=("none", "mirrored"), default="mirrored")
    parser.add_argument("--smoke", action="store_true", help="a try in two minutes")
    return parser


def run(arguments, dataset, make_up):
    """Trains on the data set and writes samples and a SavedModel.

    `make_up` is a function of an empty folder that returns a context manager in which
    made-up images are found under the name of the data set, in the folder that it
    yields.
    """
    # What the end needs is missed now rather than then.
    require("matplotlib", "the learning curve", extra="demo")
    strategy = make_strategy(arguments.strategy)
    print(f"1. Devices: {strategy.num_replicas_in_sync} x {type(strategy).__name__}")
    data = load(arguments, dataset, make_up)
    preset = preset_for(dataset)
    batch_size = 16 if arguments.smoke else arguments.batch_size
    config = RunConfig(
        dataset=data.name,
        flow={
            **nvp.PRESETS[preset],
            **(SMALL if arguments.smoke else {}),
            "network_dtype": arguments.precision,
        },
        epochs=2 if arguments.smoke else arguments.epochs,
        seed=0,
        data_dir=arguments.data_dir,
        **{**recipe_of(preset), "batch_size": batch_size},
    )
    model = config.build_model(strategy)
    smoke = "-smoke" if arguments.smoke else ""
    directory = RunDirectory(arguments.output or f"runs/{preset}{smoke}")
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
    print(f"All this was done with {data.name}.")


def load(arguments, dataset, make_up):
    """Returns the data set or, for a try without it, what is made up under its name."""
    made_up = arguments.smoke and arguments.data_dir is None
    with contextlib.ExitStack() as stack:
        where = arguments.data_dir
        if made_up:
            folder = stack.enter_context(tempfile.TemporaryDirectory())
            where = stack.enter_context(make_up(pathlib.Path(folder)))
        data = load_images(dataset, data_dir=where)
        if arguments.smoke:
            data = a_few(data)
    if made_up:
        # What is written and printed must not be taken for a result on real images.
        data = dataclasses.replace(data, name=f"made-up images, not {dataset}")
    print(f"2. Data: {data.train.count} images for training, {data.name}")
    return data


def a_few(data):
    """Returns the first images of each split, in memory."""
    splits = {
        name: ImageSplit.from_array(getattr(data, name).take(FEW))
        for name in ("train", "validation", "test")
    }
    return dataclasses.replace(data, **splits)


def check(saved):
    """Scores and samples with TensorFlow alone."""
    served = tf.saved_model.load(saved)
    drawn = served.signatures["sample"](
        num_samples=tf.constant(2),
        seed=tf.constant([0, 1]),
        temperature=tf.constant(1.0),
    )["samples"]
    inside = np.clip(drawn, 0, 255.9).astype(np.float32)
    bits = served.signatures["serving_default"](x=tf.constant(inside))["bits_per_dim"]
    print(f"Wrote {saved}: its own samples have {bits.numpy().mean():.2f} bits/dim.")
