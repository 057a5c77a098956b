"""A run on a folder of a user's own images, from training to export."""

import csv
import json
import shutil

import numpy as np
import pytest
import tensorflow as tf
from mixed_folder import encoded, picture, write_mixed_folder

from tfp_realnvp.cli import main
from tfp_realnvp.runs import RunDirectory
from tfp_realnvp.serving import run_origin

QUICK = ["--num-scales", "1", "--filters", "4", "--num-blocks", "1", "--epochs", "1"]


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    """A folder of images and a run on its classes."""
    place = tmp_path_factory.mktemp("own")
    (place / "images").mkdir()
    write_mixed_folder(place / "images")
    arguments = ["train", *QUICK, "--dataset", f"folder:{place / 'images'}"]
    arguments += ["--conditional", "--image-size", "8", "--batch-size", "64"]
    arguments += ["--augment", "flip", "--crop", "random", "--skip-damaged"]
    assert main([*arguments, "--runs", str(place), "--name", "run"]) == 0
    return place, arguments


@pytest.fixture
def own(trained, tmp_path):
    """Copies of both, to change, and the arguments that made them."""
    place, arguments = trained
    shutil.copytree(place, tmp_path / "own", symlinks=True)
    return tmp_path / "own", arguments


def test_all_that_the_images_are_read_with_is_kept(trained):
    config = RunDirectory(trained[0] / "run").load_config()
    assert (config.crop, config.augment, config.skip_damaged) == (
        "random",
        "flip",
        True,
    )
    assert config.images == config.load_data().fingerprint()
    names = config.condition_names
    assert names == ["bird", "cat", "dog"]
    assert run_origin(RunDirectory(trained[0] / "run"))["condition_names"] == names


def test_samples_are_drawn_of_a_class_by_its_name(trained, tmp_path, capsys):
    def draw(condition):
        path = tmp_path / f"{condition}.png"
        arguments = ["sample", str(trained[0] / "run"), "--condition", condition]
        assert main([*arguments, "--count", "4", "--output", str(path)]) == 0
        return tf.io.decode_png(path.read_bytes()).numpy()

    np.testing.assert_array_equal(draw("cat"), draw("1"))
    assert np.any(draw("cat") != draw("dog"))
    arguments = ["sample", str(trained[0] / "run"), "--condition", "fish"]
    assert main(arguments) == 2
    assert "condition: expected one of bird, cat, dog" in capsys.readouterr().err


def test_every_file_is_scored_or_accounted_for(trained, tmp_path):
    place, _ = trained
    arguments = ["score", str(place / "run"), str(place / "images"), "--skip-damaged"]
    assert main([*arguments, "--draws", "1", "--output", str(tmp_path)]) == 0
    with (tmp_path / "scores.csv").open(encoding="utf-8", newline="") as file:
        lines = list(csv.DictReader(file))
    assert len(lines) > 300
    for line in lines:
        assert bool(line["error"]) != bool(line["bits_per_dim"])
    data = RunDirectory(place / "run").load_config().load_data()
    read = data.train.count + data.validation.count + data.test.count
    assert sum(not line["error"] for line in lines) == read


def test_images_that_have_moved_are_found_where_they_are_now(own, trained, capsys):
    place, _ = own
    arguments = ["evaluate", str(place / "run"), "--draws", "1"]
    assert main([*arguments, "--data-dir", str(place / "nowhere")]) == 2
    error = capsys.readouterr().err
    assert "nowhere" in error
    assert "If the images have moved, --data-dir says where to" in error
    (place / "images").rename(place / "moved")
    assert main([*arguments, "--data-dir", str(place / "moved")]) == 0
    assert json.loads((place / "run" / "evaluation.json").read_text())["images"] > 10


@pytest.mark.parametrize("change", ["added", "removed", "moved to a class"])
def test_a_run_whose_images_have_changed_is_not_scored_on_others(own, change, capsys):
    place, arguments = own
    images = place / "images"
    if change == "added":
        random = np.random.default_rng(5)
        (images / "cat" / "new.png").write_bytes(encoded(picture(random), "PNG"))
    elif change == "removed":
        (images / "cat" / "copies" / "1.png").unlink()
    else:
        (images / "cat" / "copies" / "1.png").rename(images / "dog" / "1.png")
    moved = ["--data-dir", str(images)]
    for command in (["evaluate"], ["figures"], ["health"], ["gallery"]):
        assert main([*command, str(place / "run"), *moved]) == 2
        message = "dataset: expected the images that the run was trained on"
        assert message in capsys.readouterr().err
    resumed = [*arguments, *moved, "--runs", str(place), "--name", "run", "--resume"]
    assert main(resumed) == 2
    assert "resume: expected images as the run began with" in capsys.readouterr().err
    assert not (place / "run" / "evaluation.json").exists()


def test_attributes_of_a_table_are_told_by_name_and_number(tmp_path):
    images = tmp_path / "images"
    images.mkdir()
    random, lines = np.random.default_rng(0), ["file,age,smile"]
    for i in range(60):
        (images / f"{i}.png").write_bytes(encoded(picture(random), "PNG"))
        lines.append(f"{i}.png,{i / 60},{i % 2}")
    (images / "labels.csv").write_text("\n".join(lines))
    arguments = ["train", *QUICK, "--dataset", f"folder:{images}", "--conditional"]
    arguments += ["--labels", "labels.csv", "--image-size", "8", "--batch-size", "16"]
    assert main([*arguments, "--runs", str(tmp_path), "--name", "run"]) == 0
    sample = ["sample", str(tmp_path / "run"), "--count", "4", "--condition"]
    assert main([*sample, "age=0.5", "smile"]) == 0
    assert main([*sample, "age=old"]) == 2
