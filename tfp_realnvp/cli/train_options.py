"""The options of `tfp-realnvp train`."""

from __future__ import annotations

import argparse

from tfp_realnvp.choices import (
    AUGMENT,
    CROPS,
    DATA_SETS,
    MEMORY,
    ON_NON_FINITE,
    PRESETS,
    SCHEDULES,
    STRATEGIES,
)
from tfp_realnvp.cli.option_types import (
    dataset,
    decay,
    natural,
    path,
    positive,
    positive_int,
    run_name,
    seed,
)


def add_options(parser: argparse.ArgumentParser) -> None:
    """Adds them to the parser."""
    add = parser.add_argument_group("data").add_argument
    add(
        "--dataset",
        type=dataset,
        help=f"{', '.join(DATA_SETS)}, or folder:PATH (of images, or a .zip or .tar "
        "of them); by default the preset's own, or digits",
    )
    add(
        "--data-dir",
        type=path,
        help="folder of prepared TFDS data, or of LSUN's databases; or where what was "
        "in PATH is now",
    )
    add(
        "--image-size",
        type=positive_int,
        help="side of the images, where one can choose",
    )
    add(
        "--conditional",
        action="store_true",
        help="condition the flow on the data's classes or attributes (digits, cifar10, "
        "celeb_a, or the subfolders of a folder)",
    )
    add(
        "--augment",
        choices=AUGMENT,
        help="mirror training images at random, where that is as good an image",
    )

    add = parser.add_argument_group("folder:PATH").add_argument
    add(
        "--channels",
        type=int,
        choices=(1, 3),
        help="grey or colours; grey by itself if all images are",
    )
    add(
        "--crop",
        choices=CROPS,
        default="center",
        help="how squares are made: the central one (if not said), another one in "
        "every epoch, or the whole image, scaled",
    )
    add(
        "--skip-damaged",
        action="store_true",
        help="go on without images that cannot be read",
    )
    add(
        "--labels",
        type=path,
        help="with --conditional, CSV file of classes (file,label) or of columns of "
        "numbers, in the folder or elsewhere",
    )

    add = parser.add_argument_group("flow").add_argument
    add(
        "--preset",
        choices=PRESETS,
        metavar="PRESET",
        help=f"sizes of the flow: {', '.join(PRESETS)}; by default those for the data",
    )
    add(
        "--num-scales", type=positive_int, help="override the preset's number of scales"
    )
    add("--filters", type=positive_int, help="override the preset's feature maps")
    add("--num-blocks", type=positive_int, help="override the preset's residual blocks")
    add(
        "--precision",
        choices=("float32", "mixed_bfloat16"),
        default="float32",
        help="of the networks; the flow's own arithmetic is in float32",
    )
    add(
        "--memory",
        choices=MEMORY,
        default="stored",
        help="recompute finds activations again for gradients: less memory, more time",
    )

    group = parser.add_argument_group("training")
    add = group.add_argument
    add(
        "--batch-size",
        type=positive_int,
        help="images in an update; by default the preset's",
    )
    add(
        "--accumulate",
        type=positive_int,
        default=1,
        help="process each batch in so many parts, to save memory",
    )
    add("--epochs", type=positive_int, default=20, help="passes through the data")
    add("--minutes", type=positive, help="end training after so many minutes")
    add(
        "--learning-rate",
        type=positive,
        help="the highest; by default the preset's",
    )
    add(
        "--schedule",
        choices=SCHEDULES,
        help="how the learning rate changes over the run; by default the preset's",
    )
    add(
        "--warmup-steps",
        type=natural,
        help="steps over which the learning rate first rises; by default the preset's",
    )
    either = group.add_mutually_exclusive_group().add_argument
    either("--seed", type=seed, default=0, help="the same seed gives the same run")
    either(
        "--seeds",
        type=seed,
        nargs="+",
        help="train one run after the other with these seeds, and score them together",
    )
    add(
        "--average-decay",
        type=decay,
        help="keep a moving average of the weights too, for instance 0.999, or none "
        "with 0; by default as the preset's",
    )
    add(
        "--on-non-finite",
        choices=ON_NON_FINITE,
        default="stop",
        help="what to do when loss or gradient is NaN or infinite",
    )
    add(
        "--max-skipped-in-a-row",
        type=positive_int,
        default=10,
        help="with --on-non-finite skip, give up after so many",
    )
    add("--strategy", choices=STRATEGIES, default="auto", help="tf.distribute's")
    add("--jit-compile", action="store_true", help="let XLA compile the steps")

    add = parser.add_argument_group("run").add_argument
    add("--runs", type=path, default="runs", help="folder of all runs")
    add(
        "--name", type=run_name, help="folder of this run in RUNS; by default a new one"
    )
    either = parser.add_mutually_exclusive_group().add_argument
    either("--overwrite", action="store_true", help="write over the run of that name")
    either(
        "--resume",
        action="store_true",
        help="go on with the run of that name, or with the latest; if there is none, "
        "begin one",
    )
    add(
        "--checkpoint-steps",
        type=positive_int,
        default=500,
        help="steps between checkpoints",
    )
    add("--tensorboard", action="store_true", help="write for TensorBoard too")
    add(
        "--dry-run",
        action="store_true",
        help="print what training would cost, make one step, and write no run",
    )
