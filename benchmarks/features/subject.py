"""What a library's module hands to the probes."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Sequence
from types import ModuleType
from typing import Any

# Cells that tell who puts the flow together.
READY, PARTS = "yes", "from parts"

# Small enough for a Jacobian; a side of 4 leaves one pixel after two squeezes.
SIDE, SIZE, CONDITION_SIZE = 4, 6, 3

# By how much weights are moved off their first values; by 0.1 Glow overflows.
DISTURBANCE = 0.03


@dataclasses.dataclass
class Flow:
    """A flow that is built.

    Attributes:
      module: What holds the weights: a distribution or a `torch.nn.Module`.
      log_prob: Scores events.
      sample: Draws as many events as it is asked for.
      inverse: Returns latents and log-determinants of events.
      networks: The networks of its couplings, one each.
      joint: How the library draws events and scores them at once, in words and as a
        call.
    """

    module: Any
    log_prob: Callable[[Any], Any]
    sample: Callable[[int], Any]
    inverse: Callable[[Any], tuple[Any, Any]]
    networks: Sequence[Any]
    joint: tuple[str, Callable[[int], Any]] | None = None


@dataclasses.dataclass
class Attempt:
    """One way to do something with a library.

    Attributes:
      cell: What the table says if it works.
      what: What is tried, for the footnote if it does not.
      make: Makes what the probe takes; may fail.
      note: Footnote if it works.
    """

    cell: str
    what: str
    make: Callable[..., Any]
    note: str = ""


@dataclasses.dataclass
class Subject:
    """A library under the probes. Attempts come in order, the best first.

    Attributes:
      tools: Module of what depends on the framework.
      flow: Makes the flow that most probes take.
      images: Each makes a `Flow` over images.
      vectors: Each makes a `Flow` over vectors.
      conditions: Each makes events, and what scores them given conditions.
      larger: Each takes a `Flow` over images and draws one with sides twice as long.
      keras_flow: Makes a flow around networks of Keras 3.
    """

    tools: ModuleType
    flow: Callable[[], Flow]
    images: Sequence[Attempt]
    vectors: Sequence[Attempt]
    conditions: Sequence[Attempt]
    larger: Sequence[Attempt] = ()
    keras_flow: Callable[[], Flow] | None = None
