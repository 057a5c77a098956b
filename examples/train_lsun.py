"""Trains the paper's flow on a category of LSUN, to samples and a SavedModel.

    python examples/train_lsun.py --category tower --data-dir my/lsun
    python examples/train_lsun.py --category tower --smoke

Trains on all GPUs of this machine, or on its CPU. Asked again with the same arguments,
it goes on where it was stopped. `--smoke` goes through all of it in a few minutes on
two CPU cores, with a small flow and few images; without `--data-dir` on made-up ones.
"""

import functools

from made_up_data import write_lsun
from training_example import make_parser, run

from tfp_realnvp.data.lsun import CATEGORIES


def main():
    parser = make_parser(__doc__, epochs=20)
    parser.add_argument("--category", choices=tuple(CATEGORIES), default="bedroom")
    arguments = parser.parse_args()
    make_up = functools.partial(write_lsun, category=arguments.category)
    run(arguments, f"lsun_{arguments.category}", make_up)


if __name__ == "__main__":
    main()
