"""Runs and their files, and what is done to the bytes of these."""

import json

import numpy as np
import small_subjects as small
from bad_configs import JSON, mutated_run_configs
from clear_errors import Entry, given
from hypothesis import strategies as st

from tfp_realnvp.evaluation.runs_evaluation import evaluate_runs
from tfp_realnvp.gallery.caption import run_facts
from tfp_realnvp.runs.checkpoint import load_checkpoint
from tfp_realnvp.runs.run_config import RunConfig
from tfp_realnvp.runs.run_directory import RunDirectory
from tfp_realnvp.runs.strategy import make_strategy

just = st.just


@st.composite
def damages(draw):
    """What happens to the bytes of a file: a function of them."""
    kind = draw(st.sampled_from(["cut", "flip", "insert", "replace", "empty"]))
    place = draw(st.floats(0, 1))
    extra = draw(st.binary(min_size=1, max_size=16))
    return kind, place, extra


def damaged(contents, damage):
    kind, place, extra = damage
    at = int(place * (len(contents) - 1))
    if kind == "cut":
        return contents[:at]
    if kind == "flip":
        return contents[:at] + bytes([contents[at] ^ 255]) + contents[at + 1 :]
    if kind == "insert":
        return contents[:at] + extra + contents[at:]
    return extra if kind == "replace" else b""


def _with_file(name, use):
    def call(folder, damage):
        path = small.copy_of_run(folder)
        file = path / name
        contents = file.read_bytes()
        changed = damage.encode() if isinstance(damage, str) else damage
        if isinstance(damage, tuple):
            changed = damaged(contents, damage)
        file.write_bytes(changed)
        try:
            return use(path)
        finally:
            here = {p.name for p in path.iterdir()}
            there = {p.name for p in small.run_path().iterdir()}
            assert here == there, here ^ there
            assert file.read_bytes() == changed
            _remove(path)

    return call


def _remove(path):
    for file in path.iterdir():
        file.unlink()
    path.rmdir()


def on_file(name, use, bad, *, good, names=("run", "config.json"), check=None):
    return Entry(
        _with_file(name, use),
        {"damage": just(good)},
        {"damage": bad},
        check or (lambda result, arguments: None),
        names=names,
        folder=True,
        always_bad=True,
    )


CONFIG_NAMES = (
    *RunConfig.__dataclass_fields__,
    "run",
    "config.json",
    "event_shape",
    "num_scales",
    "filters",
    "num_blocks",
    "invertible_conv",
    "crelu",
    "sizes",
    "base",
)


def _check_model(model, arguments):
    for weight in model.weights:
        assert np.isfinite(weight.numpy()).all()


def _load_config(path):
    return RunDirectory(path).load_config()


def _load_model(path):
    return RunDirectory(path).load_model()


def _load_checkpoint(path):
    model = small.run_model()
    before = small.state(model)
    try:
        return load_checkpoint(path / "checkpoint.npz", model)
    except Exception:
        for a, b in zip(before, small.state(model), strict=True):
            np.testing.assert_array_equal(a, b, "half of a checkpoint was loaded")
        raise


def _facts(path):
    return run_facts(RunDirectory(path), _load_config(path), "last")


def _facts_of_unfinished(path):
    summary = path / "summary.json"
    contents = summary.read_bytes()
    summary.unlink()
    try:
        return _facts(path)
    finally:
        summary.write_bytes(contents)


def _check_progress(progress, arguments):
    assert progress.step == 3


def _config(**arguments):
    return RunConfig(**arguments)


def _read_run(path, which):
    run = RunDirectory(path)
    return run.load_config(), run.weights(which)


def _evaluate_runs(**arguments):
    return evaluate_runs([RunDirectory(small.run_path())], **arguments)


ENTRIES = {
    "make_strategy": Entry(
        lambda name: make_strategy(name), {"name": just("none")}, names=("strategy",)
    ),
    "RunConfig": Entry(
        _config,
        given(
            {
                "dataset": "digits",
                "flow": {"event_shape": (4, 4, 1)},
                "batch_size": 4,
                "epochs": 1,
                "learning_rate": 0.1,
                "seed": 0,
                "schedule": "cosine",
                "warmup_steps": 0,
                "data_dir": None,
                "image_size": None,
                "minutes": None,
                "accumulate": 2,
                "jit_compile": False,
                "average_decay": None,
                "on_non_finite": "stop",
                "max_skipped_in_a_row": 3,
            }
        ),
    ),
    "RunDirectory": Entry(
        _read_run,
        given({"path": str(small.run_path()), "which": "last"}),
        names=("run", "weights"),
    ),
    "evaluate_runs": Entry(
        _evaluate_runs,
        given(
            {
                "split": "test",
                "draws": 1,
                "importance_samples": None,
                "seed": 0,
                "limit": 2,
                "batch_size": 2,
                "weights": "last",
                "data_dir": None,
            }
        ),
        always_bad=True,
    ),
    "config.json, its bytes": on_file(
        "config.json",
        _load_config,
        damages(),
        good=("cut", 1.0, b""),
        names=CONFIG_NAMES,
    ),
    "config.json, its values": on_file(
        "config.json",
        _load_config,
        mutated_run_configs(),
        good="{}",
        names=CONFIG_NAMES,
    ),
    "config.json, and the model": on_file(
        "config.json",
        _load_model,
        mutated_run_configs(),
        good="{}",
        names=CONFIG_NAMES,
        check=_check_model,
    ),
    "checkpoint.npz": on_file(
        "checkpoint.npz",
        _load_checkpoint,
        damages(),
        good=("empty", 0.0, b""),
        names=("checkpoint",),
        check=_check_progress,
    ),
    "model.weights.h5": on_file(
        "model.weights.h5",
        _load_model,
        damages(),
        good=("empty", 0.0, b""),
        check=_check_model,
    ),
    "summary.json": on_file(
        "summary.json",
        _facts,
        st.one_of(damages(), JSON.map(json.dumps)),
        good=("empty", 0.0, b""),
    ),
    "history.csv": on_file(
        "history.csv",
        _facts_of_unfinished,
        damages(),
        good=("empty", 0.0, b""),
    ),
}
