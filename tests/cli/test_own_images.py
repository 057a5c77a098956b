"""A run on a folder of a user's own images, from training to export."""

import csv
import json
import shutil

import numpy as np
import pytest
from mixed_folder import encoded, picture, write_mixed_folder
from small_runs import QUICK, png, refused, status

from tfp_realnvp.runs import RunDirectory
from tfp_realnvp.serving import run_origin


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    """A folder of images and a run on its classes, and the arguments that made it."""
    place = tmp_path_factory.mktemp("own")
    (place / "images").mkdir()
    write_mixed_folder(place / "images")
    options = "--conditional --image-size 8 --batch-size 64 --augment flip "
    options += "--crop random --skip-damaged --name run"
    arguments = [QUICK, options, f"--dataset folder:{place / 'images'}"]
    assert status("train", *arguments, "--runs", place) == 0
    return place, arguments


@pytest.fixture
def own(trained, tmp_path):
    """Copies of both, to change."""
    shutil.copytree(trained[0], tmp_path / "own", symlinks=True)
    return tmp_path / "own"


def test_all_that_the_images_are_read_with_is_kept(trained):
    directory = RunDirectory(trained[0] / "run")
    config = directory.load_config()
    assert (config.crop, config.augment) == ("random", "flip") and config.skip_damaged
    assert config.images == config.load_data().fingerprint()
    assert config.condition_names == ["bird", "cat", "dog"]
    assert run_origin(directory)["condition_names"] == config.condition_names


def test_samples_are_drawn_of_a_class_by_its_name(trained, capsys):
    run = trained[0] / "run"

    def draw(condition):
        assert status("sample", run, "--count 4 --condition", condition) == 0
        return png(run / "samples_drawn.png")

    cat = draw("cat")
    np.testing.assert_array_equal(cat, draw("1"))
    assert np.any(cat != draw("dog"))
    error = refused(capsys, "sample", run, "--condition", "fish")
    assert "condition: expected one of bird, cat, dog" in error


def test_every_file_is_scored_or_accounted_for(trained, tmp_path):
    place, _ = trained
    options = ["--skip-damaged --draws 1 --output", tmp_path]
    assert status("score", place / "run", place / "images", *options) == 0
    with (tmp_path / "scores.csv").open(encoding="utf-8", newline="") as file:
        lines = list(csv.DictReader(file))
    assert len(lines) > 300
    for line in lines:
        assert bool(line["error"]) != bool(line["bits_per_dim"])
    data = RunDirectory(place / "run").load_config().load_data()
    read = data.train.count + data.validation.count + data.test.count
    assert sum(not line["error"] for line in lines) == read


def test_images_that_have_moved_are_found_where_they_are_now(own, capsys):
    arguments = ["evaluate", own / "run", "--draws 1 --data-dir"]
    error = refused(capsys, *arguments, own / "nowhere")
    assert "nowhere" in error
    assert "If the images have moved, pass their folder as --data-dir" in error
    (own / "images").rename(own / "moved")
    assert status(*arguments, own / "moved") == 0
    assert json.loads((own / "run" / "evaluation.json").read_text())["images"] > 10


@pytest.mark.parametrize("change", ["added", "removed", "moved to a class"])
def test_a_run_whose_images_have_changed_is_not_scored_on_others(
    own, trained, change, capsys
):
    images = own / "images"
    if change == "added":
        random = np.random.default_rng(5)
        (images / "cat" / "new.png").write_bytes(encoded(picture(random), "PNG"))
    elif change == "removed":
        (images / "cat" / "copies" / "1.png").unlink()
    else:
        (images / "cat" / "copies" / "1.png").rename(images / "dog" / "1.png")
    for command in ("evaluate", "figures", "health", "gallery"):
        error = refused(capsys, command, own / "run", "--data-dir", images)
        assert "dataset: expected the images that the run was trained on" in error
    resumed = [*trained[1], "--data-dir", images, "--runs", own, "--resume"]
    error = refused(capsys, "train", *resumed)
    assert "resume: expected images as the run began with" in error
    assert not (own / "run" / "evaluation.json").exists()


def test_attributes_of_a_table_are_told_by_name_and_number(tmp_path):
    images = tmp_path / "images"
    images.mkdir()
    random, lines = np.random.default_rng(0), ["file,age,smile"]
    for i in range(60):
        (images / f"{i}.png").write_bytes(encoded(picture(random), "PNG"))
        lines.append(f"{i}.png,{i / 60},{i % 2}")
    (images / "labels.csv").write_text("\n".join(lines))
    options = "--conditional --labels labels.csv --image-size 8 --batch-size 16"
    arguments = [QUICK, options, f"--dataset folder:{images}"]
    assert status("train", *arguments, "--name run --runs", tmp_path) == 0
    sample = ["sample", tmp_path / "run", "--count 4 --condition"]
    assert status(*sample, "age=0.5 smile") == 0
    assert status(*sample, "age=old") == 2
