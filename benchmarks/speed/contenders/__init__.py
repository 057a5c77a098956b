"""What is compared: each name, the module that prepares it and with which options.

No framework is imported here: the parent process reads this too.
"""

from __future__ import annotations

import dataclasses
import os
from collections.abc import Callable
from typing import Any

CONTENDERS: dict[str, tuple[str, dict[str, Any]]] = {
    "ours": ("ours", {}),
    "ours bfloat16": ("ours", {"network_dtype": "mixed_bfloat16"}),
    "ours recompute": ("ours", {"operations": ["train"], "memory": "recompute"}),
    "TFP route": ("tfp_route", {}),
    "tfb.Glow": ("glow", {}),
    "image peer": ("image_peer", {}),
    "image peer channels_last": ("image_peer", {"channels_last": True}),
    "floor": ("floor", {}),
    "floor with relu and additions": ("floor", {"complete": True}),
    "floor bfloat16": ("floor", {"dtype": "bfloat16"}),
    "convolutions": ("convolutions", {"framework": "tensorflow"}),
    "convolutions bfloat16": (
        "convolutions",
        {"framework": "tensorflow", "dtype": "bfloat16"},
    ),
    "torch convolutions": ("convolutions", {"framework": "torch"}),
    "torch convolutions channels_last": (
        "convolutions",
        {"framework": "torch", "channels_last": True},
    ),
    "vector ours": ("vectors_tf", {"route": "ours"}),
    "vector ours XLA": ("vectors_tf", {"route": "ours", "jit_compile": True}),
    "tfb.RealNVP": ("vectors_tf", {"route": "tfb"}),
    "normflows": ("vectors_torch", {"route": "normflows"}),
    "nflows": ("vectors_torch", {"route": "nflows"}),
    "zuko": ("vectors_torch", {"route": "zuko"}),
    "served": ("served", {}),
    "served frozen": ("served", {"frozen": True}),
    "image peer served": ("image_peer", {"served": True}),
    "chain stored": ("chain", {"memory": "stored"}),
    "chain recompute": ("chain", {"memory": "recompute"}),
}

IMAGE_PEERS = frozenset(n for n, (m, _) in CONTENDERS.items() if m == "image_peer")


@dataclasses.dataclass
class Prepared:
    """A contender that is built and has not run.

    Attributes:
      operations: What to time, by name; a call returns when all is computed.
      parameters: Number of trainable parameters.
      threads: What the framework says of its threads.
      networks: Number of networks in the flow.
      network_runs: Returns how often networks have run, or been traced, so far.
      notes: What a reader of the figures should know.
    """

    operations: dict[str, Callable[[], Any]]
    parameters: int
    threads: dict[str, int]
    networks: int = 0
    network_runs: Callable[[], int] | None = None
    notes: list[str] = dataclasses.field(default_factory=list)


def closest_width(
    count: Callable[[int], int], wanted: int, start: int
) -> tuple[int, str]:
    """Returns the width whose parameters come closest to those wanted, and a note.

    Args:
      count: Number of parameters at a width; grows with it.
      wanted: Number of parameters to come close to.
      start: Width to stay with if its parameters are within 5 % already.

    Raises:
      ValueError: If no width comes within 5 %.
    """
    if abs(count(start) / wanted - 1) <= 0.05:
        return start, f"width {start}, {count(start) / wanted:.3f} of our parameters"
    width = 1
    while count(width + 1) <= wanted:
        width += 1
    width = min((width, width + 1), key=lambda w: abs(count(w) - wanted))
    ratio = count(width) / wanted
    if abs(ratio - 1) > 0.05:
        raise ValueError(
            f"width: expected one within 5 % of {wanted} parameters, got {ratio:.3f} "
            f"of them at best, with {width}."
        )
    return width, f"width {width} instead of {start}, {ratio:.3f} of our parameters"


def tf_threads() -> dict[str, int]:
    """Returns TensorFlow's thread settings; 0 is its default, all cores."""
    import tensorflow as tf

    return {
        "intra_op": tf.config.threading.get_intra_op_parallelism_threads(),
        "inter_op": tf.config.threading.get_inter_op_parallelism_threads(),
        "cores": len(os.sched_getaffinity(0)),
    }


def torch_threads() -> dict[str, int]:
    """Returns PyTorch's thread settings."""
    import torch

    return {
        "intra_op": torch.get_num_threads(),
        "inter_op": torch.get_num_interop_threads(),
        "cores": len(os.sched_getaffinity(0)),
    }
