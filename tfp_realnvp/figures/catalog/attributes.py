"""The figure of images under other conditions than their own."""

from __future__ import annotations

from collections.abc import Iterator
from typing import cast

import keras
import numpy as np

from tfp_realnvp.figures.attribute_change import change_attributes, shuffled_numbers
from tfp_realnvp.figures.catalog.common import bits, change, rows_of
from tfp_realnvp.figures.catalog.figure import Figure, Number, Subject
from tfp_realnvp.figures.classifier import predict_conditions, train_classifier
from tfp_realnvp.figures.latents import decode_latents, encode_images

# Images that the numbers are taken from, and that accuracy on real ones is.
_MEASURED = 500
_REAL = 2000
_ROWS = 8
# Pictures show all classes if there are no more than these.
_MOST_CLASSES = 12
_GROUPS_IN_ROW = 4

# Images and their conditions.
_Examples = tuple[np.ndarray, np.ndarray]


def attribute_change(subject: Subject) -> Iterator[Figure]:
    """Yields test images encoded with their condition and decoded with another."""
    images, condition = _examples(subject, _MEASURED)
    donors = shuffled_numbers(len(images), seed=subject.seed)
    changed = change_attributes(
        subject.flow,
        images,
        condition=condition,
        new_condition=condition[donors],
        seed=subject.seed,
    )
    if subject.is_by_class and subject.classes <= _MOST_CLASSES:
        picture, described = _every_class(subject, images[:_ROWS], condition[:_ROWS])
    else:
        shown = np.arange(min(len(images), _GROUPS_IN_ROW * _ROWS // 2))
        trios = np.stack([images[shown], changed[shown], images[donors[shown]]], axis=1)
        picture = rows_of(np.concatenate(trios), columns=3 * _GROUPS_IN_ROW)
        described = (
            "Groups of three: a test image, the same with the attributes of another, "
            "and that other one."
        )
    print("Training a classifier that judges the changed images.", flush=True)
    classifier = train_classifier(
        subject.data,
        epochs=subject.classifier_epochs,
        seed=subject.seed,
        # A line an epoch.
        verbose=2,
    )
    real = _examples(subject, _REAL)
    judge = _labels if subject.is_by_class else _attributes
    numbers = judge(subject, classifier, real, changed, condition, condition[donors])
    numbers["psnr"] = Number.pooled_psnr(
        images, changed, "of the images to the changed ones"
    )
    numbers["bits_per_dim_change"] = change(
        bits(subject, images, condition),
        bits(subject, changed, condition[donors]),
        "of changed images under their new condition, less those of the images under "
        "their own",
    )
    yield Figure("attribute_change", picture, described, numbers)


def attribute_obstacle(subject: Subject) -> str | None:
    """Returns why no condition can be changed, or `None`."""
    conditions = subject.data.test.take_conditions(_MEASURED)
    if conditions is None:
        return "the flow takes no condition"
    if conditions.dtype.kind == "f":
        return "its conditions are numbers, of which there is no other one"
    if np.all(conditions == conditions[0]):
        return f"its first {len(conditions)} test images have one condition only"
    return None


def _examples(subject: Subject, count: int) -> _Examples:
    found = subject.examples(min(count, subject.data.test.count))
    # Without conditions there is an `attribute_obstacle`.
    return cast(_Examples, found)


def _every_class(
    subject: Subject, images: np.ndarray, labels: np.ndarray
) -> tuple[np.ndarray, str]:
    rows, classes = len(images), subject.classes
    latents = encode_images(subject.flow, images, condition=labels, seed=subject.seed)
    decoded = decode_latents(
        subject.flow,
        np.repeat(latents, classes, axis=0),
        condition=np.tile(np.arange(classes), rows),
    ).reshape(rows, classes, *images.shape[1:])
    columns = np.concatenate([images[:, np.newaxis], decoded], axis=1)
    own = [i * (classes + 1) + 1 + label for i, label in enumerate(labels)]
    names = ", ".join(subject.names)
    return rows_of(np.concatenate(columns), columns=classes + 1, marked=own), (
        "Test images (left), encoded with their own class (red) and decoded as each: "
        f"{names}. The numbers are of images decoded with shuffled classes."
    )


def _labels(
    subject: Subject,
    classifier: keras.Model,
    real: _Examples,
    changed: np.ndarray,
    old: np.ndarray,
    new: np.ndarray,
) -> dict[str, Number]:
    images, labels = real
    guessed = predict_conditions(classifier, images, labels=True)
    # Another image's class can be the image's own, which is no change.
    differs = new != old
    found = predict_conditions(classifier, changed[differs], labels=True)
    before = guessed[: len(old)][differs]
    return {
        "real_accuracy": _percent(
            guessed == labels,
            "classifier on real test images: the most to be expected",
        ),
        "new_class": _percent(
            found == new[differs], "changed images that it gives the new class"
        ),
        "new_class_before": _percent(
            before == new[differs], "the same images before they were changed"
        ),
        "old_class": _percent(
            found == old[differs], "changed images that it gives the old class"
        ),
        "chance": Number(100 / subject.classes, "%", "by guessing among all classes"),
    }


def _attributes(
    subject: Subject,
    classifier: keras.Model,
    real: _Examples,
    changed: np.ndarray,
    old: np.ndarray,
    new: np.ndarray,
) -> dict[str, Number]:
    images, attributes = real
    guessed = predict_conditions(classifier, images, labels=False)
    hits = guessed == attributes
    found = predict_conditions(classifier, changed, labels=False)
    differs = new != old
    shares = {
        f"new_{name}": _percent(
            (found == new)[differs[:, k], k],
            f"changed images with another {name} that it finds so; of real ones it "
            f"finds {hits[:, k].mean():.3f}",
        )
        for k, name in enumerate(subject.names)
        if differs[:, k].any()
    }
    # An image that did not change would be found so by the classifier's errors alone.
    unchanged = guessed[: len(old)]
    return {
        "real_accuracy": _percent(
            hits.mean(axis=1), "classifier on attributes of real test images"
        ),
        "real_accuracy_where_changed": _share(
            (unchanged == old)[differs],
            "the same on those attributes that are then changed: the most to be "
            "expected",
        ),
        "new_attributes": _share(
            (found == new)[differs], "changed attributes that it finds changed"
        ),
        "chance": _share(
            (unchanged == new)[differs],
            "of these, found so in the images before they were changed",
        ),
        **shares,
    }


def _percent(hits: np.ndarray, meaning: str) -> Number:
    return Number.mean(100 * np.asarray(hits, np.float64), "%", meaning)


def _share(hits: np.ndarray, meaning: str) -> Number:
    # Attributes of one image are not independent: this has no standard error.
    return Number(100 * float(np.mean(hits)), "%", meaning)
