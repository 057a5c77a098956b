"""The arms: the peer, ours, and ours with one thing changed."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from typing import Any

# The arm that the others are compared with.
BASE = "cifar10-plus"
PEER = "PyTorch peer"


@dataclasses.dataclass(frozen=True)
class Arm:
    """One way to train a flow, at the sizes of the task."""

    about: str
    # The module that trains it.
    trainer: str = "ours"
    preset: str = BASE
    # Arguments of `image_flow` and of `RunConfig` that differ from the preset's.
    flow: Mapping[str, Any] = dataclasses.field(default_factory=dict)
    recipe: Mapping[str, Any] = dataclasses.field(default_factory=dict)
    # Keys of `CHANGES`: parts of the package that are replaced.
    changes: tuple[str, ...] = ()


ARMS = {
    PEER: Arm("chrischute/real-nvp, as it is", trainer="peer"),
    "cifar10": Arm("the paper's flow and training", preset="cifar10"),
    BASE: Arm("ours; all below are this with one change"),
    "moving, 0.1": Arm(
        "batch normalization of Appendix E, momentum 0.1",
        flow={"batch_norm": "moving", "momentum": 0.1},
    ),
    "no batch norm": Arm("no batch normalization", flow={"batch_norm": None}),
    "plain convolutions": Arm(
        "no weight normalization", changes=("plain convolutions",)
    ),
    "gain 0": Arm("tanh gains of all couplings start at 0", changes=("gain 0",)),
    "gain 1": Arm("tanh gains of all couplings start at 1", changes=("gain 1",)),
    "scale then shift": Arm(
        "z = x exp(s) + t instead of (x - t) exp(-s)", changes=("scale then shift",)
    ),
    "crelu": Arm("networks see [relu(h), relu(-h)], not h", flow={"crelu": True}),
    "no skips": Arm("no skip connections into the output", changes=("no skips",)),
    "centres": Arm("pixels + 0.5 in training instead of noise", changes=("centres",)),
    "constant": Arm("constant learning rate", recipe={"schedule": "constant"}),
    "constant, average": Arm(
        "constant learning rate, moving average of the weights",
        recipe={"schedule": "constant", "average_decay": 0.99},
    ),
    "cosine": Arm("cosine learning rate", recipe={"schedule": "cosine"}),
    "rate 1e-3": Arm("learning rate 1e-3", recipe={"learning_rate": 1e-3}),
    "no invertible convolutions": Arm(
        "channels are not mixed before channel-wise couplings",
        flow={"invertible_conv": False},
    ),
    "bfloat16": Arm(
        "networks compute in bfloat16", flow={"network_dtype": "mixed_bfloat16"}
    ),
}

# Former arms. docs/results.md has their figures, made by the benchmark at the commit
# named there. None was a gain.
GONE = ("act norm", "learned base", "mixture couplings", "variational dequantization")
