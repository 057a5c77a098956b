"""A judge of changed images: a classifier that has seen real ones only."""

from __future__ import annotations

import keras
import numpy as np

from tfp_realnvp.arguments import check_flag, check_int, check_seed, shortened
from tfp_realnvp.data import ImageData
from tfp_realnvp.figures.grid import checked_pictures
from tfp_realnvp.machine import check_fits

_BATCH_SIZE = 128
_WIDEST = 128
# Else the time would grow with the data, for a judge that is good enough.
_MOST_IN_EPOCH = 50_000


def train_classifier(
    data: ImageData,
    *,
    epochs: int = 4,
    filters: int = 32,
    seed: int = 0,
    verbose: int | str = "auto",
) -> keras.Model:
    """Returns a small convolutional network that tells the conditions of images.

    On CIFAR-10 by class four epochs, 140 s of processor time, led to 78 % of the test
    images.

    Args:
      data: Images with conditions, labels or attributes; the training images are used.
      epochs: Python `int`, passes through them, or through 50,000 if there are more.
      filters: Python `int`, feature maps of the first convolution; each further one,
        after a halving of the image, has twice as many, up to 128.
      seed: Python `int`, seeds weights and order of the images.
      verbose: As for Keras `fit`.

    Returns:
      `keras.Model` from images in [0, 255] to logits of shape [N, condition_size].

    Raises:
      TypeError: If `data` is no `ImageData`.
      ValueError: If the data have no conditions, or `epochs` or `filters` is not
        positive.
    """
    if not isinstance(data, ImageData):
        raise TypeError(f"data: expected ImageData, got {shortened(data)}.")
    if data.condition_names is None or data.train.conditions is None:
        raise ValueError(f"data: expected conditions, got {data.name!r} without.")
    for name, value in (("epochs", epochs), ("filters", filters)):
        check_int(name, value)
    check_seed("seed", seed, optional=False)
    if not isinstance(verbose, (int, str)):
        raise ValueError(f"verbose: expected as for fit, got {shortened(verbose)}.")
    # The widest convolution but one, three numbers for each weight in training.
    widest = 9 * filters * max(filters, _WIDEST)
    check_fits("filters", filters, 4 * 3 * widest, "networks")
    are_labels = data.train.conditions.ndim == 1
    model = _network(data.event_shape, len(data.condition_names), filters, seed)
    batch_size = min(_BATCH_SIZE, data.train.count)
    steps = min(data.steps_per_epoch(batch_size), _MOST_IN_EPOCH // batch_size)
    rate = keras.optimizers.schedules.CosineDecay(3e-3, epochs * steps, alpha=0.01)
    loss = (
        keras.losses.SparseCategoricalCrossentropy(from_logits=True)
        if are_labels
        else keras.losses.BinaryCrossentropy(from_logits=True)
    )
    # XLA takes longer to compile this than it takes to run.
    model.compile(keras.optimizers.Adam(rate), loss, jit_compile=False)
    model.fit(
        data.training_batches(batch_size, seed=seed),
        steps_per_epoch=steps,
        epochs=epochs,
        verbose=verbose,
        shuffle=False,
    )
    return model


def predict_conditions(
    classifier: keras.Model, images: np.ndarray, *, labels: bool
) -> np.ndarray:
    """Returns what a classifier takes the conditions of images for.

    Args:
      classifier: What `train_classifier` returned.
      images: `uint8` array of shape [N, height, width, channels].
      labels: Python `bool`, whether conditions are labels.

    Returns:
      Integer array of shape [N], or for attributes `bool` of shape
      [N, condition_size].

    Raises:
      TypeError: If `classifier` is no Keras model.
      ValueError: If these are no images of the kind it takes.
    """
    if not isinstance(classifier, keras.Model):
        raise TypeError(
            f"classifier: expected a keras.Model, got {shortened(classifier)}."
        )
    images = checked_pictures("images", images)
    check_flag("labels", labels)
    expected = classifier.input_shape[1:]
    if images.shape[1:] != tuple(expected):
        raise ValueError(
            f"images: expected shape (N, {', '.join(map(str, expected))}), got "
            f"{images.shape}."
        )
    logits = classifier.predict(images, verbose=0)
    return logits.argmax(axis=1) if labels else logits > 0


def _network(
    event_shape: tuple[int, int, int], outputs: int, filters: int, seed: int
) -> keras.Model:
    # Seeds of layers, and no global one, which would be others' as well.
    seeds = iter(np.random.default_rng(seed).integers(2**31, size=32).tolist())

    def weights() -> keras.initializers.Initializer:
        return keras.initializers.HeNormal(seed=next(seeds))

    inputs = keras.Input(event_shape)
    x = keras.layers.Rescaling(1 / 127.5, offset=-1)(inputs)
    side = min(event_shape[:2])
    while side >= 4:
        x = keras.layers.Conv2D(
            filters, 3, padding="same", use_bias=False, kernel_initializer=weights()
        )(x)
        x = keras.layers.BatchNormalization(momentum=0.9)(x)
        x = keras.layers.ReLU()(x)
        x = keras.layers.MaxPooling2D()(x)
        side, filters = side // 2, min(2 * filters, max(filters, _WIDEST))
    x = keras.layers.Flatten()(x)
    x = keras.layers.Dropout(0.3, seed=next(seeds))(x)
    return keras.Model(
        inputs, keras.layers.Dense(outputs, kernel_initializer=weights())(x)
    )
