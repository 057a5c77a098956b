"""What a flow keeps of a pass for its gradient."""

from __future__ import annotations

from typing import Any

from tfp_realnvp.arguments import check_choice
from tfp_realnvp.choices import MEMORY


def check_memory(memory: Any) -> None:
    """Raises `ValueError` if `memory` is none of `MEMORY`."""
    check_choice("memory", memory, MEMORY)
