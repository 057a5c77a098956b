"""Looking at what a method of a layer or bijector is given and returns."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator
from typing import Any


@contextlib.contextmanager
def observed(
    part: Any, method: str, see: Callable[[tuple[Any, ...], Any], None]
) -> Iterator[None]:
    """Calls `see(arguments, outputs)` after each call of a method of `part`."""
    original = getattr(part, method)

    def seen(*args: Any, **kwargs: Any) -> Any:
        outputs = original(*args, **kwargs)
        see((*args, *kwargs.values()), outputs)
        return outputs

    # Past Keras's and TFP's own `__setattr__`, which would track the function.
    object.__setattr__(part, method, seen)
    try:
        yield
    finally:
        object.__delattr__(part, method)
