"""What the servers of these tests serve, and what is sent to them."""

import base64
import functools

import numpy as np
import tensorflow as tf

LIMITS = {
    "lanes": 1,
    "max-batch": 4,
    "max-queued": 8,
    "max-images": 6,
    "max-draws": 20_000,
    "max-body": 20_000,
    "body-seconds": 2,
}
IMAGES = np.random.default_rng(0).integers(0, 256, [6, 4, 4, 1], np.uint8)
VECTORS = np.random.default_rng(1).normal(size=[6, 2])
LABELS = [0, 1, 2, 2, 1, 0]


def b64(images):
    return {"b64": base64.b64encode(images.tobytes()).decode()}


load = functools.cache(tf.saved_model.load)


def signature(folder, name, **inputs):
    function = load(str(folder)).signatures[name]
    outputs = function(**{k: tf.constant(v) for k, v in inputs.items()})
    return {k: v.numpy() for k, v in outputs.items()}
