"""What `flow_health` found, as numbers and in words."""

from __future__ import annotations

import dataclasses
import math
from typing import Any, Literal

from tfp_realnvp.health.health_findings import (
    LARGEST_DEAD_SHARE,
    LARGEST_DRIFT,
    LARGEST_GAP,
    LARGEST_SATURATED_SHARE,
    Finding,
    entry_name,
    find_all,
    largest_log_scale,
    nats_of_bits_per_dim,
)
from tfp_realnvp.health.network_health import CouplingHealth, FlatNorm
from tfp_realnvp.health.round_trips import Errors


@dataclasses.dataclass(frozen=True)
class WorstEntry:
    """An entry of the data that comes back most wrong.

    Attributes:
      index: Number of the example, then where in it: row, column, channel of an image.
      error: By how much, in the units of the data.
    """

    index: tuple[int, ...]
    error: float


@dataclasses.dataclass(frozen=True)
class RoundTripHealth:
    """How exactly something comes back.

    Attributes:
      errors: Of all entries.
      tolerance: What an entry may be off by, in the same units.
      wrong_share: Share of the entries that are off by more, or not finite.
    """

    errors: Errors
    tolerance: float
    wrong_share: float


@dataclasses.dataclass(frozen=True)
class HealthReport:
    """What `flow_health` found. `str` of it is a table and a verdict in words.

    Attributes:
      count: Number of examples.
      batch_size: Examples in a batch whose statistics were taken.
      event_shape: Of the flow.
      dtype: Name of the flow's dtype.
      is_over_pixels: Whether data are pixels in [0, 256).
      units: Of the scores: `"bits/dim"` over pixels, otherwise `"nats"`.
      data: Round trip of the data, `forward(inverse(x)) - x`.
      samples: Round trip of latents drawn from the base, `inverse(forward(z)) - z`, by
        scale, finest first.
      worst: The entries of the data that come back most wrong.
      log_det_drift: `forward_log_det(z) + inverse_log_det(x)` in nats, of an example.
      log_det_drift_bits_per_dim: The largest of them in bits per dimension.
      score_by_running: Mean negative log-density by running statistics, in `units`.
      score_by_batch: The same by the statistics of batches.
      gap: The first minus the second.
      couplings: What every coupling does with the data.
      flat_norms: Batch normalizations of channels that do not vary.
      non_finite_weights: Names of weights that hold NaN or infinity.
      non_finite_log_probs: How many examples have a log-density that is not finite.
    """

    count: int
    batch_size: int
    event_shape: tuple[int, ...]
    dtype: str
    is_over_pixels: bool
    units: str
    data: RoundTripHealth
    samples: tuple[RoundTripHealth, ...]
    worst: tuple[WorstEntry, ...]
    log_det_drift: Errors
    log_det_drift_bits_per_dim: float
    score_by_running: float
    score_by_batch: float
    gap: float
    couplings: tuple[CouplingHealth, ...]
    flat_norms: tuple[FlatNorm, ...]
    non_finite_weights: tuple[str, ...]
    non_finite_log_probs: int

    @property
    def findings(self) -> tuple[Finding, ...]:
        """What speaks against the flow, the gravest first."""
        return find_all(self)

    @property
    def verdict(self) -> Literal["healthy", "usable, but", "not to be trusted"]:
        """The word for it: whether there are findings, and whether one is grave."""
        findings = self.findings
        if not findings:
            return "healthy"
        is_grave = any(finding.is_grave for finding in findings)
        return "not to be trusted" if is_grave else "usable, but"

    def to_dict(self) -> dict[str, Any]:
        """Returns all of it as JSON takes it; `None` stands for NaN and infinity."""
        findings = [
            {**dataclasses.asdict(finding), "text": str(finding)}
            for finding in self.findings
        ]
        values = dataclasses.asdict(self)
        return _plain({"verdict": self.verdict, "findings": findings, **values})

    def __str__(self) -> str:
        shape = " x ".join(map(str, self.event_shape))
        title = (
            f"Health of a flow over {shape} in {self.dtype}, on {self.count} examples"
        )
        worst = "; ".join(
            f"{entry_name(entry.index, self.is_over_pixels)}: {entry.error:.2g}"
            for entry in self.worst[:3]
        )
        lines = [title, "", *_table(self._rows()), "", f"Worst: {worst}.", ""]
        if self.findings:
            lines.append(f"Verdict: {self.verdict}:")
            lines += [f"- {finding}" for finding in self.findings]
        else:
            lines.append("Verdict: healthy. All figures are within their thresholds.")
        return "\n".join(lines)

    def _rows(self) -> list[tuple[str, ...]]:
        unit = "pixel values" if self.is_over_pixels else "units of the data"
        rows: list[tuple[str, ...]] = [
            ("", "largest", "mean", "of all but 1 in 1000", "should be below")
        ]
        rows.append((f"round trip of data, {unit}", *_trip(self.data)))
        for number, trip in enumerate(self.samples, 1):
            where = f", scale {number}" if len(self.samples) > 1 else ""
            rows.append((f"round trip of samples, latents{where}", *_trip(trip)))
        drift = self.log_det_drift
        nats = nats_of_bits_per_dim(LARGEST_DRIFT, self.event_shape)
        rows.append(("log-det there plus back, nats", *_numbers(drift), f"{nats:.2g}"))
        rows.append(
            (
                "  the same in bits/dim",
                f"{self.log_det_drift_bits_per_dim:.2g}",
                "",
                "",
                f"{LARGEST_DRIFT:.2g}",
            )
        )
        scores = f"{self.score_by_running:.4g} - {self.score_by_batch:.4g}"
        largest_gap = LARGEST_GAP
        if not self.is_over_pixels:
            largest_gap = nats_of_bits_per_dim(LARGEST_GAP, self.event_shape)
        rows.append(
            (
                f"running minus batch statistics, {self.units}",
                f"{self.gap:+.3g}",
                scores,
                "",
                f"{largest_gap:.2g}",
            )
        )
        if self.couplings:
            rows += self._rows_of_couplings()
        return rows

    def _rows_of_couplings(self) -> list[tuple[str, ...]]:
        log_scale = max(c.max_log_scale for c in self.couplings)
        saturated = [c.saturated_share or 0.0 for c in self.couplings]
        looked_into = [c for c in self.couplings if c.channels is not None]
        dead = sum(c.dead_channels or 0 for c in looked_into)
        channels = sum(c.channels or 0 for c in looked_into)
        share = f"{dead} of {channels}"
        if len(looked_into) < len(self.couplings):
            share += f" in {len(looked_into)} of {len(self.couplings)} networks"
        flat = sum(norm.flat_channels for norm in self.flat_norms)
        bound = largest_log_scale(self.dtype)
        return [
            ("log-scales of a coupling", f"{log_scale:.3g}", "", "", f"{bound:.2g}"),
            (
                "  share of them at their bound",
                f"{max(saturated):.2%}",
                "",
                "",
                f"{LARGEST_SATURATED_SHARE:.0%}",
            ),
            ("dead channels", share, "", "", f"{LARGEST_DEAD_SHARE:.0%} of a network"),
            ("channels with flat statistics", str(flat), "", "", "1"),
        ]


def _trip(trip: RoundTripHealth) -> tuple[str, ...]:
    return (*_numbers(trip.errors), f"{trip.tolerance:.2g}")


def _numbers(errors: Errors) -> tuple[str, ...]:
    return tuple(f"{v:.2g}" for v in (errors.max, errors.mean, errors.quantile_999))


def _table(rows: list[tuple[str, ...]]) -> list[str]:
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    lines = ["| " + " | ".join(map(str.ljust, row, widths)) + " |" for row in rows]
    lines.insert(1, "|" + "|".join("-" * (width + 2) for width in widths) + "|")
    return lines


def _plain(value: Any) -> Any:
    if isinstance(value, dict):
        return {name: _plain(item) for name, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [_plain(item) for item in value]
    if isinstance(value, float) and not math.isfinite(value):
        return None
    return value
