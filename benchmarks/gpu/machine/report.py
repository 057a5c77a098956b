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
    log: Mapping[str, Any],
    about: Mapping[str, Any],
    peer: Sequence[Mapping[str, Any]],
) -> dict[str, Any]:
    """Returns the log of `train.py` with speed, shares of peaks, and the peer's part.

    Args:
      log: What it wrote down.
      about: What `pack` told.
      peer: What `peer.py` found of each way to run the PyTorch flow; may be empty.
    """
    report = {**log, "peer": list(peer)}
    if not log["chunks"]:
        return report
    speed = statistics.median(chunk["images_per_second"] for chunk in log["chunks"])
    rate = speed * about["training_flops"]
    bare = log.get("operations_per_second_of_bare_convolutions")
    speeds = [way["images_per_second"] for way in peer if "images_per_second" in way]
    return {
        **report,
        "images_per_second": speed,
        "operations_per_second": rate,
        "share_of_peak": _shares(rate, log["device"], about["network_dtype"]),
        "share_of_bare_convolutions": bare and rate / bare,
        "times_the_peer": speed / max(speeds) if speeds else None,
    }


def _shares(rate: float, device: str, network_dtype: str) -> dict[str, float] | None:
    """Returns the share of each precision's peak; `None` if it is not known."""
    peaks = next((peaks for name, peaks in PEAKS.items() if name in device), None)
    if peaks is None:
        return None
    is_float32 = network_dtype == "float32"
    precisions = ("float32", "tf32") if is_float32 else ("bfloat16",)
    return {name: rate / peaks[name] for name in precisions}
