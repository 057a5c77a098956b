"""The sizes of a `RealNVPBijector`: defaults, and checks before any work."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from tfp_realnvp.arguments import check_flag, checked_shape, shortened
from tfp_realnvp.machine import check_fits
from tfp_realnvp.nets.checks import (
    check_couplings_fit,
    check_mlp_fits,
    check_res_net_fits,
    check_widths,
)

IMAGE_DEFAULTS: dict[str, Any] = {
    "num_scales": 2,
    "filters": 32,
    "num_blocks": 2,
    "invertible_conv": False,
    "crelu": True,
}
_MOST_SCALES = 64
VECTOR_DEFAULTS: dict[str, Any] = {
    "num_couplings": 6,
    "hidden_units": (64, 64),
    "activation": "gelu",
    "residual": False,
}


def resolve_sizes(
    event_shape: Sequence[int], given: Mapping[str, Any]
) -> tuple[tuple[int, ...], dict[str, Any]]:
    """Returns `event_shape` and the sizes that count for it, defaults filled in.

    Args:
      event_shape: [height, width, channels] or [D].
      given: What the user gave for every key of `IMAGE_DEFAULTS` and
        `VECTOR_DEFAULTS`, `None` where nothing.

    Raises:
      ValueError: If `event_shape` is neither, if a size does not belong to such
        events, or is not as it should be.
    """
    expected = "three positive ints (height, width, channels) or one (D,)"
    event_shape = checked_shape("event_shape", event_shape, expected=expected)
    if len(event_shape) not in (1, 3):
        raise ValueError(f"event_shape: expected {expected}, got {event_shape}.")
    is_image = len(event_shape) == 3
    defaults = IMAGE_DEFAULTS if is_image else VECTOR_DEFAULTS
    for name, value in given.items():
        if value is not None and name not in defaults:
            kind = (
                "images (height, width, channels)" if not is_image else "vectors (D,)"
            )
            raise ValueError(
                f"{name}: expected None, for it belongs to flows over {kind} and "
                f"event_shape is {event_shape}; got {shortened(value)}."
            )
    sizes = {
        name: default if given[name] is None else given[name]
        for name, default in defaults.items()
    }
    for name in ("num_scales", "filters", "num_blocks", "num_couplings"):
        if name in sizes and not _is_positive(sizes[name]):
            got = shortened(sizes[name])
            raise ValueError(f"{name}: expected a positive int, got {got}.")
    if is_image:
        check_flag("invertible_conv", sizes["invertible_conv"])
        check_flag("crelu", sizes["crelu"])
        _check_image(event_shape, sizes["num_scales"])
    else:
        _check_vector(event_shape, sizes)
    return event_shape, sizes


def _check_image(event_shape: Sequence[int], num_scales: int) -> None:
    # A power as large as one can ask for would take all memory itself.
    if num_scales > _MOST_SCALES:
        raise ValueError(
            f"num_scales: expected at most {_MOST_SCALES}, for images are halved from "
            f"scale to scale; got {shortened(num_scales)}."
        )
    divisor = 2 ** (num_scales - 1)
    if any(side % divisor for side in event_shape[:2]):
        raise ValueError(
            f"event_shape: expected height and width divisible by {divisor} for "
            f"num_scales={num_scales}, got {event_shape}."
        )
    if tuple(event_shape[:2]) == (divisor, divisor):
        raise ValueError(
            "num_scales: expected so few that the last scale has two pixels or more, "
            f"for its couplings transform some given the others; got {num_scales} for "
            f"event_shape {event_shape}, which leaves 1 x 1."
        )


def _check_vector(event_shape: Sequence[int], sizes: dict[str, Any]) -> None:
    if event_shape[0] == 1:
        raise ValueError(
            "event_shape: expected at least two dimensions, for a coupling passes one "
            "part of the event through to transform the other; got (1,). For scalars, "
            "tfb.RationalQuadraticSpline is an invertible function of its own."
        )
    if sizes["num_couplings"] < 2:
        raise ValueError(
            "num_couplings: expected at least 2, for one coupling leaves a part of the "
            f"event untouched; got {sizes['num_couplings']}."
        )
    check_widths("hidden_units", sizes["hidden_units"])
    if sizes["residual"] is not None:
        check_flag("residual", sizes["residual"])


def check_sizes_fit(event_shape: Sequence[int], sizes: Mapping[str, Any]) -> None:
    """Checks that a new flow of these sizes fits in memory.

    Raises:
      ValueError: If it would not.
    """
    if len(event_shape) == 3:
        height, width, channels = event_shape
        # Masks are made as ints.
        check_fits("event_shape", event_shape, 9 * height * width, "masks")
        filters, num_blocks = sizes["filters"], sizes["num_blocks"]
        # Before and behind each squeeze; deeper networks are wider.
        for scale in range(sizes["num_scales"]):
            for maps in (1, 2):
                check_res_net_fits(
                    maps * filters * 2**scale,
                    num_blocks,
                    maps * channels * 2**scale,
                    count=3,
                )
        return
    (size,) = event_shape
    check_fits("event_shape", event_shape, 9 * size, "masks")
    widths, couplings = sizes["hidden_units"], sizes["num_couplings"]
    check_couplings_fit(couplings, len(widths))
    check_mlp_fits(size, widths, size, name="event_shape", count=couplings)


def _is_positive(value: Any) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and value >= 1
