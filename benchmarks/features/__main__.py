"""Makes the table of features; `python benchmarks/features --help` says how."""

import os
import pathlib
import sys

# Python puts this folder first, where `import table` would find what it should not.
sys.path[0] = str(pathlib.Path(__file__).resolve().parents[1])
# TensorFlow tells of its build at every start.
os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")

from features.command import main  # noqa: E402

if __name__ == "__main__":
    main()
