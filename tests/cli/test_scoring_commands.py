"""`evaluate`, `score` and `health`."""

import json

import numpy as np
import pytest
import tensorflow as tf
from small_runs import make_run, refused, status

import tfp_realnvp as nvp
from tfp_realnvp.cli import score
from tfp_realnvp.evaluation import ImageScores, evaluate_runs
from tfp_realnvp.runs import RunDirectory


@pytest.fixture(scope="module")
def runs(tmp_path_factory):
    path = tmp_path_factory.mktemp("runs")
    return [make_run(path / f"seed-{seed}", seed=seed) for seed in (3, 4)]


def read(run):
    return json.loads((run / "evaluation.json").read_text())


def test_several_runs_are_scored_alone_and_together(runs, tmp_path, capsys):
    options = "--limit 40 --batch-size 16 --split validation --output"
    assert status("evaluate", *runs, options, tmp_path / "both.json") == 0
    both = json.loads((tmp_path / "both.json").read_text())
    first, second = map(read, runs)
    bits = [found["bits_per_dim"] for found in (first, second)]
    assert both["bits_per_dim_by_seed"] == bits and bits[0] != bits[1]
    np.testing.assert_allclose(both["bits_per_dim"], np.mean(bits))
    over_seeds, over_images = (
        both[f"standard_error_over_{name}"] for name in ("seeds", "images")
    )
    np.testing.assert_allclose(over_seeds, abs(bits[0] - bits[1]) / 2)
    assert over_images > 0
    assert (both["training_seeds"], second["training_seeds"]) == ([3, 4], [4])
    assert (both["flows"], first["flows"]) == (2, 1)
    assert both["paper"]["remark"] == "The paper has no figure on digits."
    assert (both["images"], both["images_in_split"], both["draws"]) == (40, 149, 3)
    printed = capsys.readouterr().out
    numbers = (both["bits_per_dim"], over_images, over_seeds)
    expected = " ± ".join(f"{v:.3f}" for v in numbers)
    assert f"| digits, validation | -- | -- | {expected} |" in printed
    assert f"With last weights: {bits[0]:.3f} for seed 3, {bits[1]:.3f} f" in printed


def test_the_bound_of_several_draws_is_below_their_mean(runs, capsys):
    options = "--limit 20 --importance-samples 8"
    assert status("evaluate", runs[0], options) == 0
    found = read(runs[0])
    assert (found["draws"], found["importance_samples"]) == (8, 8)
    assert found["bound_bits_per_dim"] < found["bits_per_dim"]
    assert "not what the paper reports" in capsys.readouterr().out


def test_a_conditional_run_is_scored_with_its_conditions(tmp_path, capsys):
    run = make_run(tmp_path / "run", condition_size=10)
    assert status("evaluate", run, "--limit 5 --draws 1") == 0
    assert read(run)["is_conditional"]
    assert "| digits, test, conditional |" in capsys.readouterr().out


def test_runs_that_cannot_be_scored_together_are_refused(runs, tmp_path, capsys):
    other = make_run(tmp_path / "other", seed=5, filters=4)
    assert "flow.filters is 2 in" in refused(capsys, "evaluate", *runs, other)
    twice = refused(capsys, "evaluate", runs[0], runs[0])
    assert "different seeds, got two of 3" in twice
    # Missed before any is scored.
    (other / "model.weights.h5").unlink()
    missing = refused(capsys, "evaluate", other)
    assert "other holds no weights model.weights.h5" in missing
    assert not (other / "evaluation.json").exists()


def test_scores_are_shown_where_they_cannot_be_kept(tmp_path, capsys):
    run, other = (make_run(tmp_path / str(seed), seed=seed) for seed in (1, 2))
    (run / "evaluation.json").mkdir()
    assert status("evaluate", run, other, "--limit 5 --draws 1") == 2
    said = capsys.readouterr()
    assert f"Training of {run} has not ended." in said.out
    assert (other / "evaluation.json").is_file()
    assert "| digits, test | -- | -- | " in said.out
    assert "Is a directory" in said.err and "evaluation.json" in said.err


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ("--limit 301", "limit: expected an int from 1 to 300, the images"),
        ("--draws 3 --importance-samples 2", "importance_samples: expected a divisor"),
        ("--output nowhere/found.json", "output: expected a file in a folder"),
        ("--output .", "output: expected a file in a folder"),
    ],
)
def test_bad_arguments_end_evaluation_before_it_begins(
    arguments, message, runs, capsys
):
    assert message in refused(capsys, "evaluate", runs[1], arguments)


def test_a_split_that_there_is_not_is_refused(runs):
    with pytest.raises(ValueError, match='split: expected "train", "validation" or "t'):
        evaluate_runs([RunDirectory(runs[0])], split="held-out")


# Of four images, the last of which could not be read.
SCORES = {
    "file": np.array(["a", "b", "c", "d"], object),
    "bits_per_dim": np.array([4.0, 9.0, 4.1, np.nan]),
    "standard_error": np.full([4], 0.1),
    "typicality": np.array([1.0, 0.02, 0.8, np.nan]),
    "error": np.array(["", "", "", "cut off"], object),
}


@pytest.fixture
def asked(monkeypatch):
    """The arguments of `score_images`, which is replaced and does not score."""
    asked = {}

    def score_images(*arguments, output, **options):
        asked.update(options, arguments=arguments)
        output.write_text("file\n")
        pictures = {i: np.zeros([8, 8, 1], np.uint8) for i in range(3)}
        return ImageScores(SCORES, np.linspace(3, 5, 99), pictures)

    monkeypatch.setattr(score, "score_images", score_images)
    return asked


def test_all_that_was_found_is_written_and_told(asked, tmp_path, capsys):
    output = tmp_path / "some" / "where"
    options = "--draws 5 --skip-damaged --weights best --output"
    assert status("score runs/mine", "x y", options, output) == 0
    assert asked["arguments"] == ("runs/mine", ["x", "y"])
    assert (asked["draws"], asked["skip_damaged"]) == (5, True)
    assert (asked["weights"], asked["normal"]) == ("best", [])
    assert {path.name for path in output.iterdir()} >= {
        *("scores.csv", "scores.json", "scores.html", "contact_sheet.png")
    }
    summary = json.loads((output / "scores.json").read_text())
    assert summary["images"] == 3 and summary["not_scored"] == {"d": "cut off"}
    assert summary["strange"] == {"0.01": 0, "0.05": 1} and summary["roc_auc"] == {}
    assert summary["strangest"] == ["b", "c", "a"]
    told = capsys.readouterr().out
    assert "3 images scored, 1 not. 5.700 bits/dim on average" in told
    # With 99 images the smallest p is 0.02, so 0.01 is left out.
    assert "p <= 0.05: 1 images; 0 ex" in told and "0.01" not in told
    assert "Scored by mine" in (output / "scores.html").read_text()


def test_the_columns_are_in_the_parquet_file_too(asked, tmp_path):
    parquet = pytest.importorskip("pyarrow.parquet")
    assert status("score", "run", "x", "--output", tmp_path) == 0
    found = parquet.read_table(tmp_path / "scores.parquet").to_pydict()
    for name, column in SCORES.items():
        np.testing.assert_array_equal(np.array(found[name], column.dtype), column)


def test_a_file_is_no_folder_to_write_to(asked, tmp_path, capsys):
    (tmp_path / "file").write_text("")
    error = refused(capsys, "score", "run", "x", "--output", tmp_path / "file")
    assert "output: expected a folder" in error and not asked


def run_health(run, *options):
    """Runs `health`; returns the contents of the file that it writes."""
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
