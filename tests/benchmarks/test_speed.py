import json
import pathlib
import subprocess
import sys

import pytest
import tensorflow as tf
from harness.process import ChildError, Process
from harness.tables import Spread
from speed.cells import Cell, all_cells, quick_cells
from speed.contenders import CONTENDERS, floor, ours
from speed.plots import draw_plots
from speed.report import exponents, report

import tfp_realnvp as nvp

ROOT = pathlib.Path(__file__).resolve().parents[2]


@pytest.mark.parametrize("cells", [all_cells(), quick_cells()])
def test_every_contender_of_every_cell_is_known(cells):
    assert len({c.name for c in cells}) == len(cells)
    for c in cells:
        assert {*c.contenders, *c.memory} <= set(CONTENDERS), c.name


def entry(error=None, **seconds):
    """Returns the results of a contender with these times of its operations."""
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
    sizes = {"event_shape": [8, 8, 3], "filters": 4, "num_blocks": 1, "num_scales": 2}
    flow = nvp.image_flow(**sizes, seed=0)
    couplings = ours.couplings_of(flow)
    networks = [floor.Network(c, 2, "float32", complete=False) for c in couplings]
    model = nvp.FlowModel(flow, seed=0)
    model.compile()
    images = tf.constant(ours.made_up_images(2, flow.event_shape))
    names = {"Conv2D", "Conv2DBackpropInput", "Conv2DBackpropFilter"}
    names |= {"FusedBatchNormV3", "FusedBatchNormGradV3"}
    counts = []
    for step in (lambda: floor.train(networks), lambda: model.train_step(images)):
        graph = tf.function(step).get_concrete_function().graph
        types = [operation.type for operation in graph.get_operations()]
        counts.append({name: types.count(name) for name in names})
    assert counts[0] == counts[1]


# With recomputation there are two networks, one for each mask, and their gradients.
@pytest.mark.parametrize(("memory", "runs"), [("stored", 3), ("recompute", 4)])
def test_a_chain_has_as_many_couplings_as_it_is_told_and_can_be_trained(memory, runs):
    sizes = {"event_shape": (4, 4, 1), "num_couplings": 3, "filters": 2}
    told = {"sizes": {**sizes, "num_blocks": 1}, "batch": 2}
    prepared = ours.prepare_chain(told, memory)
    assert prepared.networks == 3
    prepared.operations["train"]()
    assert prepared.network_runs() == runs
