"""TFP's image flow, put together as its page says."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import keras
import tensorflow as tf
import tensorflow_probability as tfp

from features import with_tensorflow as tools
from features.subject import READY, SIZE, Attempt, Flow, Subject

tfb, tfd = tfp.bijectors, tfp.distributions


def keras_coupling(input_shape) -> keras.Layer:
    return _keras_network(input_shape, 2 * input_shape[-1])


def keras_exit(input_shape, output_chan) -> keras.Layer:
    return _keras_network(input_shape, 2 * output_chan)


def _keras_network(input_shape, filters) -> keras.Layer:
    return keras.Sequential(
        [
            keras.Input(input_shape),
            keras.layers.Conv2D(4, 3, padding="same", activation="relu"),
            keras.layers.Conv2D(filters, 3, padding="same"),
        ]
    )


def small_coupling(input_shape) -> Any:
    return tfb.GlowDefaultNetwork(input_shape, num_hidden=4)


def flow_of(
    shape: tuple[int, ...],
    make_coupling: Callable = small_coupling,
    make_exit: Callable = tfb.GlowDefaultExitNetwork,
) -> Flow:
    networks = []

    def kept(make):
        def make_and_keep(*args, **kwargs):
            networks.append(make(*args, **kwargs))
            return networks[-1]

        return make_and_keep

    glow = tfb.Glow(
        output_shape=shape,
        num_glow_blocks=2,
        num_steps_per_block=2,
        coupling_bijector_fn=kept(make_coupling),
        exit_bijector_fn=kept(make_exit),
    )
    latents = tfd.Sample(tfd.Normal(0.0, 1.0), glow.inverse_event_shape(shape))
    flow = glow(latents)
    # Its normalizations take their first values from the first batch.
    flow.log_prob(tools.normal([16, *shape]))
    return tools.flow_of(flow, networks)


def images() -> Flow:
    return flow_of(tools.IMAGE_SHAPE)


def conditional():
    flow = images().module
    x = tools.normal([4, *tools.IMAGE_SHAPE])

    def log_prob(condition):
        kwargs = _for_couplings(flow.bijector, {"condition": condition})
        return flow.log_prob(tools.copied(x), bijector_kwargs=kwargs)

    return x, log_prob


def _for_couplings(bijector: tfb.Bijector, kwargs: dict[str, Any]) -> dict[str, Any]:
    """Returns arguments that TFP hands down to all couplings, by names of bijectors."""
    if isinstance(bijector, tfb.RealNVP):
        return kwargs
    if hasattr(bijector, "bijector"):  # an Invert, which hands down all it gets
        return _for_couplings(bijector.bijector, kwargs)
    inner: dict[str, Any] = {}
    for member in tf.nest.flatten(getattr(bijector, "bijectors", [])):
        inner.setdefault(member.name, {}).update(_for_couplings(member, kwargs))
    return inner


def larger_forward(flow: Flow) -> tf.Tensor:
    size = 4 * flow.module.distribution.event_shape[0]
    return flow.module.bijector.forward(tools.normal([2, size]))


def larger_copy(flow: Flow) -> tf.Tensor:
    height, width, channels = flow.module.event_shape
    larger = flow_of((2 * height, 2 * width, channels))
    ours, theirs = larger.module.variables, flow.module.variables
    for new, old in zip(ours, theirs, strict=True):
        new.assign(old)
    return larger.sample(2)


SUBJECT = Subject(
    tools,
    flow=images,
    images=[Attempt(READY, "`tfb.Glow`", images)],
    vectors=[Attempt(READY, "`output_shape` of a vector", lambda: flow_of((SIZE,)))],
    conditions=[Attempt(READY, "a condition for its couplings", conditional)],
    larger=[
        Attempt("yes", "`forward` of more latents", larger_forward),
        Attempt("copied", "a copy", larger_copy, "weights copied into a second flow"),
    ],
    keras_flow=lambda: flow_of(tools.IMAGE_SHAPE, keras_coupling, keras_exit),
)
