"""Trains the paper's flow on CelebA and writes samples and a SavedModel.

    python examples/train_celeba.py --data-dir my/tfds
    python examples/train_celeba.py --smoke

Trains on all GPUs of this machine, or on its CPU. Asked again with the same arguments,
it goes on where it was stopped. `--smoke` goes through all of it in a few minutes on
two CPU cores, with a small flow and few images; without `--data-dir` on made-up ones.
"""

from made_up_data import mock_tfds
from training_example import make_parser, run


def main():
    run(make_parser(__doc__, epochs=100).parse_args(), "celeb_a", mock_tfds)


if __name__ == "__main__":
    main()
