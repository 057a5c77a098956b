"""Images decoded under another condition (appendix), judged by a classifier."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import keras
import numpy as np
from tensorflow_probability import distributions as tfd

from tfp_realnvp.figures.figure import Figure, Numbers, Subject, number
from tfp_realnvp.figures.latents import decode_latents, encode_images
from tfp_realnvp.figures.pictures import image_grid

# Numbers of images to change, and of real images to test the classifier on.
_MEASURED, _REAL = 500, 2000
# Of the classifier. An epoch is cut short after this many images.
_BATCH_SIZE, _FILTERS, _WIDEST, _MOST_IN_EPOCH = 128, 32, 128, 50_000
# Pictures show all classes up to this number.
_MOST_CLASSES = 12
_ROWS, _GROUPS_IN_ROW = 8, 4


def change_attributes(
    flow: tfd.Distribution,
    images: np.ndarray,
    *,
    condition: np.ndarray,
    new_condition: np.ndarray,
    seed: int = 0,
) -> np.ndarray:
    """Returns images encoded under their own condition and decoded under another.

    Args:
      flow: Transformed distribution from `image_flow` with a `condition_size`.
      images: As for `encode_images`.
      condition: Labels or vectors of the images.
      new_condition: Labels or vectors to decode them under, such as
        `condition[shuffled_numbers(N)]`.
      seed: As for `encode_images`.

    Returns:
      `uint8` array of shape [N, height, width, channels].

    Raises:
      ValueError: If the flow takes no condition, or images or conditions do not fit.

    #### Example

    ```python
    >>> import numpy as np
    >>> import tfp_realnvp as nvp
    >>> from tfp_realnvp.figures import change_attributes
    >>> flow = nvp.image_flow(
    ...     event_shape=(8, 8, 1), filters=8, num_blocks=1, condition_size=10
    ... )
    >>> images = np.full([2, 8, 8, 1], 100, np.uint8)
    >>> change_attributes(flow, images, condition=[3, 4], new_condition=[8, 8]).shape
    (2, 8, 8, 1)

    ```
    """
    latents = encode_images(flow, images, condition=condition, seed=seed)
    return decode_latents(flow, latents, condition=new_condition)


def shuffled_numbers(count: int, *, seed: int = 0) -> np.ndarray:
    """Returns the indices of `count` images, shuffled so that none keeps its place.

    They give each image the condition of another image, which may be equal.

    Args:
      count: Python `int`, at least 2.
      seed: Python `int`.

    Returns:
      Integer array of shape [count].
    """
    # A single cycle through all images in a random order.
    order = np.random.default_rng(seed).permutation(count)
    numbers = np.empty(count, np.int64)
    numbers[order] = np.roll(order, 1)
    return numbers


def attribute_obstacle(subject: Subject) -> str | None:
    """Returns why no condition can be changed, or `None`."""
    conditions = subject.data.test.take_conditions(_MEASURED)
    if conditions is None:
        return "the flow takes no condition"
    if conditions.dtype.kind == "f":
        return "its conditions are numbers, which have no other value to change to"
    if np.all(conditions == conditions[0]):
        return f"its first {len(conditions)} test images all have the same condition"
    return None


def attribute_change(subject: Subject) -> Iterator[Figure]:
    """Yields test images encoded under their condition and decoded under another."""
    images, old = subject.examples(_MEASURED)
    assert old is not None  # Otherwise there is an obstacle.
    donors = shuffled_numbers(len(images), seed=subject.seed)
    new = old[donors]
    changed = change_attributes(
        subject.flow, images, condition=old, new_condition=new, seed=subject.seed
    )
    if subject.is_by_class and len(subject.names) <= _MOST_CLASSES:
        picture = _every_class(subject, images[:_ROWS], old[:_ROWS])
        described = (
            "Test images (left), encoded under their own class (red) and decoded under "
            f"each: {', '.join(subject.names)}. The numbers are for images decoded "
            "under shuffled classes."
        )
    else:
        trios = np.stack([images, changed, images[donors]], axis=1)
        shown = np.concatenate(trios[: _GROUPS_IN_ROW * _ROWS // 2])
        picture = image_grid(shown, columns=3 * _GROUPS_IN_ROW, scale=None, gap=2)
        described = (
            "Groups of three: a test image, the same image with the attributes of "
            "another, and that other image."
        )
    numbers = _judged(subject, changed, old, new)
    numbers |= subject.numbers((images, old), (changed, new))
    yield Figure("attribute_change", picture, described, numbers)


def _every_class(
    subject: Subject, images: np.ndarray, labels: np.ndarray
) -> np.ndarray:
    rows, classes = len(images), len(subject.names)
    latents = encode_images(subject.flow, images, condition=labels, seed=subject.seed)
    decoded = decode_latents(
        subject.flow,
        np.repeat(latents, classes, axis=0),
        condition=np.tile(np.arange(classes), rows),
    ).reshape(rows, classes, *images.shape[1:])
    lines = np.concatenate([images[:, np.newaxis], decoded], axis=1)
    own = [i * (classes + 1) + 1 + label for i, label in enumerate(labels)]
    return image_grid(
        np.concatenate(lines), columns=classes + 1, scale=None, gap=2, marked=own
    )


def _judged(
    subject: Subject, changed: np.ndarray, old: np.ndarray, new: np.ndarray
) -> Numbers:
    """Returns scores of changed images by a classifier trained on real ones alone."""
    print("Training a classifier that judges the changed images.", flush=True)
    classifier = train_classifier(subject)

    def found(images: np.ndarray) -> np.ndarray:
        logits = classifier.predict(images, verbose=0)
        return logits.argmax(axis=1) if subject.is_by_class else logits > 0

    def share(hits: np.ndarray, meaning: str) -> dict[str, Any]:
        # The attributes of an image are not independent: no standard error.
        hits = hits if subject.is_by_class else hits.mean()
        return number(100 * hits, "%", meaning)

    images, truth = subject.examples(_REAL)
    real, after = found(images), found(changed)
    before = real[: len(old)]
    # Where the other image's condition is equal, nothing changes.
    differs = new != old
    numbers = {
        "real_accuracy": share(real == truth, "of the classifier on test images"),
        "new_found": share(
            (after == new)[differs], "of changed conditions that it finds"
        ),
        "new_found_before": share(
            (before == new)[differs], "the same before the images are changed"
        ),
    }
    if not subject.is_by_class:
        for k, name in enumerate(subject.names):
            if differs[:, k].any():
                hits = (after == new)[differs[:, k], k]
                numbers[f"new_{name}"] = share(hits, f"of changed {name} that it finds")
    return numbers


def train_classifier(subject: Subject) -> keras.Model:
    """Returns a small convolutional network that predicts the conditions of images.

    Four epochs on the classes of CIFAR-10 took 140 s of processor time and gave a test
    accuracy of 78 %.
    """
    data, epochs, seed = subject.data, subject.classifier_epochs, subject.seed
    # Seeds of layers: a global one would change the random numbers of other code.
    seeds = iter(np.random.default_rng(seed).integers(2**31, size=32).tolist())

    def weighted(layer: type[keras.layers.Layer], *args: Any, **kwargs: Any) -> Any:
        initializer = keras.initializers.HeNormal(seed=next(seeds))
        return layer(*args, kernel_initializer=initializer, **kwargs)

    layers = keras.layers
    model = keras.Sequential([keras.Input(data.event_shape)])
    model.add(layers.Rescaling(1 / 127.5, offset=-1))
    side, filters = min(data.event_shape[:2]), _FILTERS
    while side >= 4:
        # No bias, since the normalization adds one.
        options = {"padding": "same", "use_bias": False}
        model.add(weighted(layers.Conv2D, filters, 3, **options))
        model.add(layers.BatchNormalization(momentum=0.9))
        model.add(layers.ReLU())
        model.add(layers.MaxPooling2D())
        side, filters = side // 2, min(2 * filters, _WIDEST)
    model.add(layers.Flatten())
    model.add(layers.Dropout(0.3, seed=next(seeds)))
    model.add(weighted(layers.Dense, len(subject.names)))
    batch_size = min(_BATCH_SIZE, data.train.count)
    steps = min(data.steps_per_epoch(batch_size), _MOST_IN_EPOCH // batch_size)
    rate = keras.optimizers.schedules.CosineDecay(3e-3, epochs * steps, alpha=0.01)
    kind = keras.losses.BinaryCrossentropy
    if subject.is_by_class:
        kind = keras.losses.SparseCategoricalCrossentropy
    # XLA takes longer to compile this than it takes to run.
    optimizer = keras.optimizers.Adam(rate)
    model.compile(optimizer, kind(from_logits=True), jit_compile=False)
    # `verbose=2` prints one line per epoch.
    batches = data.training_batches(batch_size, seed=seed)
    model.fit(batches, steps_per_epoch=steps, epochs=epochs, verbose=2, shuffle=False)
    return model
