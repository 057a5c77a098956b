import contextlib
import json
import os
import pathlib
import subprocess
import sys

import pytest
import tensorflow as tf
from harness.process import ChildError, Process
from harness.tables import Spread
from speed import run as runs
from speed.cells import Cell, all_cells, quick_cells
from speed.contenders import CONTENDERS, closest_width, floor, ours, tf_vectors
from speed.plots import draw_plots
from speed.report import report
from speed.series import exponents

import tfp_realnvp as nvp

ROOT = pathlib.Path(__file__).resolve().parents[2]
SIZES = {"event_shape": [8, 8, 3], "filters": 4, "num_blocks": 1, "num_scales": 2}


@pytest.mark.parametrize(
    ("start", "expected", "note"),
    [(98, 98, "width 98,"), (64, 100, "100 instead of 64")],
)
def test_a_width_that_fits_is_kept_and_another_one_searched(start, expected, note):
    width, found = closest_width(lambda w: 10 * w, 1000, start)
    assert width == expected and note in found


def test_a_width_that_nothing_fits_is_told():
    with pytest.raises(ValueError, match="within 5 % of 1000 parameters"):
        closest_width(lambda w: 700 * w, 1000, start=1)


@pytest.mark.parametrize("cells", [all_cells(), quick_cells()])
def test_every_contender_of_every_cell_is_known(cells):
    assert len({c.name for c in cells}) == len(cells)
    for c in cells:
        assert {*c.contenders, *c.memory} <= set(CONTENDERS), c.name


def entry(error=None, **seconds):
    """Returns what is known of a contender with these times of its operations."""
    return {
        "error": error,
        "parameters": 100,
        "threads": {"intra_op": 2},
        "notes": [],
        "build_seconds": 1.0,
        "first_seconds": dict.fromkeys(seconds, 3.0),
        "network_runs": dict.fromkeys(seconds, 1.0),
        "seconds": seconds,
    }


def cell(name, group, **kwargs):
    found = Cell(name, {}, 64, tuple(group), **kwargs)
    return {**vars(found), "groups": [group], "seconds": 60.0, "date": "", "memory": {}}


def results(*cells, quick=False):
    run = {"command": "python", "date": "", "cpu": "a processor", "cores": 2}
    run |= {"flags": {"avx2": True}, "memory_bytes": 2**34, "packages": {"torch": None}}
    run |= {"load_average_at_start": [0.0], "python": "3", "commit": None}
    run["image_peer"] = None
    return {"run": run, "quick": quick, "cells": {c["name"]: c for c in cells}}


def test_the_report_shows_ratios_and_failures_and_that_quick_figures_are_no_results():
    group = {
        "ours": entry(train=[1.0, 2.0, 4.0]),
        "image peer": entry(train=[2.0, 6.0, 8.0]),
        "floor": entry(error="a | b"),
    }
    text = report(results(cell("shipped", group), quick=True))
    row = "| image peer | train | 6000 | 93.75 | 2 [2, 2.5] | 3.00 | 1 |"
    assert row in text and "FAILED: a \\| b" in text and "no results" in text
    assert "no results" not in report(results(cell("shipped", group)))


def test_growth_is_fitted_and_drawn(tmp_path):
    cells = []
    for side in (8, 16, 32):
        seconds = [1e-6 * side**2 * factor for factor in (1.0, 1.1, 1.2)]
        timed = {name: seconds for name in ("train", "log_prob", "sample")}
        found = cell(f"{side}", {"ours": entry(**timed)}, series=("pixels",))
        cells.append({**found, "sizes": {"event_shape": [side, side, 3]}})
    operations = ("log_prob 1", "sample 1")
    served = {"served": entry(**{name: [0.1] for name in operations})}
    cells.append(cell("serving", served, series=("serving",), operations=operations))
    written = results(*cells)
    names = {path.name for path in draw_plots(written, tmp_path)}
    assert names == {"pixels_batch_64.png", "serving.png"}
    assert names == {path.name for path in tmp_path.iterdir()}
    fitted = [found for *_, found in exponents(written["cells"])]
    assert [f.median for f in fitted] == pytest.approx([1.0] * 3)
    assert all(isinstance(f, Spread) for f in fitted)


class FakeProcess:
    """Answers at once, or dies, by the contender's name."""

    def __init__(self, contender):
        self.contender = contender

    def ask(self, function, time_limit, **request):
        name = function.partition(":")[2]
        if self.contender == "dies" and name == "seconds":
            raise ChildError("it died")
        first = {"first_seconds": 1.0, "network_runs": None}
        prepared = {"operations": ["train"], "parameters": 1, "notes": []}
        answers = {"prepare": prepared, "first": first, "seconds": 1.0}
        return answers.get(name, 4)

    def close(self):
        pass

    def __enter__(self):
        return self

    def __exit__(self, *error):
        pass


def drive(monkeypatch, tmp_path, contenders, beside=9):
    monkeypatch.setattr(runs, "PAUSE", 0)
    monkeypatch.setitem(CONTENDERS, "dies", CONTENDERS["floor"])
    run = runs.Run(tmp_path, None, sys.executable, 3, say=lambda text: None)
    monkeypatch.setattr(run, "process", lambda _, name, *rest: FakeProcess(name))
    tried = Cell("tried", {}, 1, contenders, operations=("train",), beside=beside)
    return runs.run_cell(tried, run)["groups"]


def test_the_others_go_on_when_a_contender_dies(monkeypatch, tmp_path):
    (group,) = drive(monkeypatch, tmp_path, ("ours", "dies", "image peer", "floor"))
    assert group["dies"]["error"] == "it died"
    assert group["image peer"]["error"] == "not run: no --image-peer given"
    for name in ("ours", "floor"):
        assert group[name]["seconds"]["train"] == [1.0] * 3


def test_contenders_come_in_groups_with_the_first_in_each(monkeypatch, tmp_path):
    names = ("ours", "floor", "served", "zuko")
    groups = drive(monkeypatch, tmp_path, names, beside=2)
    assert [list(g) for g in groups] == [[*names[:3]], ["ours", "zuko"]]


def test_what_a_child_raises_or_that_it_ended_is_told(tmp_path):
    with Process(tmp_path / "log") as process:
        assert process.ask("math:gcd", **{}) == 0
        with pytest.raises(ChildError, match="TypeError: dumps"):
            process.ask("json:dumps", nothing=1)
        process._process.kill()
        with pytest.raises(ChildError, match="process ended with status -9"):
            process.ask("math:gcd")


def test_the_command_measures_a_cell_and_keeps_it(tmp_path):
    command = [sys.executable, "benchmarks/speed", "--quick", "--output", str(tmp_path)]
    command += ["--only", "vectors of 8", "--resume"]
    for printed in ("repetition 2 of 2", "was measured before"):
        done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)
        assert done.returncode == 0 and printed in done.stdout, done.stderr
    written = json.loads((tmp_path / "results.json").read_text())
    (group,) = written["cells"]["vectors of 8"]["groups"]
    assert group["vector ours"]["error"] is None
    assert group["vector ours"]["network_runs"]["log_prob"] == 1
    assert group["tfb.RealNVP"]["network_runs"]["log_prob"] == 2
    assert len(group["vector ours"]["seconds"]["train"]) == 2
    assert "no results" in (tmp_path / "results.md").read_text()


def test_the_floor_has_the_convolutions_of_our_training_step():
    flow = nvp.image_flow(**SIZES, seed=0)
    networks = [
        floor.Network(c, 2, "float32", complete=False) for c in ours.couplings_of(flow)
    ]
    model = nvp.FlowModel(flow, seed=0)
    model.compile()
    images = tf.constant(ours.made_up_images(2, flow.event_shape))
    counts = []
    for step in (lambda: floor.train(networks), lambda: model.train_step(images)):
        graph = tf.function(step).get_concrete_function().graph
        types = [op.type for op in graph.get_operations()]
        names = ("Conv2D", "Conv2DBackpropInput", "Conv2DBackpropFilter")
        names += ("FusedBatchNormV3", "FusedBatchNormGradV3")
        counts.append({name: types.count(name) for name in names})
    assert counts[0] == counts[1]


@pytest.mark.parametrize(("memory", "times"), [("stored", 1), ("recompute", 2)])
def test_a_chain_has_as_many_couplings_as_it_is_told_and_can_be_trained(memory, times):
    sizes = {"event_shape": (4, 4, 1), "num_couplings": 3, "filters": 2}
    told = {"sizes": {**sizes, "num_blocks": 1}, "batch": 2}
    prepared = ours.prepare_chain(told, memory)
    assert prepared.networks == 3
    prepared.operations["train"]()
    assert prepared.network_runs() == 3 * times


@pytest.mark.parametrize("spline", [None, (4, 3.0)])
def test_runs_of_networks_are_counted_on_the_contender_alone(spline):
    told = {"sizes": {"size": 4, "num_couplings": 2, "hidden_units": [3]}, "batch": 2}
    prepared, other = (tf_vectors.prepare(told, spline=spline) for _ in range(2))
    other.operations["log_prob"]()
    assert prepared.network_runs() == 0
    prepared.operations["log_prob"]()
    assert prepared.network_runs() == 2


@pytest.mark.parametrize("spline", [None, (4, 3.0)])
@pytest.mark.parametrize("library", ["normflows", "nflows", "zuko"])
def test_a_vector_peer_has_our_number_of_parameters_and_trains(library, spline):
    pytest.importorskip("torch")
    pytest.importorskip(library)
    from speed.contenders import torch_vectors

    sizes = {"size": 8, "num_couplings": 2, "hidden_units": [16, 16]}
    told = {"sizes": sizes, "batch": 4, "wanted_parameters": 3000}
    with contextlib.redirect_stdout(None):
        found = torch_vectors.prepare(told, library, spline)
    assert abs(found.parameters / 3000 - 1) <= 0.05
    losses = [found.operations["train"]() for _ in range(20)]
    assert losses[-1] < losses[0]
    assert found.operations["log_prob"]().shape == (4,)
    assert found.operations["sample"]().shape == (4, 8)


def test_the_image_peer_runs_unchanged_on_current_pytorch(tmp_path):
    checkout, python = map(os.environ.get, ("IMAGE_PEER", "TORCH_PYTHON"))
    if checkout is None:
        pytest.skip("needs IMAGE_PEER, a checkout of chrischute/real-nvp")
    before = {p: p.stat().st_mtime for p in pathlib.Path(checkout).rglob("*")}
    run = runs.Run(tmp_path, checkout, python or sys.executable, 1, say=print)
    (quick,) = (c for c in quick_cells() if c.name.startswith("32x32"))
    with run.process(quick, "image peer") as process:
        run.prepare(process, quick, "image peer", None)
        for name in ("train", "log_prob", "sample"):
            assert process.ask("speed.contender:first", name=name)["first_seconds"] > 0
    assert before == {p: p.stat().st_mtime for p in pathlib.Path(checkout).rglob("*")}
