"""The cells of the benchmark: contenders at one size each."""

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
SERVED_BATCHES = (1, 4, 16, 64, 256)


@dataclasses.dataclass(frozen=True)
class Cell:
    """Contenders at one size; ratios are relative to the first."""

    name: str
    sizes: dict[str, Any]
    batch: int
    contenders: tuple[str, ...]
    # An operation's name can end with its own batch size.
    operations: tuple[str, ...] = OPERATIONS
    # `None`: the number given on the command line.
    repetitions: int | None = None
    # This many run beside the first at a time, because all must fit into memory.
    beside: int = 9
    # Contenders whose training step's memory is measured as well.
    memory: tuple[str, ...] = ()
    # The plots that show the cell.
    series: tuple[str, ...] = ()


def all_cells():
    """Returns the cells of the benchmark, cheap ones first."""
    return [*_vectors(), *_growth(), _serving(), *_chains(), *_whole()]


def quick_cells():
    """Returns one tiny cell of each kind, with few contenders, to try the command."""
    sizes = _images(8, 4, 1, num_scales=1)
    images, beside = {"sizes": sizes, "batch": 4}, ("ours", "image peer", "floor")
    vectors = {"size": 8, "num_couplings": 2, "hidden_units": [8, 8]}
    peers = (*VECTOR_OURS, "tfb.RealNVP", "zuko")
    replaced = {
        "vectors of 8": {"sizes": vectors, "batch": 16, "contenders": peers},
        "32x32, 2 blocks, batch 16": {**images, "contenders": beside},
        "serving": {**images, "operations": _served(1, 4)},
        "10 couplings": {"sizes": {**sizes, "num_couplings": 2}, "batch": 4},
    }
    return [
        dataclasses.replace(cell, repetitions=2, **replaced[cell.name])
        for cell in all_cells()
        if cell.name in replaced
    ]


def _images(side, filters, num_blocks, num_scales=2):
    sizes = {"filters": filters, "num_blocks": num_blocks, "num_scales": num_scales}
    return {"event_shape": [side, side, 3], **sizes}


def _served(*batches):
    return tuple(f"{name} {batch}" for name in OPERATIONS[1:] for batch in batches)


def _vectors():
    contenders = (*VECTOR_OURS, "tfb.RealNVP", "normflows", "nflows", "zuko")
    sizes = {"num_couplings": 8, "hidden_units": [64, 64]}
    return [
        Cell(f"vectors of {size}", {"size": size, **sizes}, 512, contenders)
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
    sizes = _images(32, 64, 2, num_scales=1)
    options = {"memory": contenders, "series": ("couplings",)}
    return [
        Cell(
            f"{count} couplings",
            {**sizes, "num_couplings": count},
            32,
            contenders,
            ("train",),
            **options,
        )
        for count in (10, 20, 40)
    ]


def _whole():
    flows, floors = IMAGE_CONTENDERS[:4], ("floor", "floor bfloat16")
    contenders = (*flows, *floors, "ours recompute")
    options = {"repetitions": 5, "beside": 2, "memory": (*flows, "ours recompute")}
    preset = {"preset": "cifar10"}
    return [
        Cell("first step", preset, 64, ("ours",), ("train",), repetitions=1),
        Cell("shipped", _images(32, 64, 8), 64, contenders, **options),
    ]
