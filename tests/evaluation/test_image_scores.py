"""Image files scored by a run: where they may be, what is found, what is kept."""

import csv
import json
import shutil

import keras
import numpy as np
import pytest
import tensorflow as tf
from PIL import Image

import tfp_realnvp as nvp
from tfp_realnvp.data import ImageSplit, load_images
from tfp_realnvp.data.image_file import hash_of
from tfp_realnvp.evaluation import image_scores, score_images, score_split, typicality
from tfp_realnvp.evaluation.split_scores import dequantized
from tfp_realnvp.evaluation.typicality import reference_scores
from tfp_realnvp.files import locked
from tfp_realnvp.runs import RunConfig, RunDirectory

FLOW = {"event_shape": (8, 8, 1), "num_scales": 2, "filters": 2, "num_blocks": 1}
SCALES = ["bits_per_dim_scale_1", "bits_per_dim_scale_2"]


def make_run(path, **flow):
    """A run on digits whose networks say something, though it was never trained."""
    data = load_images("digits", conditional="condition_size" in flow)
    config = RunConfig(
        dataset="digits",
        flow={**FLOW, **flow},
        batch_size=64,
        epochs=1,
        learning_rate=1e-3,
        seed=0,
        images=data.fingerprint(),
    )
    model = RunDirectory.create(path, config).load_config().build_model()
    for i, weight in enumerate(model.trainable_weights):
        weight.assign_add(keras.random.normal(weight.shape, 0.0, 0.05, seed=i))
    model.save_weights(path / "model.weights.h5")
    return path


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    return make_run(tmp_path_factory.mktemp("run"))


@pytest.fixture(scope="module")
def digits():
    return load_images("digits").test.take(12)


@pytest.fixture(scope="module")
def folder(tmp_path_factory, digits):
    path = tmp_path_factory.mktemp("images")
    for i, image in enumerate(digits):
        Image.fromarray(image[..., 0]).save(path / f"{i:02d}.png")
    return path


@pytest.fixture(scope="module")
def scores(run, folder):
    return score_images(run, folder)


def numbers(scores):
    return {k: v for k, v in scores.columns.items() if k not in ("file", "error")}


def test_scores_are_those_of_the_flow(run, digits, scores):
    model = RunDirectory(run).load_model()
    columns = scores.columns
    np.testing.assert_allclose(
        columns["bits_per_dim"], nvp.bits_per_dim(columns["log_prob"], (8, 8, 1))
    )
    by_draw = score_split(model, ImageSplit.from_array(digits), draws=20)
    difference = columns["bits_per_dim"] - by_draw.mean(axis=1)
    assert np.all(np.abs(difference) < 6 * by_draw.std(axis=1) / np.sqrt(3))
    error = by_draw.std(axis=1).mean() / np.sqrt(3)
    assert columns["standard_error"].mean() == pytest.approx(error, rel=0.4)
    np.testing.assert_allclose(
        sum(columns[name] for name in SCALES), columns["bits_per_dim"], rtol=1e-5
    )
    # The reference comes from images as they are in the run.
    validation = load_images("digits").validation
    assert len(scores.reference) == validation.count
    expected = score_split(model, validation).mean(axis=1)
    np.testing.assert_allclose(scores.reference.mean(), expected.mean(), rtol=1e-3)


def test_an_image_has_the_same_scores_whatever_is_beside_it(run, folder, scores):
    found = score_images(run, [folder / "07.png", folder / "03.png"], batch_size=1)
    for name, values in numbers(found).items():
        np.testing.assert_allclose(values, numbers(scores)[name][[3, 7]], rtol=1e-4)


def test_a_file_that_cannot_be_read_ends_it_unless_it_may_be_left_out(
    run, folder, digits, tmp_path, monkeypatch
):
    monkeypatch.setattr("tfp_realnvp.evaluation.image_scores.SHOWN", 2)
    images = shutil.copytree(folder, tmp_path / "images")
    (images / "03.png").write_bytes(b"no image")
    output = tmp_path / "scores.csv"
    output.write_text("of before")
    with pytest.raises(
        ValueError, match=r"got .*03.png \(cannot identify.*--skip-damaged"
    ):
        score_images(run, images, batch_size=3, output=output)
    # What was scored before it is not lost, and neither is what was there.
    assert len((tmp_path / "scores.csv.partial").read_text().splitlines()) == 1 + 3
    assert output.read_text() == "of before"

    scores = score_images(run, images, output=output, skip_damaged=True)
    assert not (tmp_path / "scores.csv.partial").exists()
    with output.open() as file:
        lines = list(csv.DictReader(file))
    assert list(lines[0]) == list(scores.columns)
    for name, column in numbers(scores).items():
        found = [float(line[name] or "nan") for line in lines]
        np.testing.assert_allclose(found, column, rtol=1e-6)
    assert [i for i, line in enumerate(lines) if line["error"]] == [3]
    assert lines[3]["typicality"] == "" and "identify" in lines[3]["error"]
    order = scores.order()
    assert set(order) == {*range(12)} - {3}
    assert np.all(np.diff(scores.columns["typicality"][order]) >= 0)
    assert set(scores.pictures) == {*order[:2], *order[-2:]}
    for number, pixels in scores.pictures.items():
        np.testing.assert_array_equal(pixels, digits[number])


def test_two_processes_do_not_write_one_file(run, folder, tmp_path):
    lock = locked(tmp_path / ".scores.csv.lock", "of the other one")
    with lock, pytest.raises(BlockingIOError, match="output: another process is wr"):
        score_images(run, folder / "00.png", output=tmp_path / "scores.csv")
    assert not list(tmp_path.iterdir())


def test_others_are_told_from_normal_ones(run, folder, tmp_path):
    noise = np.random.default_rng(0).integers(0, 256, [3, 8, 8], np.uint8)
    for i, image in enumerate(noise):
        Image.fromarray(image).save(tmp_path / f"{i}.png")
    scores = score_images(run, tmp_path, normal=folder, batch_size=4)
    assert scores.columns["group"].tolist() == 3 * ["other"] + 12 * ["normal"]
    assert set(scores.order()) == {0, 1, 2} == set(scores.pictures)
    np.testing.assert_array_equal(scores.pictures[2][..., 0], noise[2])
    bits = scores.columns["bits_per_dim"]
    assert scores.roc_auc()["likelihood"][0] == np.mean(bits[:3, np.newaxis] > bits[3:])


@pytest.fixture
def scored(run, tmp_path):
    """A function that returns how many images of the reference had to be scored."""
    directory = RunDirectory(shutil.copytree(run, tmp_path / "run"))
    (directory.path / "reference_scores.json").unlink(missing_ok=True)
    model = directory.load_model()

    def scored(draws=1):
        batches = []

        def score(images):
            batches.append(len(images))
            return images.mean(axis=(1, 2, 3))

        found = reference_scores(
            directory,
            score,
            model=model,
            settings={"draws": draws},
            data_dir=None,
            batch_size=100,
        )
        pixels = load_images("digits").validation.take(200)
        np.testing.assert_allclose(found, pixels.mean(axis=(1, 2, 3)))
        return sum(batches)

    scored.path, scored.model = directory.path, model
    return scored


def test_scores_of_the_reference_are_kept_for_as_long_as_they_hold(scored):
    assert [scored(), scored(), scored(draws=2), scored(draws=2)] == [149, 0, 149, 0]
    # Training goes on, and writes weights that this model does not have.
    (scored.path / "model.weights.h5").write_bytes(b"of a later epoch")
    assert scored(draws=2) == 0
    weight = scored.model.weights[-1]
    weight.assign(weight + 1.0)
    assert [scored(draws=2), scored(draws=2)] == [149, 0]
    path = scored.path / "reference_scores.json"
    kept = path.read_text()
    path.write_text(json.dumps({**json.loads(kept), "images": "others"}))
    assert scored(draws=2) == 149
    path.write_text(kept[:-50])
    assert scored(draws=2) == 149


def test_a_run_that_cannot_be_written_to_is_scored_all_the_same(
    scored, monkeypatch, capsys
):
    def refused(*arguments):
        raise PermissionError("read-only")

    monkeypatch.setattr(typicality, "write_json", refused)
    assert [scored(), scored()] == [149, 149]
    assert "They are not kept: read-only" in capsys.readouterr().out


def test_under_a_flow_of_classes_the_density_is_the_mean_over_them(
    tmp_path, digits, folder
):
    run = make_run(tmp_path / "run", condition_size=10, num_scales=1)
    columns = score_images(run, folder, draws=1).columns
    assert not set(SCALES) & set(columns)
    model = RunDirectory(run).load_model()
    keys = tf.constant([hash_of(x.tobytes()) >> 1 for x in digits], tf.int64)
    pixels = dequantized(model, tf.constant(digits), keys, tf.constant(0, tf.int64), 0)
    labels = tf.repeat(tf.range(10), len(digits))
    log_prob = model.log_prob_parts(tf.tile(pixels, [10, 1, 1, 1]), labels)[0]
    by_class = log_prob.numpy().reshape(10, len(digits))
    assert np.std(by_class, axis=0).min() > 1e-3
    expected = np.logaddexp.reduce(by_class) - np.log(10)
    np.testing.assert_allclose(columns["log_prob"], expected, rtol=1e-4)


@pytest.mark.parametrize("value", [np.inf, -np.inf, np.nan])
def test_an_image_without_a_finite_density_has_no_scores(value):
    names = ["file", "log_prob", "bits_per_dim", "standard_error", "typicality"]
    table = image_scores._Table(2, [*names, "error"], np.array([1.0, 2.0]), (1, 1, 1))
    pixels = np.zeros([1, 1, 1], np.uint8)
    batch = [(name, image_scores.Decoded(pixels, 0)) for name in ("good", "bad")]
    nats = np.array([[[-1.0], [-1.1]], [[value], [-1.0]]])
    table.add(0, "other", batch, lambda images: nats)
    assert table.columns["error"].tolist() == ["", "the density is not a finite number"]
    for name in names[1:]:
        assert np.isfinite(table.columns[name]).tolist() == [True, False], name
        assert np.isnan(table.columns[name][1])
    assert list(table.pictures) == [0]
