"""The command line around training on the GPU machine; README.md shows its order."""

from __future__ import annotations

import argparse
import json
import pathlib

from torch_checkout import missing_files as missing_of_peer

from gpu.bridge import load_bridge
from gpu.bridge import missing_files as missing_of_bridge
from tfp_realnvp.arguments import check_choice
from tfp_realnvp.files import write_json
from tfp_realnvp.flows.presets import dataset_of, resolve_preset
from tfp_realnvp.runs.recipes import recipe_of
from tfp_realnvp.runs.run_config import RunConfig

_DATA_SET = "cifar10"
_NETWORK_DTYPES = ("float32", "mixed_bfloat16")


def main() -> None:
    parser = argparse.ArgumentParser(
        prog="python benchmarks/gpu", description=__doc__.splitlines()[0]
    )
    commands = parser.add_subparsers(required=True, metavar="COMMAND")
    _add_pack(commands)
    _add_unpack(commands)
    _add_prove(commands)
    arguments = parser.parse_args()
    try:
        arguments.run(arguments)
    except (ValueError, OSError, FloatingPointError) as error:
        raise SystemExit(f"python benchmarks/gpu: {error}") from error


def _add_pack(commands: argparse._SubParsersAction) -> None:
    parser = commands.add_parser("pack", help="write what goes to the GPU machine")
    _add_common(parser)
    add = parser.add_argument
    add("--output", type=pathlib.Path, required=True, help="folder to make")
    add("--preset", default="cifar10-plus")
    add("--batch-size", type=int, nargs="+", default=[64, 256])
    add("--seed", type=int, default=0, help="of weights; noise has its own there")
    add("--learning-rate", type=float, help="instead of the recipe's")
    add("--network-dtype", help="such as mixed_bfloat16; float32 if not given")
    add("--image-peer", type=pathlib.Path, help="checkout of chrischute/real-nvp")
    add("--part-mib", type=int, default=28, help="size of a file")
    add("--transfer-mib", type=int, default=58, help="size of a folder")
    # To try all of it on a CPU.
    add("--filters", type=int, help="instead of the preset's")
    add("--num-blocks", type=int, help="instead of the preset's")
    add("--images", type=int, help="so many training and test images, not all")
    parser.set_defaults(run=_pack)


def _add_unpack(commands: argparse._SubParsersAction) -> None:
    parser = commands.add_parser("unpack", help="make a run of what came back")
    _add_common(parser)
    add = parser.add_argument
    add("--pack", type=pathlib.Path, required=True, help="what `pack` wrote")
    add("--back", type=pathlib.Path, required=True, help="what came back")
    add("--output", type=pathlib.Path, required=True, help="folder of the run")
    add("--images", type=int, help="test images to score; all if not given")
    add("--draws", type=int, default=1, help="of noise for each")
    parser.set_defaults(run=_unpack)


def _add_prove(commands: argparse._SubParsersAction) -> None:
    parser = commands.add_parser("prove", help="compare JAX with TensorFlow, on a CPU")
    _add_common(parser)
    add = parser.add_argument
    add("--pack", type=pathlib.Path, required=True, help="what `pack` wrote, small")
    add("--output", type=pathlib.Path, required=True, help="folder to make")
    add("--jax-python", required=True, help="Python with JAX")
    add("--steps", type=int, default=40, help="an even number")
    parser.set_defaults(run=_prove)


def _add_common(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--bridge",
        type=pathlib.Path,
        required=True,
        help="folder of tf_export.py, train_on_gpu.py and what they need",
    )
    parser.add_argument("--data-dir", help="folder of prepared TFDS data")


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
    if arguments.network_dtype is not None:
        check_choice("network_dtype", arguments.network_dtype, _NETWORK_DTYPES)
    overrides = {
        name: getattr(arguments, name)
        for name in ("filters", "num_blocks", "network_dtype")
        if getattr(arguments, name) is not None
    }
    recipe = recipe_of(arguments.preset)
    recipe["batch_size"] = arguments.batch_size[0]
    if arguments.learning_rate is not None:
        recipe["learning_rate"] = arguments.learning_rate
    return RunConfig(
        dataset=_DATA_SET,
        flow={**flow, "event_shape": list(flow["event_shape"]), **overrides},
        # How many there will be is known afterwards.
        epochs=1,
        seed=arguments.seed,
        data_dir=arguments.data_dir,
        **recipe,
    )


def _check_bridge(folder: pathlib.Path) -> None:
    missing = missing_of_bridge(folder)
    if missing:
        raise ValueError(
            f"--bridge: expected a folder with {', '.join(missing)}, got {folder}."
        )


def _check_new(output: pathlib.Path) -> None:
    if output.exists():
        raise FileExistsError(f"--output: expected a new folder, got {output}.")


def _check_pack(arguments: argparse.Namespace) -> None:
    _check_bridge(arguments.bridge)
    _check_new(arguments.output)
    for name in ("filters", "num_blocks", "images", "part_mib"):
        value = getattr(arguments, name)
        if value is not None and value < 1:
            option = name.replace("_", "-")
            raise ValueError(f"--{option}: expected a positive number, got {value}.")
    sizes = arguments.batch_size
    most = arguments.images or 50_000
    if len(set(sizes)) < len(sizes) or not all(1 <= size <= most for size in sizes):
        raise ValueError(
            f"--batch-size: expected different numbers from 1 to {most}, the images "
            f"there are; got {' '.join(map(str, sizes))}."
        )
    if not arguments.part_mib <= arguments.transfer_mib <= 64:
        raise ValueError(
            f"--transfer-mib: expected {arguments.part_mib}, the size of a part, to "
            f"64; got {arguments.transfer_mib}."
        )
    peer = arguments.image_peer
    missing = [] if peer is None else missing_of_peer(peer)
    if missing:
        raise ValueError(
            "--image-peer: expected a checkout laid out as chrischute/real-nvp, got "
            f"{peer} without {', '.join(missing)}."
        )


def _check_packed(folder: pathlib.Path) -> None:
    if not (folder / "1" / "pack.json").is_file():
        raise FileNotFoundError(
            f"--pack: expected a folder that `pack` wrote, got {folder}."
        )


def _pack(arguments: argparse.Namespace) -> None:
    _check_pack(arguments)
    config = run_config(arguments)
    data = config.load_data()
    bridge = load_bridge(arguments.bridge)
    from gpu.pack import pack

    pack(
        config,
        data,
        bridge,
        arguments.bridge,
        arguments.output,
        batch_sizes=arguments.batch_size,
        images=arguments.images,
        image_peer=arguments.image_peer,
        part_mib=arguments.part_mib,
        transfer_mib=arguments.transfer_mib,
    )
    print(f"Written: {arguments.output}")


def _unpack(arguments: argparse.Namespace) -> None:
    _check_bridge(arguments.bridge)
    _check_new(arguments.output)
    for name in ("images", "draws"):
        value = getattr(arguments, name)
        if value is not None and value < 1:
            raise ValueError(f"--{name}: expected a positive number, got {value}.")
    _check_packed(arguments.pack)
    if not (arguments.back / "report.json").is_file():
        raise FileNotFoundError(
            "--back: expected a folder with report.json, which came back from the GPU "
            f"machine; got {arguments.back}."
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


def _prove(arguments: argparse.Namespace) -> None:
    _check_bridge(arguments.bridge)
    _check_new(arguments.output)
    _check_packed(arguments.pack)
    if arguments.steps < 2 or arguments.steps % 2:
        raise ValueError(
            f"--steps: expected an even number from 2 on, got {arguments.steps}."
        )
    from gpu.prove import prove

    found = prove(
        arguments.pack,
        load_bridge(arguments.bridge),
        arguments.output,
        jax_python=arguments.jax_python,
        steps=arguments.steps,
        data_dir=arguments.data_dir,
    )
    write_json(arguments.output / "proof.json", found)
    print(json.dumps(found, indent=2))
