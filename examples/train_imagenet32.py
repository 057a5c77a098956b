"""Trains the paper's flow on ImageNet at 32 x 32 and writes samples and a SavedModel.

    python examples/train_imagenet32.py --data-dir my/tfds
    python examples/train_imagenet32.py --smoke

Trains on all GPUs of this machine, or on its CPU. Asked again with the same arguments,
it goes on where it was stopped. `--smoke` goes through all of it in a few minutes on
two CPU cores, with a small flow and few images; without `--data-dir` on made-up ones.
"""

import functools

from made_up_data import prepare_imagenet
from training_example import make_parser, run


def main():
    make_up = functools.partial(prepare_imagenet, size=32)
    run(make_parser(__doc__, epochs=20).parse_args(), "imagenet32", make_up)


if __name__ == "__main__":
    main()
