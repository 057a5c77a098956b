"""The sizes of a `RealNVPBijector`: defaults, and checks before any work."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

IMAGE_DEFAULTS = {"num_scales": 2, "filters": 32, "num_blocks": 2}
VECTOR_DEFAULTS = {
    "num_couplings": 6,
    "hidden_units": (64, 64),
    "activation": "gelu",
    "residual": False,
}


def resolve_sizes(
    event_shape: Sequence[int], given: Mapping[str, Any]
) -> dict[str, Any]:
    """Returns the sizes that count for events of `event_shape`, defaults filled in.

    Args:
      event_shape: [height, width, channels] or [D].
      given: What the user gave for every key of `IMAGE_DEFAULTS` and
        `VECTOR_DEFAULTS`, `None` where nothing.

    Raises:
      ValueError: If `event_shape` is neither, if a size does not belong to such
        events, or is not as it should be.
    """
    if len(event_shape) not in (1, 3) or not all(map(_is_positive, event_shape)):
        raise ValueError(
            "event_shape: expected three positive ints (height, width, channels) or "
            f"one (D,), got {tuple(event_shape)}."
        )
    is_image = len(event_shape) == 3
    defaults = IMAGE_DEFAULTS if is_image else VECTOR_DEFAULTS
    for name, value in given.items():
        if value is not None and name not in defaults:
            kind = (
                "images (height, width, channels)" if not is_image else "vectors (D,)"
            )
            raise ValueError(
                f"{name}: expected None, for it belongs to flows over {kind} and "
                f"event_shape is {tuple(event_shape)}; got {value!r}."
            )
    sizes = {
        name: default if given[name] is None else given[name]
        for name, default in defaults.items()
    }
    for name in ("num_scales", "filters", "num_blocks", "num_couplings"):
        if name in sizes and not _is_positive(sizes[name]):
            raise ValueError(f"{name}: expected a positive int, got {sizes[name]!r}.")
    if is_image:
        _check_image(event_shape, sizes["num_scales"])
    else:
        _check_vector(event_shape, sizes)
    return sizes


def _check_image(event_shape: Sequence[int], num_scales: int) -> None:
    divisor = 2 ** (num_scales - 1)
    if any(side % divisor for side in event_shape[:2]):
        raise ValueError(
            f"event_shape: expected height and width divisible by {divisor} for "
            f"num_scales={num_scales}, got {tuple(event_shape)}."
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
    widths = sizes["hidden_units"]
    if not isinstance(widths, Sequence) or not all(map(_is_positive, widths)):
        raise ValueError(
            "hidden_units: expected a sequence of positive ints such as (64, 64), got "
            f"{widths!r}."
        )


def _is_positive(value: Any) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and value >= 1
