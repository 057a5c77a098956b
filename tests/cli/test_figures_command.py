import json

import numpy as np
import pytest
from small_runs import make_run, png, refused, status

# One worker makes the fixtures for all.
pytestmark = pytest.mark.xdist_group("figures_command")


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    return make_run(tmp_path_factory.mktemp("runs") / "digits", num_scales=2, filters=4)


@pytest.fixture(scope="module")
def by_class(tmp_path_factory):
    path = tmp_path_factory.mktemp("runs") / "digits"
    return make_run(path, num_scales=2, filters=4, condition_size=10)


@pytest.fixture(scope="module")
def drawn(by_class):
    """All figures of the conditional run."""
    options = "--classifier-epochs 1 --count 20 --factors 2 3"
    assert status("figures", by_class, options) == 0
    return by_class / "figures"


def test_every_figure_is_a_picture_with_numbers(drawn):
    entries = json.loads((drawn / "figures.json").read_text())
    assert {p.name for p in drawn.iterdir()} == {*entries, "figures.json"}
    names = "animation attribute_change compression extrapolation_2x extrapolation_3x"
    names = f"{names} interpolation manifold samples".split()
    assert set(entries) == {f"{name}.png" for name in names}
    for entry in entries.values():
        assert entry["description"]
        assert (entry["dataset"], entry["weights"]) == ("digits", "last")
        for number in entry["numbers"].values():
            assert set(number) == {"value", "unit", "meaning", "standard_error"}
    # What is known beforehand.
    numbers = {name: entry["numbers"] for name, entry in entries.items()}
    for name in ("manifold", "animation", "compression", "interpolation"):
        error = numbers[f"{name}.png"]["reconstruction_error"]
        assert (error["value"] <= 1, error["unit"]) == (True, "grey levels"), name
    assert 0 <= numbers["attribute_change.png"]["new_found"]["value"] <= 100
    # A flow that has learned nothing costs about as much as uniform noise would.
    assert 6 < numbers["samples.png"]["data_bits_per_dim"]["value"] < 10


def test_figures_that_are_asked_for_are_drawn_and_others_stay(drawn, by_class, capsys):
    before = (drawn / "manifold.png").stat().st_mtime_ns
    samples = (drawn / "samples.png").read_bytes()
    entries = json.loads((drawn / "figures.json").read_text())
    options = "--only samples --count 20 --seed 1"
    assert status("figures", by_class, options) == 0
    (line,) = capsys.readouterr().out.splitlines()
    assert line.startswith(f"{drawn / 'samples.png'} (") and "bits/dim" in line
    assert (drawn / "manifold.png").stat().st_mtime_ns == before
    assert (drawn / "samples.png").read_bytes() != samples
    after = json.loads((drawn / "figures.json").read_text())
    assert after["manifold.png"] == entries["manifold.png"]
    assert (after["samples.png"]["seed"], after["manifold.png"]["seed"]) == (1, 0)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ("--count 301", "count: expected an int from 1 to 300, the number of test"),
        ("--weights best", "holds no weights best.weights.h5"),
        ("--only attribute_change", "only: expected figures that this flow can"),
    ],
)
def test_bad_arguments_draw_nothing(options, message, run, tmp_path, capsys):
    output = tmp_path / "figures"
    assert message in refused(capsys, "figures", run, options, "--output", output)
    assert not output.exists()


def test_samples_can_be_of_one_class_by_name_or_number(by_class, tmp_path):
    # At temperature 0 images differ by their condition alone.
    options = "--count 4 --temperature 0 --condition 3 --output"
    assert status("sample", by_class, options, tmp_path / "three.png") == 0
    three = png(tmp_path / "three.png")
    assert np.all(three[:32, :32] == three[33:, 33:])


@pytest.mark.parametrize(
    ("condition", "message"),
    [
        ("ten", "condition: expected one of 0, 1, 2"),
        ("10", "or a number below 10; got '10'"),
        ("1 2", "condition: expected one class, got 1 2"),
    ],
)
def test_conditions_that_do_not_exist_are_refused(
    condition, message, by_class, run, capsys
):
    options = f"--condition {condition}"
    assert message in refused(capsys, "sample", by_class, options)
    error = refused(capsys, "sample", run, options)
    assert "condition: expected none, since the run" in error
