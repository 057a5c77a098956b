"""What is measured: sizes and contenders, a cell each."""

from __future__ import annotations

import dataclasses
from typing import Any, Literal

OPERATIONS = ("train", "log_prob", "sample")
IMAGE_CONTENDERS = (
    "ours",
    "ours bfloat16",
    "image peer",
    "image peer channels_last",
    "floor",
    "floor with relu and additions",
)
SHIPPED = {"event_shape": [32, 32, 3], "filters": 64, "num_blocks": 8, "num_scales": 2}
SERVED_BATCHES = (1, 4, 16, 64, 256)


@dataclasses.dataclass(frozen=True)
class Cell:
    """Contenders at one size.

    Attributes:
      name: What `--only` takes.
      kind: `"times"`, or `"memory"` for the peak of a training step, or
        `"largest batch"`.
      sizes: What the contenders are made from.
      batch: Events in a batch.
      contenders: Names; ratios are to the first.
      operations: What is timed.
      repetitions: Number of timings of each; `None` is the command's.
      memory: Contenders whose training step's memory is measured as well.
      series: The plots the cell belongs to.
      options: What else the contenders or the driver need.
    """

    name: str
    sizes: dict[str, Any]
    batch: int
    contenders: tuple[str, ...]
    kind: Literal["times", "memory", "largest batch"] = "times"
    operations: tuple[str, ...] = OPERATIONS
    repetitions: int | None = None
    memory: tuple[str, ...] = ()
    series: tuple[str, ...] = ()
    options: dict[str, Any] = dataclasses.field(default_factory=dict)


def image_sizes(side: int, filters: int, num_blocks: int) -> dict[str, Any]:
    return {
        "event_shape": [side, side, 3],
        "filters": filters,
        "num_blocks": num_blocks,
        "num_scales": 2,
    }


def all_cells() -> list[Cell]:
    """Returns the cells of the benchmark, cheap ones before dear ones."""
    return [
        *_vectors(),
        _convolutions(),
        *_growth(),
        _serving(),
        *_recompute(),
        *_shipped(),
    ]


def quick_cells() -> list[Cell]:
    """Returns a cell of each kind, tiny and with few contenders, to try the command."""
    small = {
        "sizes": {**image_sizes(8, 4, 1), "num_scales": 1},
        "batch": 4,
        "repetitions": 2,
    }
    replaced = {
        "vectors of 8": {
            "sizes": {"size": 8, "num_couplings": 2, "hidden_units": [8, 8]},
            "batch": 16,
            "contenders": ("vector ours", "vector ours XLA", "zuko"),
            "repetitions": 2,
        },
        "convolutions": {
            "sizes": {"event_shape": [8, 8, 4], "depth": 2},
            "batch": 4,
            "repetitions": 2,
        },
        "32x32, 2 blocks, batch 16": {
            **small,
            "contenders": ("ours", "TFP route", "image peer", "floor"),
        },
        "serving": {
            **small,
            "operations": ("log_prob 1", "sample 1", "log_prob 4", "sample 4"),
            "options": {"batches": [1, 4]},
        },
        "10 couplings": {
            **small,
            "sizes": {
                "event_shape": [8, 8, 3],
                "num_couplings": 2,
                "filters": 4,
                "num_blocks": 1,
            },
            "memory": ("chain recompute",),
        },
        "largest batch": {
            **small,
            "contenders": ("ours recompute",),
            "options": {"limit_bytes": 2**30, "start": 16, "most": 32},
        },
        "memory, batch 16": {**small, "contenders": ("image peer",)},
    }
    return [
        dataclasses.replace(cell, **replaced[cell.name])
        for cell in all_cells()
        if cell.name in replaced
    ]


def _vectors() -> list[Cell]:
    peers = ("tfb.RealNVP", "normflows", "nflows", "zuko")
    return [
        Cell(
            f"vectors of {size}",
            {"size": size, "num_couplings": 8, "hidden_units": [64, 64]},
            512,
            ("vector ours", "vector ours XLA", *peers),
        )
        for size in (8, 64)
    ]


def _convolutions() -> Cell:
    return Cell(
        "convolutions",
        {"event_shape": [32, 32, 64], "depth": 8},
        64,
        (
            "convolutions",
            "convolutions bfloat16",
            "torch convolutions",
            "torch convolutions channels_last",
        ),
        operations=("train",),
    )


def _growth() -> list[Cell]:
    cells = []
    for batch in (16, 64):
        for side in (8, 16, 32, 64):
            contenders, series = IMAGE_CONTENDERS, ["pixels"]
            if side == 32:
                contenders += ("TFP route", "tfb.Glow")
                series.append("blocks")
            sizes, name = image_sizes(side, 32, 2), f"{side}x{side}, 2 blocks"
            cells.append((name, sizes, batch, contenders, series))
        for num_blocks in (4, 8):
            name, sizes = f"32x32, {num_blocks} blocks", image_sizes(32, 32, num_blocks)
            cells.append((name, sizes, batch, IMAGE_CONTENDERS, ["blocks"]))
    return [
        Cell(f"{name}, batch {batch}", sizes, batch, contenders, series=tuple(series))
        for name, sizes, batch, contenders, series in cells
    ]


def _serving() -> Cell:
    return Cell(
        "serving",
        image_sizes(32, 32, 2),
        1,
        ("served", "served frozen", "image peer served"),
        operations=tuple(
            f"{operation} {batch}"
            for operation in ("log_prob", "sample")
            for batch in SERVED_BATCHES
        ),
        series=("serving",),
        options={"batches": list(SERVED_BATCHES)},
    )


def _recompute() -> list[Cell]:
    contenders = ("chain stored", "chain recompute")
    chains = [
        Cell(
            f"{count} couplings",
            {
                "event_shape": [32, 32, 3],
                "num_couplings": count,
                "filters": 64,
                "num_blocks": 2,
            },
            32,
            contenders,
            operations=("train",),
            memory=contenders,
            series=("couplings",),
        )
        for count in (10, 20, 40)
    ]
    largest = Cell(
        "largest batch",
        image_sizes(32, 64, 2),
        1,
        ("ours", "ours recompute"),
        kind="largest batch",
        operations=("train",),
        options={"limit_bytes": 8 * 2**30, "start": 128, "most": 4096},
    )
    return [*chains, largest]


def _shipped() -> list[Cell]:
    measured = (
        "ours",
        "ours bfloat16",
        "ours recompute",
        "TFP route",
        "image peer",
        "image peer channels_last",
    )
    preset = Cell(
        "first step",
        {"preset": "cifar10"},
        64,
        ("ours",),
        operations=("train",),
        repetitions=1,
    )
    memory = Cell("memory, batch 16", SHIPPED, 16, measured, kind="memory")
    contenders = (
        "ours",
        "ours bfloat16",
        "image peer",
        "image peer channels_last",
        "floor",
        "floor bfloat16",
        "TFP route",
        "ours recompute",
    )
    shipped = Cell("shipped", SHIPPED, 64, contenders, repetitions=5, memory=measured)
    return [preset, memory, shipped]
