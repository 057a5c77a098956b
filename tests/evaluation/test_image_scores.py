"""Image files scored by a run: their places, their scores, and the kept reference."""

import csv
import shutil

import keras
import numpy as np
import pytest
import small_runs
import tensorflow as tf
from PIL import Image
from sklearn.metrics import roc_auc_score

import tfp_realnvp as nvp
from tfp_realnvp.data import ImageSplit, load_images
from tfp_realnvp.data.image_file import hash_of
from tfp_realnvp.evaluation import image_scores, score_images, score_split, typicality
from tfp_realnvp.evaluation.evaluation import dequantized
from tfp_realnvp.evaluation.typicality import reference_scores, roc_auc
from tfp_realnvp.files import locked
from tfp_realnvp.runs import RunDirectory

SCALES = ["bits_per_dim_scale_1", "bits_per_dim_scale_2"]


def make_run(path, **flow):
    """A run whose networks are not near zero."""

    def change(model):
        for i, weight in enumerate(model.trainable_weights):
            weight.assign_add(keras.random.normal(weight.shape, 0.0, 0.05, seed=i))

    data = load_images("digits", conditional="condition_size" in flow)
    flow = {"num_scales": 2, **flow}
    return small_runs.make_run(path, change=change, images=data.fingerprint(), **flow)


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

        options = {"settings": {"draws": draws}, "data_dir": None, "batch_size": 100}
        found = reference_scores(directory, score, model=model, **options)
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
    for changed in (kept.replace('from": "', 'from": "x'), kept[:-50]):
        path.write_text(changed)
        assert scored(draws=2) == 149


def test_a_run_that_cannot_be_written_to_is_scored_all_the_same(
    scored, monkeypatch, capsys
):
    def refused(*arguments):
        raise PermissionError("read-only")

    monkeypatch.setattr(typicality, "write_json", refused)
    assert [scored(), scored()] == [149, 149]
    assert "The scores are not kept: read-only" in capsys.readouterr().out


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
def test_an_image_without_a_finite_density_has_no_scores(
    value, run, folder, monkeypatch
):
    def score(images):
        # Of the second of these images; the reference has more.
        return np.where(np.arange(len(images)) == 1, value, -9.0).reshape(-1, 1, 1)

    monkeypatch.setattr(image_scores, "_scorer", lambda *_: score)
    monkeypatch.setattr(image_scores, "reference_scores", lambda *_, **__: np.ones(9))
    columns = score_images(run, [folder / "00.png", folder / "01.png"]).columns
    errors = columns.pop("error").tolist()
    assert errors == ["", "the density is not a finite number"]
    assert columns.pop("file")[1].endswith("01.png")
    columns.pop("standard_error")
    for name, (good, bad) in columns.items():
        assert np.isfinite(good) and np.isnan(bad), name


def test_p_values_of_images_like_the_reference_are_right():
    random = np.random.default_rng(0)
    # A new reference each time, for the promise is one over both.
    draws = random.normal(size=[20_000, 20])
    p = np.array([typicality.typicality(x[:1], x[1:])[0] for x in draws])
    for level in (0.1, 0.2, 0.5):
        assert abs(np.mean(p <= level) - level) < 0.015


def test_scores_are_strange_on_either_side():
    reference = np.random.default_rng(0).permutation(9) + 1.0
    reference[reference == 1] = 0
    scores, expected = [-9, 10, 9, 5, 0.5, np.nan], [0.2, 0.2, 0.4, 1, 0.4, np.nan]
    found = typicality.typicality(np.array(scores), reference)
    np.testing.assert_allclose(found, expected)


def test_the_area_under_the_curve_is_that_of_scikit_learn():
    random = np.random.default_rng(0)
    normal, other = random.integers(0, 9, 40), random.integers(2, 12, 30)
    found, error = roc_auc(normal, other)
    is_other = np.repeat([0, 1], [40, 30])
    assert found == pytest.approx(roc_auc_score(is_other, np.append(normal, other)))
    again = [
        roc_auc(random.choice(normal, 40), random.choice(other, 30))[0]
        for _ in range(2000)
    ]
    assert error == pytest.approx(np.std(again), rel=0.1)
    assert roc_auc(normal, other + 100) == (1.0, 0.0)
