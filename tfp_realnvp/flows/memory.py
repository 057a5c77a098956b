"""What a flow keeps of a pass for its gradient."""

from __future__ import annotations

from typing import Any

MEMORY = ("stored", "reversible")


def check_memory(memory: Any) -> None:
    """Raises `ValueError` if `memory` is none of `MEMORY`."""
    if memory not in MEMORY:
        raise ValueError(f'memory: expected "stored" or "reversible", got {memory!r}.')
