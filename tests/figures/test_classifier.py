import dataclasses

import numpy as np
import pytest

from tfp_realnvp.data import ImageData, ImageSplit, load_images
from tfp_realnvp.figures import predict_conditions, train_classifier


@pytest.fixture(scope="module")
def digits():
    return load_images("digits", conditional=True)


def test_classes_of_unseen_images_are_told(digits):
    classifier = train_classifier(digits, epochs=3, verbose=0)
    found = predict_conditions(classifier, digits.test.take(300), labels=True)
    assert np.mean(found == digits.test.take_conditions(300)) > 0.85


def test_attributes_are_told_one_by_one():
    rng = np.random.default_rng(0)
    attributes = rng.integers(0, 2, [600, 2]).astype(bool)
    images = rng.integers(0, 100, [600, 8, 8, 1])
    images[attributes[:, 0], :4] += 100
    images[attributes[:, 1], 4:] += 100
    split = ImageSplit.from_array(images.astype(np.uint8), attributes)
    data = ImageData(
        "halves",
        (8, 8, 1),
        train=split.select(np.arange(500)),
        validation=split.select(np.arange(500, 550)),
        test=split.select(np.arange(550, 600)),
        condition_names=("top", "bottom"),
    )
    classifier = train_classifier(data, epochs=8, verbose=0)
    found = predict_conditions(classifier, data.test.take(50), labels=False)
    assert np.all(np.mean(found == attributes[550:], axis=0) > 0.8)


def test_the_same_seed_gives_the_same_classifier(digits):
    few = dataclasses.replace(digits, train=digits.train.select(np.arange(128)))
    first, same = (
        train_classifier(few, epochs=1, filters=4, seed=1, verbose=0) for _ in range(2)
    )
    images = digits.test.take(4)
    np.testing.assert_allclose(same(images), first(images), rtol=1e-3)


def test_bad_arguments_of_a_classifier_are_refused(digits):
    with pytest.raises(ValueError, match="data: expected conditions, got 'digits'"):
        train_classifier(digits.unconditional())
    for name in ("epochs", "filters"):
        with pytest.raises(ValueError, match=f"{name}: expected a positive int, got 0"):
            train_classifier(digits, **{name: 0})
