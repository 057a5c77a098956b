"""Packs training for the GPU machine, and unpacks its results; see README.md."""

import argparse
import json
import pathlib
import sys

if __name__ == "__main__":
    # Python puts this folder first, but its modules must be found as `gpu.*` only.
    sys.path[0] = str(pathlib.Path(__file__).resolve().parents[1])

from torch_checkout import check_checkout

NETWORK_DTYPES = ("float32", "mixed_bfloat16")


def main():
    arguments = _parse()
    if arguments.output.exists():
        raise SystemExit(f"--output: expected a new folder, got {arguments.output}.")
    if arguments.command == "unpack":
        from gpu.unpack import unpack

        print(json.dumps(unpack(arguments), indent=2))
        return
    if arguments.image_peer is not None:
        check_checkout(arguments.image_peer)
    from gpu.pack import pack

    pack(arguments)
    print(f"Written: {arguments.output}")


def _parse():
    parser = argparse.ArgumentParser(
        prog="python benchmarks/gpu", description=__doc__.splitlines()[0]
    )
    commands = parser.add_subparsers(required=True, metavar="COMMAND", dest="command")
    pack = commands.add_parser("pack", help="write the folders for the GPU machine")
    unpack = commands.add_parser("unpack", help="make a run of the results")
    path, needed = {"type": pathlib.Path}, {"type": pathlib.Path, "required": True}
    for command, output in ((pack, "folder to make"), (unpack, "folder of the run")):
        command.add_argument("--bridge", **needed, help="folder of tf_export.py etc.")
        command.add_argument("--output", **needed, help=output)

    add = pack.add_argument
    add("--sheets", **needed, help="folder of CIFAR-10, train_0.webp etc.")
    add("--preset", default="cifar10-plus")
    add("--batch-size", type=int, nargs="+", default=[128, 256])
    add("--seed", type=int, default=0, help="of weights, order and noise")
    add("--learning-rate", type=float, help="instead of the recipe's")
    add("--network-dtype", choices=NETWORK_DTYPES, default="mixed_bfloat16")
    add("--average-decay", type=float, default=0.999, help="of averaged weights")
    add("--start", **path, help="folder of weights to continue from")
    add("--image-peer", **path, help="checkout of chrischute/real-nvp")
    add("--transfer-mib", type=int, default=59, help="size of a folder")
    # To try all of it on a CPU.
    add("--filters", type=int, help="instead of the preset's")
    add("--num-blocks", type=int, help="instead of the preset's")
    add("--images", type=int, help="training and test images, instead of all")
    add("--steps", type=int, help="length of training, not what the time allows")

    add = unpack.add_argument
    add("--pack", **needed, help="what `pack` wrote")
    add("--back", **needed, help="what came back")
    add("--data-dir", help="folder of prepared TFDS data")
    add("--images", type=int, help="test images to score; all if not given")
    add("--draws", type=int, default=1, help="of noise for each")
    return parser.parse_args()


if __name__ == "__main__":
    main()
