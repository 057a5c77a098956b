"""The command line around training on the GPU machine; README.md shows its order."""

from __future__ import annotations

import argparse
import json
import pathlib

from torch_checkout import missing_files as missing_of_peer

from gpu.bridge import load_bridge
from gpu.bridge import missing_files as missing_of_bridge
from tfp_realnvp.arguments import check_choice
from tfp_realnvp.flows.presets import dataset_of, resolve_preset
from tfp_realnvp.runs.run_config import RunConfig, recipe_of

_DATA_SET = "cifar10"
_NETWORK_DTYPES = ("float32", "mixed_bfloat16")


def main() -> None:
    parser = argparse.ArgumentParser(
        prog="python benchmarks/gpu", description=__doc__.splitlines()[0]
    )
    commands = parser.add_subparsers(required=True, metavar="COMMAND")
    _add_pack(commands)
    _add_unpack(commands)
    arguments = parser.parse_args()
    try:
        arguments.run(arguments)
    except (ValueError, OSError, FloatingPointError) as error:
        raise SystemExit(f"python benchmarks/gpu: {error}") from error


def _add_pack(commands: argparse._SubParsersAction) -> None:
    parser = commands.add_parser("pack", help="write what goes to the GPU machine")
    _add_bridge(parser)
    add = parser.add_argument
    add("--sheets", type=pathlib.Path, required=True, help="folder of CIFAR-10")
    add("--output", type=pathlib.Path, required=True, help="folder to make")
    add("--preset", default="cifar10-plus")
    add("--batch-size", type=int, nargs="+", default=[128, 256])
    add("--seed", type=int, default=0, help="of weights, order and noise")
    add("--learning-rate", type=float, help="instead of the recipe's")
    add("--network-dtype", default="mixed_bfloat16", help="or float32")
    add("--average-decay", type=float, default=0.999, help="of averaged weights")
    add("--start", type=pathlib.Path, help="folder of weights to go on from")
    add("--image-peer", type=pathlib.Path, help="checkout of chrischute/real-nvp")
    add("--transfer-mib", type=int, default=59, help="size of a folder")
    # To try all of it on a CPU.
    add("--filters", type=int, help="instead of the preset's")
    add("--num-blocks", type=int, help="instead of the preset's")
    add("--images", type=int, help="so many training and test images, not all")
    add("--steps", type=int, help="length of training, not what the time allows")
    parser.set_defaults(run=_pack)


def _add_unpack(commands: argparse._SubParsersAction) -> None:
    parser = commands.add_parser("unpack", help="make a run of what came back")
    _add_bridge(parser)
    add = parser.add_argument
    add("--pack", type=pathlib.Path, required=True, help="what `pack` wrote")
    add("--back", type=pathlib.Path, required=True, help="what came back")
    add("--output", type=pathlib.Path, required=True, help="folder of the run")
    add("--data-dir", help="folder of prepared TFDS data")
    add("--images", type=int, help="test images to score; all if not given")
    add("--draws", type=int, default=1, help="of noise for each")
    parser.set_defaults(run=_unpack)


def _add_bridge(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--bridge",
        type=pathlib.Path,
        required=True,
        help="folder of tf_export.py, jax_run.py and what they need",
    )


def run_config(arguments: argparse.Namespace) -> RunConfig:
    """Returns the run that is to be packed.

    Raises:
      ValueError: If an argument is not as it should be.
    """
    flow = resolve_preset(arguments.preset)
    if dataset_of(arguments.preset) != _DATA_SET:
        raise ValueError(
            f"--preset: expected one of {_DATA_SET}, the data that are packed; got "
            f"{arguments.preset!r}."
        )
    check_choice("network_dtype", arguments.network_dtype, _NETWORK_DTYPES)
    overrides = {
        name: getattr(arguments, name)
        for name in ("filters", "num_blocks", "network_dtype")
        if getattr(arguments, name) is not None
    }
    recipe = {**recipe_of(arguments.preset), "average_decay": arguments.average_decay}
    if arguments.learning_rate is not None:
        recipe["learning_rate"] = arguments.learning_rate
    return RunConfig(
        dataset=_DATA_SET,
        flow={**flow, "event_shape": list(flow["event_shape"]), **overrides},
        # How many there will be is known afterwards.
        epochs=1,
        seed=arguments.seed,
        **recipe,
    )


def _check_folders(arguments: argparse.Namespace) -> None:
    missing = missing_of_bridge(arguments.bridge)
    if missing:
        raise ValueError(
            f"--bridge: expected a folder with {', '.join(missing)}, got "
            f"{arguments.bridge}."
        )
    if arguments.output.exists():
        raise FileExistsError(
            f"--output: expected a new folder, got {arguments.output}."
        )


def _check_positive(arguments: argparse.Namespace, *names: str) -> None:
    for name in names:
        value = getattr(arguments, name)
        if value is not None and value < 1:
            option = name.replace("_", "-")
            raise ValueError(f"--{option}: expected a positive number, got {value}.")


def _pack(arguments: argparse.Namespace) -> None:
    _check_folders(arguments)
    _check_positive(arguments, "filters", "num_blocks", "images", "steps")
    sizes, most = arguments.batch_size, arguments.images or 50_000
    if len(set(sizes)) < len(sizes) or not all(1 <= size <= most for size in sizes):
        raise ValueError(
            f"--batch-size: expected different numbers from 1 to {most}, the images "
            f"there are; got {' '.join(map(str, sizes))}."
        )
    for option, folder, name in (
        ("sheets", arguments.sheets, "train_0.webp"),
        ("start", arguments.start, "weights-000.npz"),
    ):
        if folder is not None and not (folder / name).is_file():
            raise FileNotFoundError(
                f"--{option}: expected a folder with {name}, got {folder}."
            )
    peer = arguments.image_peer
    missing = [] if peer is None else missing_of_peer(peer)
    if missing:
        raise ValueError(
            "--image-peer: expected a checkout laid out as chrischute/real-nvp, got "
            f"{peer} without {', '.join(missing)}."
        )
    config = run_config(arguments)
    bridge = load_bridge(arguments.bridge)
    from gpu.pack import pack

    pack(
        config,
        bridge,
        arguments.bridge,
        arguments.sheets,
        arguments.output,
        batch_sizes=sizes,
        images=arguments.images,
        steps=arguments.steps,
        start=arguments.start,
        image_peer=arguments.image_peer,
        transfer_mib=arguments.transfer_mib,
    )
    print(f"Written: {arguments.output}")


def _unpack(arguments: argparse.Namespace) -> None:
    _check_folders(arguments)
    _check_positive(arguments, "images", "draws")
    for option, folder, name in (
        ("pack", arguments.pack, "1/programs.zip"),
        ("back", arguments.back, "report.json"),
    ):
        if not (folder / name).is_file():
            raise FileNotFoundError(
                f"--{option}: expected a folder with {name}, got {folder}."
            )
    from gpu.unpack import unpack

    found = unpack(
        arguments.pack,
        arguments.back,
        load_bridge(arguments.bridge),
        arguments.output,
        data_dir=arguments.data_dir,
        images=arguments.images,
        draws=arguments.draws,
    )
    print(json.dumps(found, indent=2))
