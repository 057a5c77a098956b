"""What speaks against a flow: where, how much, from where on, and what helps.

A finding is *grave* if densities or samples are wrong by more than what flows are
compared by, and the flow is not to be trusted then; else the flow is usable, but.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from tfp_realnvp.health.health_report import HealthReport, RoundTripHealth

# Half a pixel: a value in the middle of its bin comes back in another.
PIXEL_TOLERANCE = 0.5
# Of the spread of what is not pixels. Half a pixel is such a part of the usual spread
# of pixels, about 60; a latent off by so much moves the log-density by about as many
# nats, 0.014 bits, and the paper's table ends with the second digit of bits/dim.
RELATIVE_TOLERANCE = 0.01
# A single wrong pixel is worth a word. Where it is more than one in a thousand, that
# is three in an image of 32 x 32 x 3, images do not come back.
GRAVE_WRONG_SHARE = 1e-3
# In bits/dim. The paper's table has two digits; a tenth separates architectures.
LARGEST_DRIFT = 0.01
GRAVE_DRIFT = 0.1
# In bits/dim. Flows trained here for an hour have a hundredth or two, in the midst of
# training less than 0.05. Statistics that are a whole bit off are of other data.
LARGEST_GAP = 0.1
GRAVE_GAP = 1.0
# Of the log-scales of a coupling. Flows trained here have less than one in a thousand.
LARGEST_SATURATED_SHARE = 0.1
# Of the channels of a network; flows trained here have none. The network costs a third
# more than one of as many living channels.
LARGEST_DEAD_SHARE = 0.25

_IMPRECISE = (
    "load the weights into a flow with dtype=tf.float64 and measure again: if that is "
    "healthy it was rounding, which networks in bfloat16 (network_dtype) and large "
    "log-scales make worse; if not, a bijector in the flow is none"
)
_AT_NON_FINITE = (
    "look at these examples, and at log-scales and statistics below if there are any"
)


@dataclasses.dataclass(frozen=True)
class Finding:
    """One thing that speaks against a flow.

    Attributes:
      kind: Python `str` of a fixed set, for programs.
      is_grave: Whether the flow is not to be trusted for it.
      where: The coupling, layer, scale or pixel.
      value: What was measured.
      threshold: What it should not exceed.
      what: What was measured, in words with figures.
      advice: What to do.
    """

    kind: str
    is_grave: bool
    where: str
    value: float
    threshold: float
    what: str
    advice: str

    def __str__(self) -> str:
        return f"{self.where}: {self.what}. To do: {self.advice}."


def largest_log_scale(dtype: str) -> float:
    """Returns the log-scale from which on one coupling costs half of a dtype's digits.

    A scale of `exp(s)` magnifies rounding that much on one of the two ways, and
    `exp(s) * epsilon = sqrt(epsilon)` at that `s`: 8 in float32, 18 in float64.
    """
    return -0.5 * math.log(np.finfo(dtype).eps)


def nats_of_bits_per_dim(bits: float, event_shape: Sequence[int]) -> float:
    """Returns bits per dimension as nats of a whole event."""
    return bits * math.prod(event_shape) * math.log(2)


def entry_name(index: Sequence[int], is_over_pixels: bool) -> str:
    """Returns in words where in the data an entry is."""
    names = ["example", *["entry"] * (len(index) - 1)]
    if is_over_pixels:
        names = ["image", "row", "column", "channel"]
    return ", ".join(f"{name} {i}" for name, i in zip(names, index, strict=True))


def find_all(report: HealthReport) -> tuple[Finding, ...]:
    """Returns the findings on what was measured, the gravest first."""
    findings = [
        *_non_finite(report),
        *_round_trips(report),
        *_drift(report),
        *_gap(report),
        *_couplings(report),
        *_flat_norms(report),
    ]
    return tuple(sorted(findings, key=lambda finding: not finding.is_grave))


def _non_finite(report: HealthReport) -> Iterator[Finding]:
    names, count = report.non_finite_weights, report.non_finite_log_probs
    if names:
        yield Finding(
            "non-finite weights",
            True,
            names[0],
            len(names),
            0,
            f"holds NaN or infinity, as do {len(names) - 1} other weights",
            "go back to a checkpoint from before",
        )
    if count:
        yield Finding(
            "non-finite log_prob",
            True,
            "log_prob of the data",
            count,
            0,
            f"is NaN or infinite for {count} of {report.count} examples",
            _AT_NON_FINITE,
        )


def _round_trips(report: HealthReport) -> Iterator[Finding]:
    worst = report.worst[0]
    name = entry_name(worst.index, report.is_over_pixels)
    where = f"round trip of data, worst in {name}, which is off by {worst.error:.3g}"
    yield from _round_trip(report.data, "data", where)
    for number, trip in enumerate(report.samples, 1):
        scale = f", scale {number} of {len(report.samples)}"
        scale = scale if len(report.samples) > 1 else ""
        where = f"round trip of samples{scale}, largest error {trip.errors.max:.3g}"
        yield from _round_trip(trip, "samples", where)


def _round_trip(trip: RoundTripHealth, kind: str, where: str) -> Iterator[Finding]:
    if trip.wrong_share:
        entries = "entries of the data" if kind == "data" else "latents"
        yield Finding(
            f"round trip of {kind}",
            trip.wrong_share > GRAVE_WRONG_SHARE,
            where,
            trip.wrong_share,
            0.0,
            f"{trip.wrong_share:.2%} of the {entries} come back off by more than "
            f"{trip.tolerance:.2g}, {trip.errors.non_finite} of them as NaN or "
            f"infinity; none should, and at most {GRAVE_WRONG_SHARE:.1%} may",
            _IMPRECISE,
        )


def _drift(report: HealthReport) -> Iterator[Finding]:
    drift = report.log_det_drift_bits_per_dim
    # A drift of NaN is one too.
    if not drift <= LARGEST_DRIFT:
        yield Finding(
            "log-det drift",
            not drift <= GRAVE_DRIFT,
            "log-determinant",
            drift,
            LARGEST_DRIFT,
            f"there and back it adds up to {report.log_det_drift.max:.3g} nats, "
            f"{drift:.2g} bits/dim, instead of 0 (threshold {LARGEST_DRIFT} bits/dim)",
            _IMPRECISE,
        )


def _gap(report: HealthReport) -> Iterator[Finding]:
    gap, factor = report.gap, 1.0
    if not report.is_over_pixels:
        factor = nats_of_bits_per_dim(1.0, report.event_shape)
    if not abs(gap) <= LARGEST_GAP * factor:
        yield Finding(
            "statistics gap",
            not abs(gap) <= GRAVE_GAP * factor,
            "batch normalization",
            gap,
            LARGEST_GAP * factor,
            f"scores by running statistics are {gap:+.3g} {report.units} from those by "
            f"statistics of batches of {report.batch_size} (threshold "
            f"{LARGEST_GAP * factor:.2g})",
            "train on with a small learning rate, so that the moving averages catch "
            "up, or make the flow with batch_norm='moving'; if the gap is negative or "
            "batches are small, measure with a larger batch_size first",
        )


def _couplings(report: HealthReport) -> Iterator[Finding]:
    bound = largest_log_scale(report.dtype)
    for coupling in report.couplings:
        if coupling.max_log_scale > bound:
            yield Finding(
                "large log-scale",
                False,
                coupling.name,
                coupling.max_log_scale,
                bound,
                f"log-scales reach {coupling.max_log_scale:.3g} (threshold {bound:.2g}"
                f"), where half of the digits of {report.dtype} are lost in this "
                "coupling alone",
                "train anew with a larger l2, or a smaller learning rate",
            )
        share = coupling.saturated_share or 0.0
        if coupling.gain is not None and share > LARGEST_SATURATED_SHARE:
            yield Finding(
                "saturated scales",
                False,
                coupling.name,
                share,
                LARGEST_SATURATED_SHARE,
                f"{share:.1%} of the log-scales are within 1 % of their bound, "
                f"{abs(coupling.gain):.3g} (threshold {LARGEST_SATURATED_SHARE:.0%}), "
                "and hardly learn any more",
                "train anew with a larger l2, or a smaller learning rate",
            )
        if coupling.dead_share > LARGEST_DEAD_SHARE:
            yield Finding(
                "dead channels",
                False,
                f"{coupling.name}.network",
                coupling.dead_share,
                LARGEST_DEAD_SHARE,
                f"{coupling.dead_channels} of {coupling.channels} hidden channels are "
                f"0 at all data (threshold {LARGEST_DEAD_SHARE:.0%})",
                "take fewer feature maps, which would do as well, or a smaller "
                "learning rate",
            )


def _flat_norms(report: HealthReport) -> Iterator[Finding]:
    for norm in report.flat_norms:
        yield Finding(
            "flat statistics",
            False,
            norm.name,
            norm.smallest_variance,
            norm.epsilon,
            f"the running variance of {norm.flat_channels} of {norm.channels} channels "
            f"is below epsilon, {norm.epsilon:.2g}, and as low as "
            f"{norm.smallest_variance:.2g}, so that not the data but epsilon sets "
            "their scale",
            "look for data that are the same in all examples, and add noise to them "
            "or leave them out",
        )
