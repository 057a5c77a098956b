import json

import numpy as np
import pytest

import tfp_realnvp as nvp
from tfp_realnvp.data import ImageData, ImageSplit, load_images
from tfp_realnvp.figures import Subject, write_figures
from tfp_realnvp.figures.attributes import train_classifier
from tfp_realnvp.figures.catalog import CATALOG, obstacle
from tfp_realnvp.figures.figure import number


def data_of(images, conditions=None, names="abc", *, test=None):
    split = ImageSplit.from_array(images, conditions)
    shown = split.select(np.arange(len(images) if test is None else test))
    names = None if conditions is None else tuple(names)
    shape = images.shape[1:]
    return ImageData("grey", shape, split, split, shown, condition_names=names)


def entries(path):
    return json.loads((path / "figures.json").read_text())


def test_attributes_are_judged_together_and_one_by_one(by_class, images, tmp_path):
    flags = np.random.default_rng(0).integers(0, 2, [len(images), 3]).astype(bool)
    subject = Subject(by_class, data_of(images, flags), count=8, classifier_epochs=1)
    write_figures(subject, tmp_path, only=["attribute_change", "samples"])
    found = entries(tmp_path)
    numbers = found["attribute_change.png"]["numbers"]
    assert {f"new_{name}" for name in "abc"} <= set(numbers)
    assert numbers["new_found"]["standard_error"] is None
    described = found["samples.png"]["description"]
    assert "has the condition of the test image in its place" in described


def test_a_class_that_is_missing_leaves_samples_in_the_order_of_the_data(
    by_class, images
):
    data = data_of(images, np.array([0, 1] * 4))
    (figure,) = CATALOG["samples"](Subject(by_class, data, count=6))
    assert "One class per column" not in figure.description


def test_what_a_flow_cannot_show_has_an_obstacle(flow, by_class, images):
    one = nvp.image_flow(event_shape=(8, 8, 1), num_scales=1, filters=4, num_blocks=1)
    plain, few = data_of(images), data_of(images, test=3)
    same = data_of(images, np.ones(8, np.int32))
    numbers = data_of(images, np.ones([8, 3], np.float32))
    for flow_, data, name, message in (
        (one, plain, "compression", "single scale"),
        (by_class, same, "attribute_change", "all have the same condition"),
        (by_class, numbers, "attribute_change", "conditions are numbers"),
        (flow, few, "manifold", "it takes 4 test images, and there are only 3"),
        (flow, few, "animation", "it takes 8 test images"),
    ):
        assert message in obstacle(Subject(flow_, data, count=3), name)
    assert obstacle(Subject(flow, few, count=3), "interpolation") is None


def test_a_later_failure_loses_no_earlier_figure(flow, images, tmp_path, monkeypatch):
    def fail(subject):
        raise MemoryError

    monkeypatch.setitem(CATALOG, "manifold", fail)
    subject = Subject(flow, data_of(images), count=4)
    with pytest.raises(MemoryError):
        write_figures(subject, tmp_path)
    assert list(entries(tmp_path)) == ["samples.png"]
    assert {p.name for p in tmp_path.iterdir()} == {"samples.png", "figures.json"}
    (tmp_path / "figures.json").write_text("{")
    with pytest.raises(ValueError, match="output: .*figures.json is damaged"):
        write_figures(subject, tmp_path, only=["samples"])


@pytest.mark.parametrize(
    ("choice", "message"),
    [
        ({"count": 9}, "count: expected an int from 1 to 8, the number of test images"),
        ({"temperature": -1.0}, "temperature: expected 0 or more, and finite"),
    ],
)
def test_choices_out_of_range_are_refused(choice, message, flow, images):
    with pytest.raises(ValueError, match=message):
        Subject(flow, data_of(images), **{"count": 4, **choice})


def test_numbers_are_means_with_their_standard_error_and_infinity_is_null():
    mean = number([1.0, 2.0, 3.0], "dB", "")
    assert mean["standard_error"] == pytest.approx(1 / np.sqrt(3))
    infinite = number(np.inf, "dB", "")
    assert (infinite["value"], infinite["standard_error"]) == (None, None)


def test_classes_of_unseen_images_are_told():
    digits = load_images("digits", conditional=True)
    classifier = train_classifier(Subject(None, digits, classifier_epochs=3))
    found = classifier.predict(digits.test.take(300), verbose=0).argmax(axis=1)
    assert np.mean(found == digits.test.take_conditions(300)) > 0.85


def test_attributes_are_told_one_by_one_and_the_same_with_the_same_seed():
    rng = np.random.default_rng(0)
    attributes = rng.integers(0, 2, [600, 2]).astype(bool)
    images = rng.integers(0, 100, [600, 8, 8, 1])
    images[attributes[:, 0], :4] += 100
    images[attributes[:, 1], 4:] += 100
    data = data_of(images.astype(np.uint8), attributes, ("top", "bottom"), test=50)
    first, same = (train_classifier(Subject(None, data, count=1)) for _ in range(2))
    found = first.predict(data.test.take(50), verbose=0) > 0
    assert np.all(np.mean(found == attributes[:50], axis=0) > 0.8)
    few = data.test.take(4)
    np.testing.assert_allclose(same(few), first(few), rtol=1e-2, atol=1e-2)
