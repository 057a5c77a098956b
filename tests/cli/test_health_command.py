import json

import numpy as np
import pytest
import tensorflow as tf
from small_runs import make_run, refused, status

import tfp_realnvp as nvp
from tfp_realnvp.runs import RunDirectory


def run_health(run, *options):
    """Returns what is written."""
    assert status("health", run, "--limit 20", *options) == 0
    return json.loads((run / "health.json").read_text(), parse_constant=pytest.fail)


def test_the_report_is_printed_and_written(tmp_path, capsys):
    run = make_run(tmp_path / "run", batch_size=16, batch_norm=None)
    values = run_health(run)
    printed = capsys.readouterr().out
    assert "Health of a flow over 8 x 8 x 1 in float32, on 20 examples" in printed
    assert "Verdict: healthy." in printed
    # Statistics are those of the batches that training takes.
    expected = {"verdict": "healthy", "findings": [], "count": 20, "batch_size": 16}
    expected |= {"dataset": "digits", "split": "test", "weights": "last", "seed": 0}
    assert {name: values[name] for name in expected} == expected

    directory = RunDirectory(run)
    images = directory.load_config().load_data().test
    report = nvp.flow_health(directory.load_model(), images, limit=20, batch_size=16)
    score = report.score_by_running
    np.testing.assert_allclose(values["score_by_running"], score, rtol=1e-5)
    RunDirectory.create(run, directory.load_config(), overwrite=True)
    assert not (run / "health.json").exists()


def test_a_flow_not_to_be_trusted_is_reported_and_measured_all_the_same(
    tmp_path, capsys
):
    def spoil(model):
        for variable in model.non_trainable_variables:
            if "moving_variance" in variable.path:
                variable.assign(tf.fill(variable.shape, 1e6))

    run = make_run(tmp_path / "run", change=spoil, batch_norm="batch")
    grave = [f["kind"] for f in run_health(run)["findings"] if f["is_grave"]]
    assert "statistics gap" in grave
    said = capsys.readouterr().out
    assert "Verdict: not to be trusted:\n- " in said
    assert "- batch normalization: scores by running statistics are" in said


def test_a_conditional_run_is_measured_with_the_conditions_of_its_images(tmp_path):
    run = make_run(tmp_path / "run", condition_size=10)
    found = run_health(run, "--split validation --batch-size 4")
    assert (found["split"], found["batch_size"]) == ("validation", 4)


def test_weights_that_are_not_finite_are_refused_before_anything_is_measured(
    tmp_path, capsys
):
    def spoil(model):
        model.trainable_variables[0].assign(model.trainable_variables[0] + np.nan)

    run = make_run(tmp_path / "run", change=spoil)
    assert "model.weights.h5 is damaged" in refused(capsys, "health", run)
    assert not (run / "health.json").exists()
