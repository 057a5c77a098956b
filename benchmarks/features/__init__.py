"""Finds out what Real NVP libraries can do by running them.

No framework is imported here: the parent process imports this too.
"""

import dataclasses
from collections.abc import Callable, Sequence
from types import ModuleType
from typing import Any, NamedTuple

_TFP = ("tensorflow", "tensorflow-probability", "keras", "tf-keras")
IMAGE_PEER = "chrischute/real-nvp"
# Each column of the table: the module that has its `SUBJECT`, and the packages whose
# versions are reported.
LIBRARIES = {
    "tfp_realnvp": ("ours", ("tfp-realnvp", *_TFP)),
    "tfb.RealNVP": ("tfp_real_nvp", _TFP),
    "tfb.Glow": ("tfp_glow", _TFP),
    "nflows": ("with_nflows", ("nflows", "torch")),
    "normflows": ("with_normflows", ("normflows", "torch")),
    "zuko": ("with_zuko", ("zuko", "torch")),
    IMAGE_PEER: ("image_peer", ("torch",)),
}

# Cells that say who puts the flow together.
READY, PARTS = "yes", "from parts"
# Small enough for a Jacobian; a side of 4 leaves one pixel after two squeezes.
SIDE, SIZE, CONDITION_SIZE = 4, 6, 3
# Size of the noise added to initial weights; with 0.1 Glow overflows.
DISTURBANCE = 0.03


class Flow(NamedTuple):
    """A flow that is built.

    `module` holds the weights, `inverse` returns latents and log-determinants, and
    `joint` is the library's way to draw and score events at once: its name and a call.
    """

    module: Any
    log_prob: Callable
    sample: Callable
    inverse: Callable
    networks: Sequence[Any]
    joint: tuple[str, Callable] | None = None


class Attempt(NamedTuple):
    """A way to try something.

    If it works, `cell` is in the table, with the footnote `note`; if not, a footnote
    names it by `what`.
    """

    cell: str
    what: str
    make: Callable
    note: str = ""


@dataclasses.dataclass
class Subject:
    """A library to probe, with the tools of its framework.

    Attempts are in order, the best first; there are none if a library has nothing to
    try. Those of `conditions` return events and a function that scores them given
    conditions; those of `larger` draw images with sides twice as long from a flow.
    """

    tools: ModuleType
    flow: Callable
    images: Sequence[Attempt] = ()
    vectors: Sequence[Attempt] = ()
    conditions: Sequence[Attempt] = ()
    larger: Sequence[Attempt] = ()
    keras_flow: Callable | None = None
