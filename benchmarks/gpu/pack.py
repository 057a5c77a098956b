"""Exports training with all that it needs, in folders that fit a transfer."""

from __future__ import annotations

import dataclasses
import functools
import json
import pathlib
import shutil
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
import tensorflow as tf
from speed.machine import describe_run

import tfp_realnvp as nvp
from gpu.bridge import THERE, Bridge
from gpu.exported import (
    EVALUATION_RESULTS,
    STEP_RESULTS,
    Plan,
    extra_variables,
    make_evaluation,
    make_step,
    names_of,
)
from tfp_realnvp.data import ImageData
from tfp_realnvp.files import write_json
from tfp_realnvp.runs.run_config import RunConfig
from tfp_realnvp.training.cost import measure_cost

MIB = 2**20
# Images of an evaluation's batch.
EVALUATION_BATCH = 100
FOLDER = pathlib.Path(__file__).resolve().parent
# Until the GPU machine has told how many steps it can make.
_UNPLANNED_STEPS = 10_000


class Prepared(NamedTuple):
    """A model with its plan, and all variables by name."""

    model: nvp.FlowModel
    plan: Plan
    variables: dict[str, tf.Variable]


def prepare(config: RunConfig, bridge: Bridge) -> Prepared:
    """Returns a run's model as it is exported, and later filled again."""
    model = config.build_model()
    plan = Plan.of(config.learning_rate, _UNPLANNED_STEPS)
    variables = bridge.tf_export.name_variables(
        model, model.optimizer, extra=extra_variables(model, plan)
    )
    return Prepared(model, plan, variables)


def pack(
    config: RunConfig,
    data: ImageData,
    bridge: Bridge,
    bridge_folder: pathlib.Path,
    output: pathlib.Path,
    *,
    batch_sizes: Sequence[int],
    images: int | None,
    image_peer: pathlib.Path | None,
    part_mib: int,
    transfer_mib: int,
) -> None:
    """Writes folders 1, 2, ... with everything that goes to the GPU machine.

    Args:
      config: The run; its batch size does not matter.
      data: The images.
      bridge: Modules of the bridge.
      bridge_folder: Where it lies.
      output: A folder that does not exist.
      batch_sizes: A step is exported for each.
      images: Training and test images to take, or `None` for all.
      image_peer: Checkout of the PyTorch flow, or `None`.
      part_mib: Size of files that large ones are cut into.
      transfer_mib: Size of a folder.
    """
    output.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=output.parent, prefix=".pack") as temporary:
        stage = pathlib.Path(temporary) / "stage"
        stage.mkdir()
        prepared = prepare(config, bridge)
        _export(prepared, config, data, bridge, stage, batch_sizes)
        parts = functools.partial(bridge.state_parts.write_parts, limit=part_mib * MIB)
        # Most variables are zeros at first; those are made there.
        weights = {
            name: variable.numpy()
            for name, variable in prepared.variables.items()
            if not _starts_with_zeros(name, variable, prepared)
        }
        parts(weights, str(stage / "initial"))
        train, test = images_of(data, images)
        parts({"train/image": train, "eval/image": test}, str(stage / "data"))
        _copy_programs(bridge_folder, image_peer, stage)
        about = {
            "run": dataclasses.asdict(config),
            "batch_sizes": list(batch_sizes),
            "flips": data.flips,
            "images": {"train": len(train), "test": len(test)},
            "names": names_of(*prepared),
            "results": {"step": STEP_RESULTS, "eval": EVALUATION_RESULTS},
            "cost": dataclasses.asdict(measure_cost(prepared.model, batch_sizes[0])),
            "image_peer": image_peer is not None,
            "machine": describe_run(image_peer and str(image_peer)),
        }
        write_json(stage / "pack.json", about)
        folders = _spread(stage, pathlib.Path(temporary) / "folders", transfer_mib)
        folders.rename(output)


def images_of(data: ImageData, count: int | None) -> tuple[np.ndarray, np.ndarray]:
    """Returns the first training and test images; `None` is all.

    Those for validation are trained on too: nothing is chosen by them.
    """
    train = [part.take(part.count) for part in (data.train, data.validation)]
    return np.concatenate(train)[:count], data.test.take(data.test.count)[:count]


def _export(
    prepared: Prepared,
    config: RunConfig,
    data: ImageData,
    bridge: Bridge,
    folder: pathlib.Path,
    batch_sizes: Sequence[int],
) -> None:
    model, plan, variables = prepared
    step = make_step(model, plan, config, flips=data.flips)
    evaluate = make_evaluation(model, of_average=model.average is not None)
    functions = [
        *((f"step_b{size}", step, size, STEP_RESULTS) for size in batch_sizes),
        ("eval", evaluate, EVALUATION_BATCH, EVALUATION_RESULTS),
    ]
    for name, function, size, results in functions:
        begin = time.monotonic()
        example = tf.zeros([size, *data.event_shape], tf.uint8), tf.zeros([2], tf.int32)
        found = bridge.tf_export.export_step(
            tf.function(function, autograph=False, jit_compile=True),
            example,
            variables,
            str(folder),
            name=name,
            result_names=list(results),
        )
        seconds = time.monotonic() - begin
        print(f"{name}: {found['bytes'] / MIB:.1f} MiB in {seconds:.0f} s", flush=True)
    (folder / "state.npz").unlink()


def _starts_with_zeros(name: str, variable: tf.Variable, prepared: Prepared) -> bool:
    # The first update of an average takes the weights, whatever was there.
    average = prepared.model.average
    averages = [] if average is None else average.variables
    if any(variable is other for other in averages):
        return True
    return not np.any(variable.numpy())


def _copy_programs(
    bridge_folder: pathlib.Path, image_peer: pathlib.Path | None, folder: pathlib.Path
) -> None:
    programs = [
        *(bridge_folder / name for name in THERE),
        *sorted((FOLDER / "machine").glob("*.py")),
    ]
    if image_peer is not None:
        programs.append(FOLDER.parent / "torch_checkout.py")
        for name in ("models", "util"):
            shutil.copytree(
                image_peer / name,
                folder / "peer" / name,
                ignore=shutil.ignore_patterns("__pycache__"),
            )
    for path in programs:
        shutil.copyfile(path, folder / path.name)


def _spread(
    stage: pathlib.Path, folders: pathlib.Path, transfer_mib: int
) -> pathlib.Path:
    """Moves what is to travel into numbered folders, none above the limit."""
    large = sorted([*stage.glob("initial-*.npz"), *stage.glob("data-*.npz")], key=_size)
    rest = [path for path in sorted(stage.iterdir()) if path not in large]
    used = [sum(map(_size, rest))]
    placed = [(path, 0) for path in rest]
    for path in reversed(large):
        size = _size(path)
        room = transfer_mib * MIB - size
        fits = (i for i, so_far in enumerate(used) if so_far <= room)
        number = next(fits, len(used))
        if number == len(used):
            used.append(0)
        used[number] += size
        placed.append((path, number))
    for path, number in placed:
        target = folders / str(number + 1)
        target.mkdir(parents=True, exist_ok=True)
        path.rename(target / path.name)
    for number, size in enumerate(used, 1):
        print(f"folder {number}: {size / MIB:.1f} MiB")
    return folders


def _size(path: pathlib.Path) -> int:
    if path.is_dir():
        return sum(_size(inside) for inside in path.iterdir())
    return path.stat().st_size


def read_about(folder: pathlib.Path) -> Mapping[str, Any]:
    """Returns what `pack` tells of a folder that it wrote."""
    return json.loads((folder / "1" / "pack.json").read_text(encoding="utf-8"))


def packed_files(folder: pathlib.Path, pattern: str) -> Iterator[pathlib.Path]:
    """Yields the files of that name from all folders, in order."""
    yield from sorted(folder.glob(f"*/{pattern}"), key=lambda path: path.name)
