"""`tfp-realnvp train`."""

from __future__ import annotations

import argparse
import itertools
import pathlib

import keras
import numpy as np

from tfp_realnvp.data import ImageData, load_images
from tfp_realnvp.data.baselines import gaussian_bits_per_dim
from tfp_realnvp.figures import (
    sample_images,
    samples_beside_data,
    write_learning_curve,
    write_png,
)
from tfp_realnvp.files import write_json
from tfp_realnvp.flows import PRESETS
from tfp_realnvp.flows.presets import resolve_preset
from tfp_realnvp.optional import require
from tfp_realnvp.training.callbacks import (
    CosineDecay,
    SaveWeights,
    Throughput,
    TimeLimit,
)
from tfp_realnvp.training.flow_model import FlowModel
from tfp_realnvp.training.run_directory import RunConfig, RunDirectory

_DEFAULT_PRESETS = {"digits": "digits", "cifar10": "cifar10"}
_DEFAULT_EPOCHS = 20
_VALIDATION_IMAGES = 1000
_PICTURED = 64


def add_parser(commands: argparse._SubParsersAction) -> None:
    """Adds the command to the command line."""
    parser = commands.add_parser(
        "train",
        help="train a flow on images",
        description="Trains a flow and writes config, weights, pictures and a summary "
        "into a folder of its own. Without arguments: on scikit-learn's digits, in "
        "about two minutes on two CPU cores.",
    )
    add = parser.add_argument
    add("--dataset", default="digits", help="digits, photos, cifar10, folder:PATH")
    add("--data-dir", help="folder of prepared TFDS data, for cifar10")
    add("--image-size", type=int, help="side of the images, for photos and folder:")
    add("--preset", help=f"sizes of the flow: {', '.join(PRESETS)}")
    add("--num-scales", type=int, help="override the preset's number of scales")
    add("--filters", type=int, help="override the preset's feature maps")
    add("--num-blocks", type=int, help="override the preset's residual blocks")
    add("--batch-size", type=int, default=64)
    add("--epochs", type=int, default=_DEFAULT_EPOCHS, help="passes through the data")
    add("--minutes", type=float, help="end training after so many minutes")
    add("--learning-rate", type=float, default=1e-3)
    add("--seed", type=int, default=0, help="the same seed gives the same run")
    add("--runs", default="runs", help="folder of all runs")
    add("--name", help="folder of this run in RUNS; by default a new one")
    add("--overwrite", action="store_true", help="write over the run of that name")
    parser.set_defaults(run=run)


def run(arguments: argparse.Namespace) -> None:
    """Trains as the arguments say."""
    # What the report needs at the end is missed now rather than then.
    require("matplotlib", "the learning curve", extra="demo")
    config = _config(arguments)
    data = load_images(
        config.dataset, image_size=config.image_size, data_dir=config.data_dir
    )
    config.flow["event_shape"] = data.event_shape
    batches = data.training_batches(config.batch_size, seed=config.seed)
    limit = None if config.minutes is None else TimeLimit(config.minutes)
    keras.utils.set_random_seed(config.seed)
    model = config.build_model()
    directory = RunDirectory.create(
        _run_path(arguments), config, overwrite=arguments.overwrite
    )
    print(f"Training on {data.num_train} images of {data.name}: {directory.path}")

    steps = data.num_train // config.batch_size
    model.compile(keras.optimizers.Adam(config.learning_rate, global_clipnorm=100.0))
    throughput = Throughput(config.batch_size)
    history = model.fit(
        batches,
        epochs=config.epochs,
        validation_data=data.test_batches(config.batch_size, limit=_VALIDATION_IMAGES),
        callbacks=[
            throughput,
            SaveWeights(directory.weights),
            keras.callbacks.CSVLogger(directory.path / "history.csv"),
            # The decay asks the limit, so the limit must begin first.
            *([] if limit is None else [limit]),
            CosineDecay(config.epochs * steps, limit),
        ],
        verbose="auto",
    )
    _report(model, data, config, directory, throughput, history.history)


def _config(arguments: argparse.Namespace) -> RunConfig:
    for name, value in (
        ("epochs", arguments.epochs),
        ("learning_rate", arguments.learning_rate),
    ):
        if value is not None and not value > 0:
            raise ValueError(f"{name}: expected a positive number, got {value}.")
    preset = arguments.preset or _DEFAULT_PRESETS.get(
        arguments.dataset, "cifar10-small"
    )
    flow = resolve_preset(preset)
    for name in ("num_scales", "filters", "num_blocks"):
        if getattr(arguments, name) is not None:
            flow[name] = getattr(arguments, name)
    return RunConfig(
        dataset=arguments.dataset,
        flow=flow,
        batch_size=arguments.batch_size,
        epochs=arguments.epochs,
        learning_rate=arguments.learning_rate,
        seed=arguments.seed,
        data_dir=arguments.data_dir,
        image_size=arguments.image_size,
        minutes=arguments.minutes,
    )


def _run_path(arguments: argparse.Namespace) -> pathlib.Path:
    runs = pathlib.Path(arguments.runs)
    if arguments.name is not None:
        return runs / arguments.name
    stem = arguments.dataset.partition(":")[0]
    names = itertools.chain([stem], (f"{stem}-{i}" for i in itertools.count(2)))
    return next(runs / name for name in names if not (runs / name).exists())


def _report(
    model: FlowModel,
    data: ImageData,
    config: RunConfig,
    directory: RunDirectory,
    throughput: Throughput,
    history: dict[str, list[float]],
) -> None:
    def score(images) -> float:
        return model.evaluate(images, return_dict=True)["bits_per_dim"]

    print("Evaluating on training and test images.")
    train_images = data.train.take(data.num_test).batch(config.batch_size)
    gaussian = gaussian_bits_per_dim(data.train, data.test)
    summary = {
        "train_bits_per_dim": score(train_images),
        "test_bits_per_dim": score(data.test_batches(config.batch_size)),
        "gaussian_test_bits_per_dim": gaussian,
        "uniform_bits_per_dim": 8.0,
        "images_per_second": throughput.images_per_second,
        "epochs": len(history["bits_per_dim"]),
        "parameters": model.count_params(),
    }
    write_json(directory.path / "summary.json", summary)
    pictured = min(_PICTURED, data.num_test)
    examples = np.stack(list(data.test.take(pictured).as_numpy_iterator()))
    samples = sample_images(model.flow, pictured, seed=config.seed)
    write_png(directory.path / "samples.png", samples_beside_data(examples, samples))
    write_learning_curve(
        directory.path / "learning_curve.png",
        history,
        references={"Gaussian per pixel": gaussian, "uniform": 8.0},
    )
    print(
        f"{data.name}: {summary['train_bits_per_dim']:.3f} bits/dim on training "
        f"images, {summary['test_bits_per_dim']:.3f} on test images (a Gaussian for "
        f"each pixel: {gaussian:.3f}, uniform: 8), "
        f"{summary['images_per_second']:.0f} images/s.\n"
        f"Wrote {directory.path}/samples.png, learning_curve.png, summary.json, "
        f"{directory.weights.name} and config.json."
    )
