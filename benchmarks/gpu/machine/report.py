"""What is told of training on the GPU machine."""

from __future__ import annotations

import statistics
from collections.abc import Mapping, Sequence
from typing import Any

# NVIDIA's figures for dense products, in operations a second. Products of float32 may
# be made in TF32.
_HOPPER = {"float32": 66.9e12, "tf32": 494.7e12, "bfloat16": 989.4e12}
PEAKS = {"H100": _HOPPER, "H200": _HOPPER}


def make_report(
    logs: Sequence[Mapping[str, Any]],
    about: Mapping[str, Any],
    plan: Mapping[str, Any],
    peer: Mapping[str, Any] | None,
) -> dict[str, Any]:
    """Returns speed, share of the peak, and bits/dim over time.

    Args:
      logs: Of `train_on_gpu.py`, one for each call, in order.
      about: What `pack` told.
      plan: What the first call planned.
      peer: What `peer.py` found, or `None`.
    """
    chunks, evaluations, seconds = [], [], 0.0
    at_step = {}
    for log in logs:
        for chunk in log["chunks"]:
            seconds += chunk["seconds"]
            at_step[chunk["step"]] = seconds
            chunks.append(
                {
                    "step": chunk["step"],
                    "seconds": round(seconds, 2),
                    "bits_per_dim": chunk["bits_per_dim"],
                    "gradient_norm": chunk["gradient_norm"],
                    "learning_rate": chunk["learning_rate"],
                }
            )
        evaluations += [
            {
                "step": found["step"],
                "seconds": round(at_step.get(found["step"], 0.0), 2),
                "test_bits_per_dim": found["bits_per_dim"],
                "images": found["examples"],
            }
            for found in log["evals"]
        ]
    every = [chunk for log in logs for chunk in log["chunks"]]
    report = {
        "device": logs[-1]["device"],
        "jax": logs[-1]["jax"],
        "plan": dict(plan),
        "step": every[-1]["step"] if every else logs[-1]["first_step"],
        "training_seconds": seconds,
        "compile_seconds": [log.get("compile_s") for log in logs],
        "refused_steps": round(
            sum((1 - chunk["is_finite"]) * plan["chunk"] for chunk in every)
        ),
        "evaluations": evaluations,
        "curve": chunks,
        "peer": peer,
    }
    if every:
        speed = statistics.median(chunk["examples_per_s"] for chunk in every)
        report["images_per_second"] = speed
        report["chunks_of_median"] = len(every)
        flops = speed * about["cost"]["training_flops"]
        report["operations_per_second"] = flops
        report["share_of_peak"] = _shares(flops, logs[-1]["device"], about)
        if peer is not None and peer["batch_size"] == plan["batch_size"]:
            report["times_the_peer"] = speed / peer["images_per_second"]
    return report


def _shares(
    flops: float, device: str, about: Mapping[str, Any]
) -> dict[str, float] | None:
    """Returns the share of each precision's peak; `None` if it is not known."""
    peaks = next((peaks for name, peaks in PEAKS.items() if name in device), None)
    if peaks is None:
        return None
    is_float32 = about["run"]["flow"].get("network_dtype") in (None, "float32")
    precisions = ("float32", "tf32") if is_float32 else ("bfloat16",)
    return {name: flops / peaks[name] for name in precisions}
