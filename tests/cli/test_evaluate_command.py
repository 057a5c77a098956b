import json

import numpy as np
import pytest
from small_runs import make_run, refused, status

from tfp_realnvp.evaluation import evaluate_runs
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
    assert f"With last weights: {bits[0]:.3f} of seed 3, {bits[1]:.3f} of" in printed


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
    assert "flow.filters is 2 and 4" in refused(capsys, "evaluate", *runs, other)
    twice = refused(capsys, "evaluate", runs[0], runs[0])
    assert "different seeds, got several of 3" in twice
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
        ("--limit 301", "limit: expected 1 to 300, the images there are; got 301"),
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
