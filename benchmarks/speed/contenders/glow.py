"""TFP's own image flow: another architecture, of about as many parameters."""

from __future__ import annotations

import functools
from typing import Any

import tensorflow as tf
import tensorflow_probability as tfp
import tf_keras

import tfp_realnvp as nvp
from speed.contenders import Prepared, closest_width, tf_threads
from speed.contenders.ours import count_parameters, made_up_images

tfb, tfd = tfp.bijectors, tfp.distributions


def prepare(cell: dict[str, Any]) -> Prepared:
    event_shape, batch = tuple(cell["sizes"]["event_shape"]), cell["batch"]

    @functools.cache
    def count(width):
        return count_parameters(make_flow(event_shape, width).trainable_variables)

    wanted = cell.get("wanted_parameters") or count(32)
    width, note = closest_width(count, wanted, start=_rough_width(count, wanted))
    flow = make_flow(event_shape, width)
    images = made_up_images(batch, event_shape)
    pixels = tf.constant(images, tf.float32)
    variables = flow.trainable_variables
    # Its weights are those of Keras 2, which optimizers of Keras 3 do not update.
    optimizer = tf_keras.optimizers.Adam(global_clipnorm=100.0)

    @tf.function
    def step():
        noisy = tf.cast(images, tf.float32) + tf.random.uniform(pixels.shape)
        with tf.GradientTape() as tape:
            loss = -tf.reduce_mean(flow.log_prob(noisy))
        gradients = tape.gradient(loss, variables)
        optimizer.apply_gradients(zip(gradients, variables, strict=True))
        return loss

    log_prob = tf.function(flow.log_prob)
    sample = tf.function(lambda seed: flow.sample(batch, seed=seed))
    seed = tf.constant([0, 1])
    return Prepared(
        operations={
            "train": lambda: float(step()),
            "log_prob": lambda: log_prob(pixels).numpy(),
            "sample": lambda: sample(seed).numpy(),
        },
        parameters=count_parameters(variables),
        threads=tf_threads(),
        notes=["another architecture: 2 blocks of 4 steps of Glow", note],
    )


def make_flow(event_shape, width: int) -> tfd.Distribution:
    glow = tfb.Glow(
        output_shape=event_shape,
        num_glow_blocks=2,
        num_steps_per_block=4,
        coupling_bijector_fn=functools.partial(
            tfb.GlowDefaultNetwork, num_hidden=width
        ),
        exit_bijector_fn=tfb.GlowDefaultExitNetwork,
    )
    size = int(tf.reduce_prod(event_shape))
    base = tfd.MultivariateNormalDiag(tf.zeros([size]), tf.ones([size]))
    return tfd.TransformedDistribution(base, tfb.Chain([nvp.PixelLogit(), glow]))


def _rough_width(count, wanted: int) -> int:
    # Each try builds a flow: parameters grow with the width's square, so few tries do.
    width = 32
    for _ in range(4):
        width = max(1, round(width * (wanted / count(width)) ** 0.5))
    return width
