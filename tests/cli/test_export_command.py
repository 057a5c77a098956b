import json

import numpy as np
import pytest
import tensorflow as tf
from small_runs import make_run, refused, status

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
        assert status("export", run) == 0
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


def test_what_cannot_be_exported_leaves_nothing(run, capsys):
    before = sorted(run.rglob("*"))
    missing = refused(capsys, "export", run, "--weights best")
    assert "no weights best.weights.h5" in missing
    taken = refused(capsys, "export", run, "--output", run / "summary.json")
    assert "directory: expected a folder" in taken
    assert sorted(run.rglob("*")) == before


def test_a_run_that_nobody_has_measured_is_exported_with_a_word_on_that(run, capsys):
    (run / "summary.json").unlink()
    assert status("export", run) == 0
    said = capsys.readouterr().out
    assert f"`tfp-realnvp evaluate {run} --weights last` prints" in said


def test_an_export_whose_number_another_one_takes_meanwhile_takes_the_next(
    run, tmp_path, monkeypatch
):
    trace, model = export.signatures_of, "saved_model.pb"

    def while_another_one_ends(flow):
        (tmp_path / "1").mkdir(exist_ok=True)
        (tmp_path / "1" / model).touch()
        return trace(flow)

    monkeypatch.setattr(export, "signatures_of", while_another_one_ends)
    assert status("export", run, "--output", tmp_path) == 0
    sizes = [(tmp_path / version / model).stat().st_size for version in "12"]
    assert sizes[0] == 0 < sizes[1]
