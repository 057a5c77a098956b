import csv
import json
import re
import shutil

import pytest
from small_model import assert_same
from small_runs import refused, status

from tfp_realnvp.cli import commands
from tfp_realnvp.gallery import Row
from tfp_realnvp.gallery.page import run_facts
from tfp_realnvp.runs.run_directory import RunDirectory

# One worker makes the fixtures for all.
pytestmark = pytest.mark.xdist_group("gallery_command")


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    """A conditional run on digits."""
    runs = tmp_path_factory.mktemp("runs")
    options = "--filters 4 --num-blocks 1 --epochs 1 --conditional --average-decay 0.9"
    assert status("train", options, "--runs", runs) == 0
    return runs / "digits"


@pytest.fixture
def copy(run, tmp_path):
    return shutil.copytree(run, tmp_path / "copy")


def captions(page):
    return re.findall(r'<p class="caption">(.*?)</p>', page)


def test_two_runs_are_shown_with_their_figures_and_all_pictures(
    run, copy, tmp_path, capsys
):
    (copy / "summary.json").unlink()
    output = tmp_path / "page.html"
    assert status("gallery", run, copy, "--output", output) == 0
    told = capsys.readouterr().out
    for text in ("1/2 ", "2/2 ", f"Wrote {output}, 0."):
        assert text in told
    page = output.read_text(encoding="utf-8")
    assert page.count("<figure id=") == 10
    assert re.findall(r'<h2 id="run-\d">(.*?)</h2>', page) == ["digits", "copy"]
    summary = json.loads((run / "summary.json").read_text())
    with open(run / "history.csv", newline="") as file:
        (epoch,) = csv.DictReader(file)
    found = (
        f"{summary['test_bits_per_dim']:.3f} bits/dim on test images · 21 steps",
        f"{float(epoch['val_bits_per_dim']):.3f} bits/dim on validation images · "
        "training not finished after epoch 1",
    )
    of_both = "digits, 8 x 8 · conditional · last weights · {} · {:,} parameters"
    expected = [of_both.format(text, summary["parameters"]) for text in found]
    assert captions(page) == expected
    first, second = page.split('<section class="run"')[1:]
    pictures = re.compile(r"data:image/[^\"]*")
    assert len(set(pictures.findall(first))) == 4 + 16
    assert pictures.findall(first) == pictures.findall(second)


def test_the_gallery_is_of_the_weights_seed_and_temperature_asked_for(
    run, copy, tmp_path, monkeypatch
):
    asked = []

    def draw_row(subject, *, title, caption):
        asked.append(subject)
        return Row(title, caption, {"samples": "not drawn"})

    monkeypatch.setattr(commands, "draw_row", draw_row)
    # Weights other than the average are not even looked for.
    (copy / "model.weights.h5").unlink()
    output = tmp_path / "page.html"
    options = "--weights average --seed 1 --temperature 0.7 --output"
    assert status("gallery", copy, options, output) == 0
    (subject,) = asked
    assert (subject.seed, subject.temperature, subject.count) == (1, 0.7, 64)
    assert subject.data.condition_size == 10
    expected = RunDirectory(run).load_model("average").flow
    assert_same(subject.flow.trainable_variables, expected.trainable_variables)
    summary = json.loads((run / "summary.json").read_text())
    average = f"{summary['average_test_bits_per_dim']:.3f} bits/dim on test images"
    (shown,) = captions(output.read_text(encoding="utf-8"))
    assert f"average weights · {average}" in shown
    assert shown.endswith("samples at temperature 0.7")


@pytest.mark.parametrize(
    ("change", "options", "message"),
    [
        ("", "--output nowhere/page.html", "output: expected a file in a folder"),
        ("", "elsewhere", "got elsewhere without config.json"),
        ("", "--weights best", "holds no weights best.weights.h5"),
        ('{"steps": 21}', "", "summary.json is damaged: KeyError"),
    ],
)
def test_all_runs_are_checked_before_the_first_is_drawn(
    run, copy, change, options, message, tmp_path, capsys, monkeypatch
):
    monkeypatch.chdir(tmp_path)
    (copy / "best.weights.h5").unlink()
    if change:
        (copy / "summary.json").write_text(change)
    # Drawing would need the weights.
    monkeypatch.setattr(RunDirectory, "load_model", None)
    assert message in refused(capsys, "gallery", run, copy, options)
    assert [path.name for path in tmp_path.iterdir()] == ["copy"]


def test_a_run_that_left_no_figures_says_so(copy):
    for name in ("summary.json", "history.csv"):
        (copy / name).unlink()
    directory = RunDirectory(copy)
    facts = run_facts(directory, directory.load_config(), "last")
    assert facts[-1] == "training was cut off before its first score"
