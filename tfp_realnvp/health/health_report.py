"""The evidence for and against a flow, as numbers and in words.

A finding is *grave* if densities or samples are off by more than flows usually differ
from one another: such a flow is not to be trusted.
"""

from __future__ import annotations

import dataclasses
import json
import math
from collections.abc import Iterator
from typing import Any, Literal

import numpy as np

from tfp_realnvp.health.measures import CouplingHealth, Errors, RoundTripHealth

# Half a grey level: beyond it a value in the middle of its bin ends in another bin.
PIXEL_TOLERANCE = 0.5
# Of the standard deviation of latents, or of data other than pixels. Half a grey level
# is such a share of the usual 60 of pixels. A latent that is off by this much moves the
# log-density by about as many nats, 0.014 bits; the paper's table has two decimals.
RELATIVE_TOLERANCE = 0.01
# A single wrong pixel is reported. With more than one in a thousand, three in an image
# of 32 x 32 x 3, images do not come back.
GRAVE_WRONG_SHARE = 1e-3
# In bits/dim, with the two decimals of the paper; a tenth separates architectures.
LARGEST_DRIFT, GRAVE_DRIFT = 0.01, 0.1
# In bits/dim. Flows trained here for an hour have 0.01 or 0.02, and below 0.05 during
# training. Statistics that are a whole bit off belong to other data.
LARGEST_GAP, GRAVE_GAP = 0.1, 1.0
# Of the log-scales of a coupling. Flows trained here have less than one in a thousand.
LARGEST_SATURATED_SHARE = 0.1
# Of the channels of a network; flows trained here have none. At this share a network
# costs a third more than one without the dead channels.
LARGEST_DEAD_SHARE = 0.25

_IMPRECISE = (
    "load the weights into a flow with dtype=tf.float64 and measure again: if that is "
    "healthy, rounding is the cause, which networks in bfloat16 (network_dtype) and "
    "large log-scales make worse; if not, a bijector in the flow is not invertible"
)
_TRAIN_ANEW = "train anew with a larger l2 or a smaller learning rate"
_ADVICE = {
    "non-finite weights": "go back to an earlier checkpoint",
    "non-finite log_prob": "look at these examples, and at any findings on log-scales",
    "round trip of data": _IMPRECISE,
    "round trip of samples": _IMPRECISE,
    "log-det drift": _IMPRECISE,
    "statistics gap": (
        "continue training at a small learning rate, so that the moving averages catch "
        "up, or make the flow with batch_norm='moving'; if the gap is negative or "
        "batches are small, measure with a larger batch_size first"
    ),
    "large log-scale": _TRAIN_ANEW,
    "saturated scales": _TRAIN_ANEW,
    "dead channels": "use fewer feature maps or a smaller learning rate",
}


@dataclasses.dataclass(frozen=True)
class Finding:
    """One piece of evidence against a flow, of a fixed set of kinds."""

    kind: str
    where: str
    value: float
    threshold: float
    what: str
    is_grave: bool = False

    @property
    def advice(self) -> str:
        """What to do about it."""
        return _ADVICE[self.kind]

    def __str__(self) -> str:
        threshold = f"(threshold {self.threshold:.2g})"
        return f"{self.where}: {self.what} {threshold}. To do: {self.advice}."


@dataclasses.dataclass(frozen=True)
class HealthReport:
    """The result of `flow_health`; `str` makes it a table and a verdict in words.

    Attributes:
      count: Number of examples.
      batch_size: Number of examples in a batch, for batch statistics.
      event_shape: Of the flow.
      dtype: Name of the flow's dtype.
      units: Of the scores: `"bits/dim"` over pixels, otherwise `"nats"`.
      data: Round trip of the data, `forward(inverse(x)) - x`: `errors` (`max`, `mean`,
        `quantile_999`, which one in a thousand exceeds, and the number `non_finite`),
        `tolerance`, and `wrong_share`, the share of entries that are off by more.
      samples: The same for latents drawn from the base, `inverse(forward(z)) - z`, by
        scale, finest first.
      worst: Index of the entry of the data with the largest error: the example, then
        the place in it (row, column and channel of an image).
      log_det_drift: `forward_log_det(z) + inverse_log_det(x)` of each example, in nats.
      log_det_drift_bits_per_dim: The largest drift in bits per dimension.
      score_by_running: Mean negative log-density by running statistics, in `units`.
      score_by_batch: The same by batch statistics.
      gap: The first minus the second.
      couplings: For each coupling its `name`, `max_log_scale` on the data,
        `saturated_share` of the log-scales, and `dead_channels` among its `channels`.
      non_finite_weights: Names of weights that hold NaN or infinity.
      non_finite_log_probs: Number of examples whose log-density is not finite.
    """

    count: int
    batch_size: int
    event_shape: tuple[int, ...]
    dtype: str
    units: str
    data: RoundTripHealth
    samples: tuple[RoundTripHealth, ...]
    worst: tuple[int, ...]
    log_det_drift: Errors
    log_det_drift_bits_per_dim: float
    score_by_running: float
    score_by_batch: float
    gap: float
    couplings: tuple[CouplingHealth, ...]
    non_finite_weights: tuple[str, ...]
    non_finite_log_probs: int

    @property
    def findings(self) -> tuple[Finding, ...]:
        """The evidence against the flow, the gravest first."""
        found = (*self._of_flow(), *self._of_couplings())
        return tuple(sorted(found, key=lambda finding: not finding.is_grave))

    @property
    def verdict(self) -> Literal["healthy", "usable, but", "not to be trusted"]:
        """The verdict: whether there are findings, and whether one is grave."""
        if not self.findings:
            return "healthy"
        return "not to be trusted" if self.findings[0].is_grave else "usable, but"

    def to_dict(self) -> dict[str, Any]:
        """Returns the report for JSON; `None` stands for NaN and infinity."""
        findings = [
            {**dataclasses.asdict(f), "advice": f.advice, "text": str(f)}
            for f in self.findings
        ]
        values = {"verdict": self.verdict, "findings": findings}
        text = json.dumps({**values, **dataclasses.asdict(self)})
        return json.loads(text, parse_constant=lambda constant: None)

    def __str__(self) -> str:
        shape = " x ".join(map(str, self.event_shape))
        title = (
            f"Health of a flow over {shape} in {self.dtype}, on {self.count} examples"
        )
        verdict = [f"Verdict: {self.verdict}:", *(f"- {f}" for f in self.findings)]
        if not self.findings:
            verdict = ["Verdict: healthy. All figures are within their thresholds."]
        return "\n".join([title, "", *_table(self._rows()), "", *verdict])

    def _in_units(self, bits_per_dim: float) -> float:
        if self.units == "bits/dim":
            return bits_per_dim
        return bits_per_dim * math.prod(self.event_shape) * math.log(2)

    def _largest_log_scale(self) -> float:
        # Beyond it one coupling loses half of the digits: in one of the two directions
        # a scale of exp(s) magnifies rounding errors, and exp(s) * epsilon =
        # sqrt(epsilon) at s = 8 in float32, and 18 in float64.
        return -0.5 * math.log(np.finfo(self.dtype).eps)

    def _worst_entry(self) -> str:
        names = ["example", *["entry"] * (len(self.worst) - 1)]
        if self.units == "bits/dim":
            names = ["image", "row", "column", "channel"]
        named = zip(names, self.worst, strict=True)
        return ", ".join(f"{name} {i}" for name, i in named)

    def _of_flow(self) -> Iterator[Finding]:
        names, count = self.non_finite_weights, self.non_finite_log_probs
        if names:
            what = f"holds NaN or infinity, as do {len(names) - 1} other weights"
            yield Finding("non-finite weights", names[0], len(names), 0, what, True)
        if count:
            what = f"is NaN or infinite for {count} examples"
            yield Finding("non-finite log_prob", "log_prob", count, 0, what, True)
        yield from _round_trip(self.data, f"data, worst in {self._worst_entry()}")
        for number, trip in enumerate(self.samples, 1):
            yield from _round_trip(trip, f"samples, scale {number}")
        drift, gap = self.log_det_drift_bits_per_dim, self.gap
        largest, grave = map(self._in_units, (LARGEST_GAP, GRAVE_GAP))
        # NaN is beyond every threshold.
        if not drift <= LARGEST_DRIFT:
            what = f"forward plus inverse is {drift:.2g} bits/dim instead of 0"
            kind, where = "log-det drift", "log-determinant"
            is_grave = not drift <= GRAVE_DRIFT
            yield Finding(kind, where, drift, LARGEST_DRIFT, what, is_grave)
        if not abs(gap) <= largest:
            what = (
                f"scores by running statistics are {gap:+.3g} {self.units} from those "
                f"by the statistics of batches of {self.batch_size}"
            )
            kind, where = "statistics gap", "batch normalization"
            is_grave = not abs(gap) <= grave
            yield Finding(kind, where, gap, largest, what, is_grave)

    def _of_couplings(self) -> Iterator[Finding]:
        most = self._largest_log_scale()
        for coupling in self.couplings:
            name, scale = coupling.name, coupling.max_log_scale
            if scale > most:
                what = (
                    f"log-scales reach {scale:.3g}, where half of the digits of "
                    f"{self.dtype} are lost in this coupling alone"
                )
                yield Finding("large log-scale", name, scale, most, what)
            share, limit = coupling.saturated_share, LARGEST_SATURATED_SHARE
            if share > limit:
                what = (
                    f"a share of {share:.3g} of the log-scales, up to {scale:.3g}, is "
                    "near the bound and hardly learns"
                )
                yield Finding("saturated scales", name, share, limit, what)
            dead, channels = coupling.dead_channels, coupling.channels
            share, limit = dead / max(1, channels), LARGEST_DEAD_SHARE
            if share > limit:
                what = f"{dead} of {channels} hidden channels are 0 on all data"
                yield Finding("dead channels", f"{name}.network", share, limit, what)

    def _rows(self) -> Iterator[tuple[str, ...]]:
        yield "", "largest", "mean", "99.9 % quantile", "should be below"
        unit = "pixel values" if self.units == "bits/dim" else "units of the data"
        trips = {f"data, {unit}": self.data}
        for number, trip in enumerate(self.samples, 1):
            trips[f"samples, latents of scale {number}"] = trip
        for name, trip in trips.items():
            bound = f"{trip.tolerance:.2g}"
            yield f"round trip of {name}", *_figures(trip.errors), bound
        yield "log-det forward plus inverse, nats", *_figures(self.log_det_drift), ""
        drift = f"{self.log_det_drift_bits_per_dim:.2g}"
        yield "  the same in bits/dim", drift, "", "", f"{LARGEST_DRIFT:.2g}"
        scores = f"{self.score_by_running:.4g} - {self.score_by_batch:.4g}"
        name = f"running minus batch statistics, {self.units}"
        yield name, f"{self.gap:+.3g}", scores, "", f"{self._in_units(LARGEST_GAP):.2g}"
        if not self.couplings:
            return
        columns = zip(*map(dataclasses.astuple, self.couplings), strict=True)
        _, shares, scales, channels, dead = columns
        bound = f"{self._largest_log_scale():.2g}"
        yield "log-scales of a coupling", f"{max(scales):.3g}", "", "", bound
        bound = f"{LARGEST_SATURATED_SHARE:.0%}"
        yield "  share of them at their bound", f"{max(shares):.2%}", "", "", bound
        bound = f"{LARGEST_DEAD_SHARE:.0%} of a network"
        yield "dead channels", f"{sum(dead)} of {sum(channels)}", "", "", bound


def _round_trip(trip: RoundTripHealth, where: str) -> Iterator[Finding]:
    value, errors = trip.wrong_share, trip.errors
    if value:
        kind = f"round trip of {where.partition(',')[0]}"
        what = (
            f"{value:.2%} of the entries come back off by more than "
            f"{trip.tolerance:.2g}, by up to {errors.max:.3g}, and {errors.non_finite} "
            "as NaN or infinity"
        )
        grave = value > GRAVE_WRONG_SHARE
        yield Finding(kind, f"round trip of {where}", value, 0, what, grave)


def _figures(errors: Errors) -> tuple[str, ...]:
    return tuple(f"{v:.2g}" for v in (errors.max, errors.mean, errors.quantile_999))


def _table(rows: Iterator[tuple[str, ...]]) -> list[str]:
    cells = list(rows)
    widths = [max(map(len, column)) for column in zip(*cells, strict=True)]
    lines = ["| " + " | ".join(map(str.ljust, row, widths)) + " |" for row in cells]
    lines.insert(1, "|" + "|".join("-" * (width + 2) for width in widths) + "|")
    return lines
