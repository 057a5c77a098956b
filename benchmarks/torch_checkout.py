"""Imports a PyTorch image Real NVP from a checkout laid out as chrischute/real-nvp.

The checkout is read and never changed. What current PyTorch does not accept of it any
more, `view` of tensors that are not contiguous, is replaced as the files are read.
"""

from __future__ import annotations

import argparse
import importlib.machinery
import importlib.util
import pathlib
import sys

# What a checkout must have.
FILES = ("models/real_nvp/real_nvp.py", "util/norm_util.py")


class _Reshaping(importlib.machinery.SourceFileLoader):
    def path_stats(self, path):
        # Else Python takes compiled code that lies beside the file, as it was, and
        # leaves its own there.
        raise OSError("The source is always read.")

    def get_data(self, path):
        data = super().get_data(path)
        return data.replace(b".view(", b".reshape(") if path.endswith(".py") else data


class _Finder(importlib.machinery.PathFinder):
    root = ""

    @classmethod
    def find_spec(cls, fullname, path=None, target=None):
        if fullname.partition(".")[0] not in ("models", "util"):
            return None
        spec = super().find_spec(fullname, path or [cls.root], target)
        if spec is not None and spec.origin:
            places = spec.submodule_search_locations
            spec = importlib.util.spec_from_file_location(
                fullname,
                spec.origin,
                loader=_Reshaping(fullname, spec.origin),
                submodule_search_locations=places,
            )
        return spec


def use_checkout(path: str | pathlib.Path) -> None:
    """Lets `import models` and `import util` find those of the checkout."""
    _Finder.root = str(pathlib.Path(path).resolve())
    sys.meta_path.insert(0, _Finder)


def missing_files(path: pathlib.Path) -> list[str]:
    """Returns what a folder lacks to be such a checkout."""
    return [name for name in FILES if not (path / name).is_file()]


def check_option(parser: argparse.ArgumentParser, path: pathlib.Path) -> None:
    """Ends the program if the option --image-peer names no checkout, or for PyTorch."""
    missing = missing_files(path)
    if missing:
        parser.error(
            "--image-peer: expected a checkout laid out as chrischute/real-nvp, got "
            f"{path} without {', '.join(missing)}."
        )
    if importlib.util.find_spec("torch") is None:
        parser.error("--image-peer: expected PyTorch to be installed; it is not.")
