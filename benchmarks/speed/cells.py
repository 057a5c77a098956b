"""What is measured: sizes and contenders, a cell each."""

from __future__ import annotations

import dataclasses
from typing import Any

OPERATIONS = ("train", "log_prob", "sample")
IMAGE_CONTENDERS = (
    "ours",
    "ours bfloat16",
    "image peer",
    "image peer channels_last",
    "floor",
    "floor with relu and additions",
)
VECTOR_OURS = ("vector ours", "vector ours XLA")
VECTOR_PEERS = ("normflows", "nflows", "zuko")
SPLINES = ("nflows splines", "normflows splines", "zuko NSF", "zuko NSF coupling")
SERVED_BATCHES = (1, 4, 16, 64, 256)


@dataclasses.dataclass(frozen=True)
class Cell:
    """Contenders at one size.

    Attributes:
      name: What `--only` takes.
      sizes: What the contenders are made from.
      batch: Events in a batch.
      contenders: Names; ratios are to the first.
      operations: What is timed; one can end with a batch of its own.
      repetitions: Number of timings of each; `None` is the command's.
      beside: How many at a time run beside the first, for all must fit into memory.
      memory: Contenders whose training step's memory is measured as well.
      series: The plots the cell belongs to.
    """

    name: str
    sizes: dict[str, Any]
    batch: int
    contenders: tuple[str, ...]
    operations: tuple[str, ...] = OPERATIONS
    repetitions: int | None = None
    beside: int = 9
    memory: tuple[str, ...] = ()
    series: tuple[str, ...] = ()


def all_cells():
    """Returns the cells of the benchmark, cheap ones before dear ones."""
    return [*_vectors(), *_growth(), _serving(), *_chains(), *_whole()]


def quick_cells():
    """Returns a cell of each kind, tiny and with few contenders, to try the command."""
    images = {"sizes": _images(8, 4, 1, num_scales=1), "batch": 4}
    replaced = {
        "vectors of 8": {
            "sizes": {"size": 8, "num_couplings": 2, "hidden_units": [8, 8]},
            "batch": 16,
            "contenders": (*VECTOR_OURS, "tfb.RealNVP", "zuko"),
        },
        "32x32, 2 blocks, batch 16": {
            **images,
            "contenders": ("ours", "image peer", "floor"),
        },
        "serving": {**images, "operations": _served(1, 4)},
        "10 couplings": {
            **images,
            "sizes": {**_images(8, 4, 1, num_scales=1), "num_couplings": 2},
        },
    }
    return [
        dataclasses.replace(cell, repetitions=2, **replaced[cell.name])
        for cell in all_cells()
        if cell.name in replaced
    ]


def _images(side, filters, num_blocks, num_scales=2):
    return {
        "event_shape": [side, side, 3],
        "filters": filters,
        "num_blocks": num_blocks,
        "num_scales": num_scales,
    }


def _served(*batches):
    return tuple(f"{name} {batch}" for name in OPERATIONS[1:] for batch in batches)


def _vectors():
    contenders = {
        "vectors": (*VECTOR_OURS, "tfb.RealNVP", *VECTOR_PEERS),
        "splines": ("our splines", "our splines XLA", *SPLINES),
    }
    sizes = {"num_couplings": 8, "hidden_units": [64, 64]}
    return [
        Cell(f"{kind} of {size}", {"size": size, **sizes}, 512, contenders[kind])
        for kind in contenders
        for size in (8, 64)
    ]


def _growth():
    cells = []
    for batch in (16, 64):
        for side, num_blocks in ((8, 2), (16, 2), (32, 2), (64, 2), (32, 4), (32, 8)):
            series = ("pixels",) * (num_blocks == 2) + ("blocks",) * (side == 32)
            name = f"{side}x{side}, {num_blocks} blocks, batch {batch}"
            sizes = _images(side, 32, num_blocks)
            cells.append(Cell(name, sizes, batch, IMAGE_CONTENDERS, series=series))
    return cells


def _serving():
    contenders = ("served", "served frozen", "image peer served")
    operations = _served(*SERVED_BATCHES)
    sizes = _images(32, 32, 2)
    return Cell("serving", sizes, 1, contenders, operations, series=("serving",))


def _chains():
    contenders = ("chain stored", "chain recompute")
    return [
        Cell(
            f"{count} couplings",
            {**_images(32, 64, 2, num_scales=1), "num_couplings": count},
            32,
            contenders,
            operations=("train",),
            memory=contenders,
            series=("couplings",),
        )
        for count in (10, 20, 40)
    ]


def _whole():
    measured = (
        "ours",
        "ours bfloat16",
        "image peer",
        "image peer channels_last",
        "ours recompute",
    )
    preset = {"preset": "cifar10"}
    return [
        Cell("first step", preset, 64, ("ours",), ("train",), repetitions=1),
        Cell(
            "shipped",
            _images(32, 64, 8),
            64,
            (*measured[:4], "floor", "floor bfloat16", *measured[4:]),
            repetitions=5,
            beside=2,
            memory=measured,
        ),
    ]
