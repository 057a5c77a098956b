import contextlib
import json
import os
import pathlib
import subprocess
import sys

import pytest
from speed import drive
from speed.cells import Cell, all_cells, quick_cells
from speed.command import main
from speed.contenders import CONTENDERS, closest_width
from speed.memory import search
from speed.process import ContenderError, Process
from speed.report import report
from speed.spread import Spread, exponent, ratio_of, ratios, spread_of
from speed.targets import verdicts
from speed_results import cell, entry, results

ROOT = pathlib.Path(__file__).resolve().parents[2]


def test_a_spread_is_the_median_with_its_quartiles():
    assert spread_of([4.0, 1.0, 2.0, 3.0, 5.0]) == Spread(3.0, 2.0, 4.0)
    with pytest.raises(ValueError, match="at least one, got none"):
        spread_of([])


def test_ratios_are_those_of_the_same_repetition():
    assert ratios([2.0, 9.0], [1.0, 3.0, 4.0]) == [2.0, 3.0]


def test_the_exponent_of_linear_growth_is_one():
    assert exponent([64, 256, 1024], [0.1, 0.4, 1.6]) == pytest.approx(1.0)
    with pytest.raises(ValueError, match=r"two that differ, got \[64\]"):
        exponent([64], [0.1])


def test_a_ratio_is_taken_only_of_contenders_that_ran_beside_each_other():
    groups = [
        {"ours": entry(train=[1.0, 2.0]), "peer": entry(train=[3.0, 6.0])},
        {"ours": entry(train=[5.0]), "floor": entry(train=[5.0])},
    ]
    found = cell("shipped", groups)
    assert ratio_of(found, ("peer", "train"), ("ours", "train")).median == 3.0
    assert ratio_of(found, ("floor", "train"), ("ours", "train")).median == 1.0
    assert ratio_of(found, ("floor", "train"), ("peer", "train")) is None


@pytest.mark.parametrize("largest", [1, 7, 100, 128, 1000])
def test_the_search_finds_the_largest_batch_to_within_its_resolution(largest):
    found = search(lambda batch: batch <= largest, start=128, most=4096)
    assert found <= largest <= max(found, 1.08 * found)


def test_the_search_ends_where_nothing_fits_and_where_all_does():
    assert search(lambda batch: False, start=128, most=4096) is None
    assert search(lambda batch: True, start=128, most=512) == 512


def test_a_width_that_fits_is_kept_and_another_one_searched():
    assert closest_width(lambda w: 10 * w, 1000, start=98)[0] == 98
    width, note = closest_width(lambda w: 10 * w, 1000, start=64)
    assert width == 100
    assert "100 instead of 64, 1.000 of our parameters" in note
    with pytest.raises(ValueError, match="within 5 % of 1000 parameters"):
        closest_width(lambda w: 700 * w, 1000, start=1)


@pytest.mark.parametrize("cells", [all_cells(), quick_cells()])
def test_every_contender_of_every_cell_is_known(cells):
    assert len({c.name for c in cells}) == len(cells)
    for c in cells:
        assert {*c.contenders, *c.memory} <= set(CONTENDERS), c.name


def _verdict(found, target):
    return next(v for v in verdicts(found) if v.target == target)


@pytest.mark.parametrize(("peer", "text"), [(1.9, "met"), (1.7, "MISSED")])
def test_a_target_is_met_or_missed_by_the_median(peer, text):
    group = {"ours": entry(train=[1.0] * 3), "image peer": entry(train=[peer] * 3)}
    found = {"shipped": cell("shipped", [group])}
    verdict = _verdict(found, "shipped: train step, times as fast as the peer")
    assert verdict.text == text
    assert verdict.measured.median == pytest.approx(peer)


def test_a_target_that_was_not_measured_says_why():
    group = {"ours": entry(train=[1.0]), "image peer": entry(error="it died")}
    found = {"shipped": cell("shipped", [group])}
    verdict = _verdict(found, "shipped: train step, times as fast as the peer")
    assert verdict.text == "not measured"
    assert verdict.note == "image peer: it died"


def test_the_faster_of_our_two_ways_is_compared_with_the_fastest_peer():
    group = {
        "vector ours": entry(train=[3.0]),
        "vector ours XLA": entry(train=[2.0]),
        "normflows": entry(train=[8.0]),
        "zuko": entry(train=[4.0]),
        "nflows": entry(error="not installed"),
    }
    found = {"vectors of 8": cell("vectors of 8", [group])}
    target = "vectors of 8: train, times as fast as the fastest peer"
    verdict = _verdict(found, target)
    assert verdict.measured.median == 2.0
    assert verdict.note == "vector ours XLA against zuko; failed: nflows"


def test_the_report_shows_failures_and_that_quick_figures_are_no_results():
    group = {"ours": entry(train=[1.0, 2.0]), "tfb.Glow": entry(error="a | b")}
    text = report(results(cell("shipped", [group]), quick=True))
    assert "FAILED: a \\| b" in text
    assert "no results" in text
    assert "| MISSED |" not in text
    assert "no results" not in report(results(cell("shipped", [group])))


def _grown(side, num_blocks, series):
    seconds = [1e-6 * side**2 * num_blocks * factor for factor in (1.0, 1.1, 1.2)]
    timed = {name: seconds for name in ("train", "log_prob", "sample")}
    half = {name: [0.5 * s for s in values] for name, values in timed.items()}
    sizes = {"event_shape": [side, side, 3], "num_blocks": num_blocks}
    group = {"ours": entry(**timed), "floor": entry(**half)}
    name = f"{side}x{side}, {num_blocks} blocks"
    return cell(name, [group], sizes=sizes, series=series)


def test_growth_is_fitted_and_drawn(tmp_path):
    pytest.importorskip("matplotlib")
    from speed.plots import draw_plots

    found = [
        _grown(s, 2, ["pixels", "blocks"] if s == 32 else ["pixels"])
        for s in (8, 16, 32)
    ]
    found += [_grown(32, blocks, ["blocks"]) for blocks in (4, 8)]
    for count in (10, 40):
        chain = {"error": None, "peak_bytes": count * 2**28}
        name, sizes = f"{count} couplings", {"num_couplings": count}
        memory = {"chain stored": chain, "chain recompute": {"error": "none"}}
        chains = cell(name, [], sizes=sizes, series=["couplings"], memory=memory)
        found.append(chains)
    served = {"served": entry(**{"log_prob 1": [0.1], "sample 1": [0.2]})}
    operations = ["log_prob 1", "sample 1"]
    found.append(cell("serving", [served], series=["serving"], operations=operations))
    written = results(*found)
    names = {path.name for path in draw_plots(written, tmp_path)}
    expected = {
        "pixels_batch_64.png",
        "blocks_batch_64.png",
        "memory.png",
        "serving.png",
    }
    assert names == expected == {path.name for path in tmp_path.iterdir()}
    verdict = _verdict(written["cells"], "growth: train, batch 64, exponent of pixels")
    assert verdict.measured.median == pytest.approx(1.0)
    assert verdict.text == "met"


class _FakeProcess:
    """Answers at once; takes 4 bytes, or dies, by the contender's name."""

    def __init__(self, contender):
        self.contender = contender

    def ask(self, do, may_take=None, **request):
        if self.contender == "dies" and do == "time":
            raise ContenderError("it died")
        if do == "prepare":
            return {"operations": ["train"], "parameters": 1, "notes": []}
        if do == "first":
            return {"first_seconds": 1.0, "network_runs": None}
        return {"seconds": 1.0, "calls": 1}

    def peak_bytes(self):
        return 4

    def close(self):
        pass

    def __enter__(self):
        return self

    def __exit__(self, *error):
        pass


def _drive(monkeypatch, tmp_path, contenders, available):
    monkeypatch.setattr(drive, "PAUSE", 0)
    monkeypatch.setattr(drive, "meminfo_bytes", lambda field: available)
    run = drive.Run(tmp_path, None, 3, say=lambda text: None)
    monkeypatch.setattr(run, "process", lambda _, name: _FakeProcess(name))
    tried = Cell("tried", {}, 1, contenders, operations=("train",))
    return drive.run_cell(tried, run)["groups"]


def test_the_others_go_on_when_a_contender_dies(monkeypatch, tmp_path):
    (group,) = _drive(monkeypatch, tmp_path, ("ours", "dies", "floor"), 100)
    assert group["dies"]["error"] == "it died"
    assert group["ours"]["seconds"]["train"] == [1.0] * 3
    assert group["floor"]["seconds"]["train"] == [1.0] * 3


def test_contenders_that_do_not_fit_into_memory_come_in_groups(monkeypatch, tmp_path):
    groups = _drive(monkeypatch, tmp_path, ("ours", "a", "b", "c"), 15)
    assert [list(group) for group in groups] == [["ours", "a", "b"], ["ours", "c"]]
    groups = _drive(monkeypatch, tmp_path, ("ours", "a"), 8)
    assert "does not fit beside ours" in groups[0]["a"]["error"]


def test_an_image_peer_that_was_not_given_is_named(monkeypatch, tmp_path):
    (group,) = _drive(monkeypatch, tmp_path, ("ours", "image peer"), 100)
    assert group["image peer"]["error"] == "not run: no --image-peer given"


def test_what_a_worker_raises_or_that_it_ended_is_told(tmp_path):
    with Process("ours", tmp_path / "log") as process:
        with pytest.raises(ContenderError, match="KeyError: 'nobody'"):
            process.ask("prepare", contender="nobody", cell={})
        process._process.kill()
        with pytest.raises(ContenderError, match="process ended with status -9"):
            process.ask("prepare", contender="nobody", cell={})


def test_the_command_checks_its_arguments_first(monkeypatch, tmp_path, capsys):
    def run(*arguments):
        monkeypatch.setattr(sys, "argv", ["speed", *arguments])
        with pytest.raises(SystemExit) as error:
            main()
        return f"{error.value} {capsys.readouterr().err}"

    output = str(tmp_path / "output")
    assert "--output: expected a folder, got none" in run()
    peer = str(tmp_path)
    assert f"got {peer} without models" in run("--output", output, "--image-peer", peer)
    assert "got nothing" in run("--output", output, "--only", "nothing")
    assert "at least 1, got 0" in run("--output", output, "--repetitions", "0")
    (tmp_path / "results.json").write_text("{}")
    assert "with a results.json" in run("--output", str(tmp_path))
    assert not pathlib.Path(output).exists()


def test_the_command_measures_a_cell_and_keeps_it(tmp_path):
    command = [sys.executable, "benchmarks/speed", "--quick", "--output", str(tmp_path)]
    command += ["--only", "vectors of 8", "--contenders", "vector ours"]
    subprocess.run(command, cwd=ROOT, check=True, timeout=300)
    written = json.loads((tmp_path / "results.json").read_text())
    (group,) = written["cells"]["vectors of 8"]["groups"]
    assert group["vector ours"]["error"] is None
    assert group["vector ours"]["network_runs"]["log_prob"] == 1
    assert len(group["vector ours"]["seconds"]["train"]) == 2
    assert "no results" in (tmp_path / "results.md").read_text()
    again = subprocess.run(
        [*command, "--resume"], cwd=ROOT, check=True, stdout=subprocess.PIPE, text=True
    )
    assert "was measured before" in again.stdout


SIZES = {"event_shape": [8, 8, 3], "filters": 4, "num_blocks": 1, "num_scales": 2}


def test_the_floor_has_the_convolutions_of_our_training_step():
    import tensorflow as tf
    from speed.contenders import floor, ours

    import tfp_realnvp as nvp

    flow = nvp.image_flow(**SIZES, seed=0)
    networks = [
        floor.Network(c.network.network, c.event_shape[:2], "float32", complete=False)
        for c in ours.couplings_of(flow)
    ]
    for network in networks:
        network.draw(2)
    model = nvp.FlowModel(flow, seed=0)
    model.compile()
    images = tf.constant(ours.made_up_images(2, flow.event_shape))
    steps = [
        tf.function(lambda: floor._train(networks)),
        tf.function(lambda: model.train_step(images)),
    ]
    counts = []
    for step in steps:
        types = [op.type for op in step.get_concrete_function().graph.get_operations()]
        names = ("Conv2D", "Conv2DBackpropInput", "Conv2DBackpropFilter")
        names += ("FusedBatchNormV3", "FusedBatchNormGradV3")
        counts.append({name: types.count(name) for name in names})
    assert counts[0] == counts[1]


@pytest.mark.parametrize("memory", ["stored", "recompute"])
def test_a_chain_has_as_many_couplings_as_it_is_told_and_can_be_trained(memory):
    from speed.contenders import chain

    sizes = {"event_shape": (4, 4, 1), "num_couplings": 3, "filters": 2}
    prepared = chain.prepare({"sizes": {**sizes, "num_blocks": 1}, "batch": 2}, memory)
    assert prepared.networks == 3
    prepared.operations["train"]()
    assert prepared.network_runs() == 3 * {"stored": 1, "recompute": 2}[memory]


@pytest.mark.parametrize("route", ["ours", "tfb"])
def test_runs_of_networks_are_counted_on_the_contender_alone(route):
    from speed.contenders import vectors_tf

    import tfp_realnvp as nvp

    cell = {"sizes": {"size": 4, "num_couplings": 2, "hidden_units": [3]}, "batch": 2}
    prepared, other = (vectors_tf.prepare(cell, route) for _ in range(2))
    other.operations["log_prob"]()
    assert prepared.network_runs() == 0
    prepared.operations["log_prob"]()
    assert prepared.network_runs() == 2 * {"ours": 1, "tfb": 2}[route]
    assert nvp.MLP.call.__module__ == nvp.MLP.__module__


@pytest.mark.parametrize("training", [False, True])
def test_the_route_through_tfp_gives_our_log_prob(training):
    import numpy as np
    import tensorflow as tf
    import tensorflow_probability as tfp
    from speed.contenders import ours, tfp_route

    import tfp_realnvp as nvp

    flow = nvp.image_flow(**SIZES, seed=0)
    for variable in flow.trainable_variables:
        variable.assign_add(0.05 * tf.random.normal(variable.shape))
    mode = tfp_route.Mode()
    mode.training = training
    to_pixels, real_nvp = flow.bijector.bijectors
    chain = tfp.bijectors.Chain([to_pixels, tfp_route.plain(real_nvp.body, mode)])
    route = tfp.distributions.TransformedDistribution(flow.distribution, chain)
    x = tf.constant(ours.made_up_images(2, flow.event_shape), tf.float32)
    kwargs = {"bijector_kwargs": {"training": training}}
    expected = tf.function(lambda x: flow.log_prob(x, **kwargs))(x)
    np.testing.assert_allclose(tf.function(route.log_prob)(x), expected, rtol=1e-5)


@pytest.mark.parametrize("route", ["normflows", "nflows", "zuko"])
def test_a_vector_peer_has_our_number_of_parameters_and_trains(route):
    pytest.importorskip("torch")
    pytest.importorskip(route)
    from speed.contenders import vectors_torch

    sizes = {"size": 8, "num_couplings": 2, "hidden_units": [16, 16]}
    with contextlib.redirect_stdout(None):
        found = vectors_torch.prepare(
            {"sizes": sizes, "batch": 4, "wanted_parameters": 900}, route
        )
    assert abs(found.parameters / 900 - 1) <= 0.05
    losses = [found.operations["train"]() for _ in range(20)]
    assert losses[-1] < losses[0]
    assert found.operations["log_prob"]().shape == (4,)
    assert found.operations["sample"]().shape == (4, 8)


def test_the_image_peer_runs_unchanged_on_current_pytorch(tmp_path):
    pytest.importorskip("torch")
    checkout = os.environ.get("IMAGE_PEER")
    if checkout is None:
        pytest.skip("needs IMAGE_PEER, a checkout of chrischute/real-nvp")
    before = {p: p.stat().st_mtime for p in pathlib.Path(checkout).rglob("*")}
    with Process("image peer", tmp_path / "log") as process:
        specification = {"sizes": SIZES, "batch": 2, "image_peer": checkout}
        process.ask("prepare", contender="image peer", cell=specification)
        for operation in ("train", "log_prob", "sample"):
            assert process.ask("first", operation=operation)["first_seconds"] > 0
    assert before == {p: p.stat().st_mtime for p in pathlib.Path(checkout).rglob("*")}
