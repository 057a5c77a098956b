"""The contenders: each name, with the function that prepares it and its options.

No framework is imported here: the parent process imports this too.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from typing import Any


@dataclasses.dataclass(frozen=True)
class Contender:
    """The function that makes a contender."""

    module: str
    options: dict = dataclasses.field(default_factory=dict)
    function: str = "prepare"

    @property
    def is_torch(self):
        return self.module in ("image_peer", "torch_vectors")


_BFLOAT16, _LAST = {"dtype": "bfloat16"}, {"channels_last": True}
CONTENDERS = {
    "ours": Contender("ours"),
    "ours bfloat16": Contender("ours", {"network_dtype": "mixed_bfloat16"}),
    "ours recompute": Contender("ours", {"memory": "recompute"}, "prepare_training"),
    "image peer": Contender("image_peer"),
    "image peer channels_last": Contender("image_peer", _LAST),
    "floor": Contender("floor"),
    "floor with relu and additions": Contender("floor", {"complete": True}),
    "floor bfloat16": Contender("floor", _BFLOAT16),
    "vector ours": Contender("tf_vectors"),
    "vector ours XLA": Contender("tf_vectors", {"jit_compile": True}),
    "tfb.RealNVP": Contender("tf_vectors", {}, "prepare_tfp"),
    "normflows": Contender("torch_vectors", {"library": "normflows"}),
    "nflows": Contender("torch_vectors", {"library": "nflows"}),
    "zuko": Contender("torch_vectors", {"library": "zuko"}),
    "served": Contender("ours", {}, "prepare_served"),
    "served frozen": Contender("ours", {"frozen": True}, "prepare_served"),
    "image peer served": Contender("image_peer"),
    "chain stored": Contender("ours", {"memory": "stored"}, "prepare_chain"),
    "chain recompute": Contender("ours", {"memory": "recompute"}, "prepare_chain"),
}


@dataclasses.dataclass
class Prepared:
    """A contender that is built and has not run yet."""

    # The calls to time, by name; each returns when its results are computed.
    operations: dict[str, Callable[[], Any]]
    parameters: int
    networks: int = 0
    # Returns how often networks have run, or were traced, so far.
    network_runs: Callable[[], int] | None = None
    # A remark for readers of the figures.
    notes: list[str] = dataclasses.field(default_factory=list)


def closest_width(count, wanted, start):
    """Returns the width whose number of parameters is closest to `wanted`, and a note.

    It is `start` if that is within 5 % already, or if nothing is wanted.

    Raises:
      ValueError: If no width comes within 5 %.
    """
    if wanted is None:
        return start, ""
    width = start
    if abs(count(start) / wanted - 1) > 0.05:
        low, high = 1, max(2, start)
        while count(high) < wanted:
            low, high = high, 2 * high
        while high - low > 1:
            middle = (low + high) // 2
            low, high = (low, middle) if count(middle) > wanted else (middle, high)
        width = min((low, high), key=lambda w: abs(count(w) - wanted))
    ratio = count(width) / wanted
    if abs(ratio - 1) > 0.05:
        raise ValueError(
            f"width: expected one within 5 % of {wanted} parameters, got {ratio:.3f} "
            f"of them at best, with {width}."
        )
    instead = "" if width == start else f" instead of {start}"
    return width, f"width {width}{instead}, {ratio:.3f} of our parameters"
