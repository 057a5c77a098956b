"""The scripts that export a TensorFlow step, from the user's folder."""

from __future__ import annotations

import pathlib
import sys
from types import ModuleType
from typing import NamedTuple

# What runs on the GPU machine, and what runs here.
THERE = ("jax_run.py", "state_parts.py", "batch_order.py")
HERE = ("tf_export.py", "state_parts.py", "batch_order.py")


class Bridge(NamedTuple):
    """Modules of the folder, see its own documentation."""

    tf_export: ModuleType
    state_parts: ModuleType
    batch_order: ModuleType


def missing_files(folder: pathlib.Path) -> list[str]:
    """Returns what a folder lacks to be the bridge."""
    names = sorted({*THERE, *HERE})
    return [name for name in names if not (folder / name).is_file()]


def load_bridge(folder: pathlib.Path) -> Bridge:
    """Returns the modules; the folder is read and never written to."""
    sys.dont_write_bytecode = True
    sys.path.insert(0, str(folder.resolve()))
    import batch_order
    import state_parts
    import tf_export

    return Bridge(tf_export, state_parts, batch_order)
