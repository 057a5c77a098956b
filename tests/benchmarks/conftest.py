import pathlib
import sys

# The benchmarks are no part of the package.
sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[2] / "benchmarks"))
