"""Exports training with all that it needs, in folders that fit a transfer."""

from __future__ import annotations

import dataclasses
import json
import pathlib
import shutil
import tempfile
import time
import zipfile
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

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
from gpu.machine.initial import describe, digest_of, make_all
from tfp_realnvp.files import write_json
from tfp_realnvp.runs.run_config import RunConfig
from tfp_realnvp.training.cost import measure_cost

MIB = 2**20
FOLDER = pathlib.Path(__file__).resolve().parent
EVENT_SHAPE = (32, 32, 3)
IMAGES_OF_A_SHEET = 10_000
IMAGES = {"train": 50_000, "test": 10_000}
# Images of an evaluation's batch.
EVALUATION_BATCH = 500
# Until the GPU machine has told how many steps it can make.
_UNPLANNED_STEPS = 10_000


class Prepared(NamedTuple):
    """A model with its plan, all variables by name, and what they begin with."""

    model: nvp.FlowModel
    plan: Plan
    variables: dict[str, tf.Variable]
    initial: dict[str, dict[str, Any]]


def prepare(config: RunConfig, bridge: Bridge) -> Prepared:
    """Returns a run's model with the weights that the GPU machine begins with."""
    model = config.build_model()
    plan = Plan.of(config.learning_rate, _UNPLANNED_STEPS)
    variables = bridge.tf_export.name_variables(
        model, model.optimizer, extra=extra_variables(model, plan)
    )
    # The first update of an average takes the weights, whatever was there.
    for average in [] if model.average is None else model.average.variables:
        average.assign(tf.zeros_like(average))
    initial = {
        name: describe(number, variable.numpy())
        for number, (name, variable) in enumerate(variables.items())
    }
    for name, value in make_all(config.seed, initial).items():
        variables[name].assign(value)
    return Prepared(model, plan, variables, initial)


def pack(
    config: RunConfig,
    bridge: Bridge,
    bridge_folder: pathlib.Path,
    sheets: pathlib.Path,
    output: pathlib.Path,
    *,
    batch_sizes: Sequence[int],
    images: int | None,
    steps: int | None,
    start: pathlib.Path | None,
    image_peer: pathlib.Path | None,
    transfer_mib: int,
) -> None:
    """Writes folders 1, 2, ... with everything that goes to the GPU machine.

    Args:
      config: The run; its batch size is what its learning rate is for.
      bridge: Modules of the bridge.
      bridge_folder: Where it lies.
      sheets: Folder of train_0.webp, ..., test_0.webp.
      output: A folder that does not exist.
      batch_sizes: A step is exported for each.
      images: Training and test images to take, or `None` for all.
      steps: Length of training, or `None` for what the time allows.
      start: Folder of the weights to go on from, which came back, or `None`.
      image_peer: Checkout of the PyTorch flow, or `None`.
      transfer_mib: Size of a folder.
    """
    output.parent.mkdir(parents=True, exist_ok=True)
    counts = {part: min(images or count, count) for part, count in IMAGES.items()}
    with tempfile.TemporaryDirectory(dir=output.parent, prefix=".pack") as temporary:
        stage = pathlib.Path(temporary) / "stage"
        stage.mkdir()
        prepared = prepare(config, bridge)
        size = min(EVALUATION_BATCH, counts["test"])
        _export(prepared, config, bridge, stage, batch_sizes, size)
        _copy_programs(bridge_folder, image_peer, stage)
        names = {
            part: [
                f"{part}_{number}.webp"
                for number in range(-(-count // IMAGES_OF_A_SHEET))
            ]
            for part, count in counts.items()
        }
        flow = config.flow
        about = {
            "run": dataclasses.asdict(config),
            "seed": config.seed,
            "steps": steps,
            "batch_sizes": list(batch_sizes),
            "learning_rates": {n: learning_rate_for(config, n) for n in batch_sizes},
            "chunk": 20,
            "every_seconds": 60,
            "images": counts,
            "sheets": names,
            "names": names_of(*prepared[:3]),
            "results": STEP_RESULTS,
            "initial": prepared.initial,
            "initial_digest": digest_of(make_all(config.seed, prepared.initial)),
            "training_flops": measure_cost(prepared.model, 1).training_flops,
            "network_dtype": flow.get("network_dtype") or "float32",
            "sizes": {n: flow[n] for n in ("num_scales", "filters", "num_blocks")},
            "peer": image_peer is not None,
            "machine": describe_run(image_peer and str(image_peer)),
        }
        write_json(stage / "pack.json", about)
        folders = pathlib.Path(temporary) / "folders"
        (folders / "1").mkdir(parents=True)
        shutil.make_archive(str(folders / "1" / "programs"), "zip", stage)
        shutil.copy(FOLDER / "machine" / "call.py", folders / "1")
        large = [] if start is None else sorted(start.glob("weights-[0-9]*.npz"))
        files = {path: path.name.replace("weights", "start") for path in large}
        files.update({sheets / n: n for part in names.values() for n in part})
        spread(files, folders, transfer_mib * MIB)
        folders.rename(output)


def learning_rate_for(config: RunConfig, batch_size: int) -> float:
    """Returns the highest rate for batches of another size, see README.md."""
    return config.learning_rate * (batch_size / config.batch_size) ** 0.5


def _export(
    prepared: Prepared,
    config: RunConfig,
    bridge: Bridge,
    folder: pathlib.Path,
    batch_sizes: Sequence[int],
    evaluation_batch: int,
) -> None:
    model, plan, variables, _ = prepared
    step = make_step(model, plan, config, flips=True)
    evaluate = make_evaluation(model, of_average=model.average is not None)
    functions = [
        *((f"step_b{size}", step, size, STEP_RESULTS) for size in batch_sizes),
        ("eval", evaluate, evaluation_batch, EVALUATION_RESULTS),
    ]
    for name, function, size, results in functions:
        begin = time.monotonic()
        example = tf.zeros([size, *EVENT_SHAPE], tf.uint8), tf.zeros([2], tf.int32)
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


def spread(
    files: Mapping[pathlib.Path, str], folders: pathlib.Path, limit: int
) -> None:
    """Copies files, by their new names, into folders 1, 2, ... of limited size."""
    number, used = 1, sum(p.stat().st_size for p in (folders / "1").iterdir())
    for path, name in files.items():
        size = path.stat().st_size
        if used + size > limit:
            print(f"folder {number}: {used / MIB:.1f} MiB")
            number, used = number + 1, 0
        (folders / str(number)).mkdir(exist_ok=True)
        shutil.copyfile(path, folders / str(number) / name)
        used += size
    print(f"folder {number}: {used / MIB:.1f} MiB")


def read_about(folder: pathlib.Path) -> Mapping[str, Any]:
    """Returns what `pack` tells of a folder that it wrote."""
    with zipfile.ZipFile(folder / "1" / "programs.zip") as programs:
        return json.loads(programs.read("pack.json"))
