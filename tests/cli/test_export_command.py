import json

import numpy as np
import pytest
import tensorflow as tf
from small_runs import make_run

from tfp_realnvp.cli import main
from tfp_realnvp.runs import RunDirectory
from tfp_realnvp.serving import export

pytestmark = pytest.mark.xdist_group("export_command")


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    path = tmp_path_factory.mktemp("runs") / "run"
    make_run(path, event_shape=(4, 4, 1), image_size=4)
    (path / "summary.json").write_text('{"test_bits_per_dim": 6.25}')
    return path


def test_each_export_of_a_run_is_a_new_version_that_scores_like_the_run(run, capsys):
    for version in ("1", "2"):
        assert main(["export", str(run)]) == 0
        path = run / "saved_model" / version
        said = capsys.readouterr().out
        assert f"Wrote {path} (" in said
        assert "last weights, 6.250 bits/dim on test images of digits." in said
    metadata = json.loads((path / "assets.extra" / "metadata.json").read_text())
    assert metadata["run"]["bits_per_dim"] == {"value": 6.25, "split": "test"}
    x = np.random.default_rng(0).uniform(0, 256, [3, 4, 4, 1]).astype(np.float32)
    served = tf.saved_model.load(path).signatures["serving_default"](x=tf.constant(x))
    expected = RunDirectory(run).load_model().flow.log_prob(x)
    np.testing.assert_allclose(served["log_prob"], expected, rtol=1e-5)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--weights", "best"], "no weights best.weights.h5"),
        (["--output", "{run}/summary.json"], "directory: expected a folder"),
    ],
)
def test_what_cannot_be_exported_leaves_nothing(run, capsys, arguments, message):
    before = sorted(run.rglob("*"))
    arguments = [argument.format(run=run) for argument in arguments]
    assert main(["export", str(run), *arguments]) == 2
    error = capsys.readouterr().err
    assert error.startswith("tfp-realnvp export: error: ") and message in error
    assert sorted(run.rglob("*")) == before


def test_a_run_that_nobody_has_measured_is_exported_with_a_word_on_that(run, capsys):
    (run / "summary.json").unlink()
    assert main(["export", str(run)]) == 0
    said = capsys.readouterr().out
    assert f"`tfp-realnvp evaluate {run} --weights last` can tell" in said


def test_an_export_whose_number_another_one_takes_meanwhile_takes_the_next(
    run, tmp_path, monkeypatch
):
    trace = export.signatures_of

    def while_another_one_ends(flow):
        (tmp_path / "1").mkdir(exist_ok=True)
        (tmp_path / "1" / "saved_model.pb").touch()
        return trace(flow)

    monkeypatch.setattr(export, "signatures_of", while_another_one_ends)
    assert main(["export", str(run), "--output", str(tmp_path)]) == 0
    assert (tmp_path / "2" / "saved_model.pb").stat().st_size > 0
    assert (tmp_path / "1" / "saved_model.pb").stat().st_size == 0
