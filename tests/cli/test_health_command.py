import json

import numpy as np
import pytest
import tensorflow as tf

import tfp_realnvp as nvp
from tfp_realnvp.cli import main
from tfp_realnvp.runs.run_config import RunConfig
from tfp_realnvp.runs.run_directory import RunDirectory

FLOW = {"event_shape": (8, 8, 1), "num_scales": 1, "filters": 2, "num_blocks": 1}


def make_run(path, spoil=lambda model: None, **flow):
    """A run as training leaves it, with the weights it would begin with."""
    config = RunConfig(
        dataset="digits",
        flow={**FLOW, "batch_norm": None, **flow},
        batch_size=16,
        epochs=1,
        learning_rate=1e-3,
        seed=0,
    )
    model = RunDirectory.create(path, config).load_config().build_model()
    spoil(model)
    model.save_weights(path / "model.weights.h5")
    return str(path)


def found(run):
    path = RunDirectory(run).path / "health.json"
    return json.loads(path.read_text(), parse_constant=pytest.fail)


def test_the_report_is_printed_and_written(tmp_path, capsys):
    run = make_run(tmp_path / "run")
    assert main(["health", run, "--limit", "20"]) == 0
    printed = capsys.readouterr().out
    assert "Health of a flow over 8 x 8 x 1 in float32, on 20 examples" in printed
    assert "Verdict: healthy." in printed
    values = found(run)
    assert (values["verdict"], values["findings"], values["count"]) == (
        "healthy",
        [],
        20,
    )
    # Statistics are those of the batches that training takes.
    assert values["batch_size"] == 16
    settings = [values[name] for name in ("dataset", "split", "weights", "seed")]
    assert settings == ["digits", "test", "last", 0]

    directory = RunDirectory(run)
    images = directory.load_config().load_data().test
    report = nvp.flow_health(directory.load_model(), images, limit=20, batch_size=16)
    np.testing.assert_allclose(
        values["score_by_running"], report.score_by_running, rtol=1e-5
    )
    assert len(values["couplings"]) == 4


def test_weights_that_are_not_finite_are_refused_before_anything_is_measured(
    tmp_path, capsys
):
    def spoil(model):
        variable = model.trainable_variables[0]
        variable.assign(tf.fill(variable.shape, np.nan))

    run = make_run(tmp_path / "run", spoil)
    assert main(["health", run, "--limit", "5"]) == 2
    assert "model.weights.h5 is damaged" in capsys.readouterr().err
    assert not (tmp_path / "run" / "health.json").exists()


def test_a_flow_not_to_be_trusted_is_reported_and_measured_all_the_same(
    tmp_path, capsys
):
    def spoil(model):
        for variable in model.non_trainable_variables:
            if "moving_variance" in variable.path:
                variable.assign(tf.fill(variable.shape, 1e6))

    run = make_run(tmp_path / "run", spoil, batch_norm="batch")
    assert main(["health", run, "--limit", "5"]) == 0
    said = capsys.readouterr().out
    assert "Verdict: not to be trusted:\n- " in said
    assert "- batch normalization: scores by running statistics are" in said
    grave = [f["kind"] for f in found(run)["findings"] if f["is_grave"]]
    assert "statistics gap" in grave


def test_a_conditional_run_is_measured_with_the_conditions_of_its_images(tmp_path):
    run = make_run(tmp_path / "run", condition_size=10)
    options = ["--limit", "5", "--split", "validation", "--batch-size", "4"]
    assert main(["health", run, *options]) == 0
    assert (found(run)["split"], found(run)["batch_size"]) == ("validation", 4)


def test_a_new_run_in_the_folder_removes_the_report(tmp_path):
    path = tmp_path / "run"
    run = make_run(path)
    assert main(["health", run, "--limit", "5"]) == 0
    config = RunDirectory(run).load_config()
    RunDirectory.create(path, config, overwrite=True)
    assert not (path / "health.json").exists()


def test_weights_that_the_run_has_not_end_the_command(tmp_path, capsys):
    run = make_run(tmp_path / "run")
    assert main(["health", run, "--weights", "best"]) == 2
    assert "holds no weights best.weights.h5" in capsys.readouterr().err
    assert not (tmp_path / "run" / "health.json").exists()


def test_a_folder_without_a_run_is_an_error(tmp_path, capsys):
    assert main(["health", str(tmp_path)]) == 2
    assert "without config.json" in capsys.readouterr().err
