import json

import numpy as np
import pytest
from small_runs import refused, status

from tfp_realnvp.cli import score
from tfp_realnvp.evaluation import ImageScores

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
    """What `score_images` is asked for; it does not score."""
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
    # Of 99 images the smallest p is 0.02, so that nothing is to be said of 0.01.
    assert "p <= 0.05: 1 of them, where" in told and "0.01" not in told
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
