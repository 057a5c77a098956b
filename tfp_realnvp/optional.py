"""Importing what only some data sets and figures need."""

from __future__ import annotations

import importlib
from types import ModuleType


def require(module: str, purpose: str, *, extra: str) -> ModuleType:
    """Returns the imported `module`.

    Raises:
      ImportError: If it is not installed, naming the extra that brings it.
    """
    try:
        return importlib.import_module(module)
    except ImportError as error:
        raise ImportError(
            f"{purpose} needs {module.partition('.')[0]}, which is not installed: "
            f"pip install 'tfp_realnvp[{extra}]'."
        ) from error
