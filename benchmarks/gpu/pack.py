"""Exports training with everything it needs, in folders that fit a transfer."""

import dataclasses
import importlib
import json
import pathlib
import shutil
import sys
import tempfile
import time
import types
import zipfile
from typing import NamedTuple

import tensorflow as tf
from harness.machine import describe_run

import tfp_realnvp as nvp
from gpu.exported import (
    EVALUATION_RESULTS,
    STEP_RESULTS,
    Plan,
    average_of,
    extra_variables,
    make_evaluation,
    make_step,
    names_of,
)
from gpu.machine.initial import describe, digest_of, make_all
from tfp_realnvp.files import write_json
from tfp_realnvp.runs import RunConfig, recipe_of
from tfp_realnvp.training.cost import measure_cost

MIB = 2**20
FOLDER = pathlib.Path(__file__).resolve().parent
# The modules of the bridge that run on the GPU machine.
THERE = ("jax_run.py", "state_parts.py", "batch_order.py")
IMAGES_OF_A_SHEET = 10_000
IMAGES = {"train": 50_000, "test": 10_000}
# Images of an evaluation's batch.
EVALUATION_BATCH = 500
# Until the GPU machine has told how many steps it can make.
_UNPLANNED_STEPS = 10_000


class Prepared(NamedTuple):
    """A model with its plan, all variables by name, and their initial values."""

    model: nvp.FlowModel
    plan: Plan
    variables: dict
    initial: dict


def load_bridge(folder):
    """Returns the modules that export a step; their folder is never written to."""
    sys.dont_write_bytecode = True
    sys.path.insert(0, str(folder.resolve()))
    names = ("tf_export", "state_parts", "batch_order")
    return types.SimpleNamespace(**{n: importlib.import_module(n) for n in names})


def run_config(arguments):
    """Returns the run that is to be packed."""
    flow = {**nvp.PRESETS[arguments.preset], "network_dtype": arguments.network_dtype}
    flow["event_shape"] = list(flow["event_shape"])
    recipe = {**recipe_of(arguments.preset), "average_decay": arguments.average_decay}
    for name in ("filters", "num_blocks", "learning_rate"):
        if getattr(arguments, name) is not None:
            options = recipe if name == "learning_rate" else flow
            options[name] = getattr(arguments, name)
    # How many epochs there will be is known afterwards.
    seed = arguments.seed
    return RunConfig(dataset="cifar10", flow=flow, epochs=1, seed=seed, **recipe)


def prepare(config, bridge):
    """Returns a run's model with the weights that the GPU machine begins with."""
    model = config.build_model()
    plan = Plan.of(config.learning_rate, _UNPLANNED_STEPS)
    variables = bridge.tf_export.name_variables(
        model, model.optimizer, extra=extra_variables(model, plan)
    )
    # The first update of an average takes the weights, whatever was there.
    for average in average_of(model):
        average.assign(tf.zeros_like(average))
    initial = {
        name: describe(number, variable.numpy())
        for number, (name, variable) in enumerate(variables.items())
    }
    for name, value in make_all(config.seed, initial).items():
        variables[name].assign(value)
    return Prepared(model, plan, variables, initial)


def pack(arguments):
    """Writes folders 1, 2, ... with everything for the GPU machine."""
    config, peer = run_config(arguments), arguments.image_peer
    bridge, batch_sizes = load_bridge(arguments.bridge), arguments.batch_size
    output = arguments.output
    output.parent.mkdir(parents=True, exist_ok=True)
    counts = {part: min(arguments.images or n, n) for part, n in IMAGES.items()}
    names = {
        part: [f"{part}_{n}.webp" for n in range(-(-count // IMAGES_OF_A_SHEET))]
        for part, count in counts.items()
    }
    with tempfile.TemporaryDirectory(dir=output.parent, prefix=".pack") as temporary:
        stage, folders = (
            pathlib.Path(temporary, name) for name in ("stage", "folders")
        )
        stage.mkdir()
        prepared = prepare(config, bridge)
        evaluation_batch = min(EVALUATION_BATCH, counts["test"])
        _export(prepared, config, bridge, stage, batch_sizes, evaluation_batch)
        _copy_programs(arguments.bridge, peer, stage)
        flow = config.flow
        about = {
            "run": dataclasses.asdict(config),
            "seed": config.seed,
            "steps": arguments.steps,
            "batch_sizes": batch_sizes,
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
            "network_dtype": flow["network_dtype"],
            "sizes": {n: flow[n] for n in ("num_scales", "filters", "num_blocks")},
            "peer": peer is not None,
            "machine": describe_run(peer),
        }
        write_json(stage / "pack.json", about)
        (folders / "1").mkdir(parents=True)
        shutil.make_archive(str(folders / "1" / "programs"), "zip", stage)
        shutil.copy(FOLDER / "machine" / "call.py", folders / "1")
        start = arguments.start
        weights = [] if start is None else sorted(start.glob("weights-[0-9]*.npz"))
        files = {path: path.name.replace("weights", "start") for path in weights}
        files.update({arguments.sheets / n: n for part in names.values() for n in part})
        spread(files, folders, arguments.transfer_mib * MIB)
        folders.rename(output)


def learning_rate_for(config, batch_size):
    """Returns the highest rate for batches of another size, see README.md."""
    return config.learning_rate * (batch_size / config.batch_size) ** 0.5


def _export(prepared, config, bridge, folder, batch_sizes, evaluation_batch):
    model, plan, variables, _ = prepared
    step = make_step(model, plan, config, flips=True)
    evaluate = make_evaluation(model, of_average=model.average is not None)
    functions = [
        *((f"step_b{size}", step, size, STEP_RESULTS) for size in batch_sizes),
        ("eval", evaluate, evaluation_batch, EVALUATION_RESULTS),
    ]
    for name, function, size, results in functions:
        begin, shape = time.monotonic(), [size, *model.flow.event_shape]
        found = bridge.tf_export.export_step(
            tf.function(function, autograph=False, jit_compile=True),
            (tf.zeros(shape, tf.uint8), tf.zeros([2], tf.int32)),
            variables,
            str(folder),
            name=name,
            result_names=list(results),
        )
        seconds = time.monotonic() - begin
        print(f"{name}: {found['bytes'] / MIB:.1f} MiB in {seconds:.0f} s", flush=True)
    (folder / "state.npz").unlink()


def _copy_programs(bridge_folder, image_peer, folder):
    programs = [bridge_folder / name for name in THERE]
    programs += sorted((FOLDER / "machine").glob("*.py"))
    if image_peer is not None:
        programs.append(FOLDER.parent / "torch_checkout.py")
        for name in ("models", "util"):
            ignore = shutil.ignore_patterns("__pycache__")
            shutil.copytree(image_peer / name, folder / "peer" / name, ignore=ignore)
    for path in programs:
        shutil.copyfile(path, folder / path.name)


def spread(files, folders, limit):
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


def read_about(folder):
    """Returns what `pack` tells of a folder that it wrote."""
    with zipfile.ZipFile(folder / "1" / "programs.zip") as programs:
        return json.loads(programs.read("pack.json"))
