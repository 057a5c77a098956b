import json
import shutil

import numpy as np
import PIL.Image
import pytest
import tensorflow as tf

from tfp_realnvp.cli import main
from tfp_realnvp.runs.run_config import RunConfig
from tfp_realnvp.runs.run_directory import RunDirectory

# One worker makes the fixtures for all.
pytestmark = pytest.mark.xdist_group("figures_command")


def make_run(path, **flow):
    """Returns the folder of a run that ended before it learned anything."""
    flow = {"event_shape": [8, 8, 1], "filters": 4, "num_blocks": 1, **flow}
    config = RunConfig(
        "digits", flow, batch_size=64, epochs=1, learning_rate=1e-3, seed=0
    )
    directory = RunDirectory.create(path, config)
    config.build_model().save_weights(directory.weights())
    return path


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    return make_run(tmp_path_factory.mktemp("runs") / "digits")


@pytest.fixture(scope="module")
def by_class(tmp_path_factory):
    return make_run(tmp_path_factory.mktemp("runs") / "digits", condition_size=10)


@pytest.fixture(scope="module")
def drawn(by_class):
    """All figures of the conditional run."""
    options = ["--classifier-epochs", "1", "--count", "20", "--factors", "2", "3"]
    assert main(["figures", str(by_class), *options]) == 0
    return by_class / "figures"


def size(path):
    with PIL.Image.open(path) as image:
        return image.size[::-1]


def test_every_figure_is_a_picture_with_numbers(drawn):
    entries = json.loads((drawn / "figures.json").read_text())
    names = {p.name for p in drawn.iterdir()}
    assert names == {*entries, "figures.json"}
    assert set(entries) == {
        "animation.png",
        "attribute_change.png",
        "compression.png",
        "extrapolation_2x.png",
        "extrapolation_3x.png",
        "interpolation.png",
        "manifold.png",
        "samples.png",
    }
    for entry in entries.values():
        assert entry["description"]
        assert (entry["dataset"], entry["weights"]) == ("digits", "last")
        for number in entry["numbers"].values():
            assert set(number) == {"value", "unit", "meaning", "standard_error"}


def test_figures_are_laid_out_as_they_are_described(drawn):
    # Images are enlarged eight times, and there are two pixels of white between them.
    assert size(drawn / "manifold.png") == (8 * 66 - 2, 8 * 66 - 2)
    assert size(drawn / "compression.png") == (8 * 66 - 2, 8 * 66 - 2)
    # Original and ten classes.
    assert size(drawn / "attribute_change.png") == (8 * 66 - 2, 11 * 66 - 2)
    assert size(drawn / "extrapolation_3x.png") == (2 * 194 - 2, 2 * 194 - 2)
    # Two images of each class below their names, and as many samples.
    assert size(drawn / "samples.png") == (2 * 28 + 132, 2 * (10 * 68 - 4) + 16)
    with PIL.Image.open(drawn / "animation.png") as image:
        assert image.n_frames == 16


def test_numbers_say_what_is_known_beforehand(drawn):
    entries = json.loads((drawn / "figures.json").read_text())
    numbers = {name: entry["numbers"] for name, entry in entries.items()}
    for name in ("manifold", "animation", "compression", "interpolation"):
        error = numbers[f"{name}.png"]["reconstruction_error"]
        assert error["value"] <= 1, name
        assert error["unit"] == "grey levels"
    changed = numbers["attribute_change.png"]
    assert 0 <= changed["new_found"]["value"] <= 100
    # A flow that has learned nothing costs about as much as uniform noise would.
    assert 6 < numbers["samples.png"]["data_bits_per_dim"]["value"] < 10


def test_figures_that_are_asked_for_are_drawn_and_others_stay(drawn, by_class, capsys):
    before = (drawn / "manifold.png").stat().st_mtime_ns
    samples = (drawn / "samples.png").read_bytes()
    entries = json.loads((drawn / "figures.json").read_text())
    options = ["--only", "samples", "--count", "20", "--seed", "1"]
    assert main(["figures", str(by_class), *options]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert len(lines) == 1
    assert lines[0].startswith(f"{drawn / 'samples.png'} (")
    assert "bits/dim" in lines[0]
    assert (drawn / "manifold.png").stat().st_mtime_ns == before
    assert (drawn / "samples.png").read_bytes() != samples
    after = json.loads((drawn / "figures.json").read_text())
    assert after["manifold.png"] == entries["manifold.png"]
    assert (after["samples.png"]["seed"], after["manifold.png"]["seed"]) == (1, 0)


def test_what_a_flow_cannot_show_is_left_out_and_why_is_said(run, tmp_path, capsys):
    options = ["--only", "attribute_change", "samples", "--count", "4", "--output"]
    assert main(["figures", str(run), *options, str(tmp_path)]) == 0
    output = capsys.readouterr().out
    assert "attribute_change: left out, for the flow takes no condition." in output
    names = {p.name for p in tmp_path.iterdir()}
    assert names == {"samples.png", "figures.json"}


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--count", "301"], "count: expected 1 to 300, the test images of 'digits'"),
        (["--factors", "100000"], "GiB are available"),
        (["--weights", "best"], "holds no weights best.weights.h5"),
        (["--only", "attribute_change"], "only: expected figures that this flow can"),
    ],
)
def test_bad_arguments_draw_nothing(options, message, run, tmp_path, capsys):
    output = tmp_path / "figures"
    assert main(["figures", str(run), *options, "--output", str(output)]) == 2
    error = capsys.readouterr().err
    assert error.startswith("tfp-realnvp figures: error: ")
    assert message in error
    assert not output.exists()


def test_an_output_that_is_a_file_is_refused(run, tmp_path, capsys):
    (tmp_path / "file").write_text("mine")
    assert main(["figures", str(run), "--output", str(tmp_path / "file")]) == 2
    assert "output: expected a folder" in capsys.readouterr().err
    assert (tmp_path / "file").read_text() == "mine"


def test_a_folder_without_a_run_or_without_weights_is_refused(run, tmp_path, capsys):
    assert main(["figures", str(tmp_path)]) == 2
    assert "without config.json" in capsys.readouterr().err
    shutil.copy(run / "config.json", tmp_path)
    assert main(["figures", str(tmp_path)]) == 2
    assert "holds no weights model.weights.h5" in capsys.readouterr().err


def sample(run, path, *options):
    arguments = ["sample", str(run), "--count", "4", "--temperature", "0", "--output"]
    assert main([*arguments, str(path), *options]) == 0
    return tf.io.decode_png(path.read_bytes()).numpy()


def test_samples_can_be_of_one_class_by_name_or_number(by_class, tmp_path):
    # At temperature 0 nothing but the condition makes images differ.
    three = sample(by_class, tmp_path / "3.png", "--condition", "3")
    assert np.all(three[:32, :32] == three[33:, 33:])
    mixed = sample(by_class, tmp_path / "mixed.png")
    assert mixed.shape == three.shape


@pytest.mark.parametrize(
    ("condition", "message"),
    [
        (["ten"], "condition: expected one of 0, 1, 2"),
        (["10"], "or a number below 10; got '10'"),
        (["1", "2"], "condition: expected one class, got 1 2"),
    ],
)
def test_conditions_that_do_not_exist_are_refused(condition, message, by_class, capsys):
    assert main(["sample", str(by_class), "--condition", *condition]) == 2
    assert message in capsys.readouterr().err


def test_an_unconditional_run_is_not_sampled_under_a_condition(run, capsys):
    assert main(["sample", str(run), "--condition", "3"]) == 2
    assert (
        "condition: expected none, for the run was trained" in capsys.readouterr().err
    )
