"""The functions of an artifact."""

from __future__ import annotations

from collections.abc import Callable
from typing import cast

import tensorflow as tf
from tensorflow_probability import distributions as tfd

from tfp_realnvp.flows.call_arguments import (
    condition_size_of_flow,
    distribution_kwargs,
    is_transformed,
    pixel_logit_of,
)
from tfp_realnvp.flows.units import bits_per_dim
from tfp_realnvp.serving.assertions import (
    checked_at_least,
    checked_batch,
    checked_between,
    checked_count,
    checked_density,
    checked_finite,
    checked_parameter,
)

Outputs = dict[str, tf.Tensor]

# Inputs that are not one for each example, and their shapes. In rows, as TensorFlow
# Serving's REST form has them, each example has its own, and all are the same.
PARAMETERS = {"num_samples": [], "num_draws": [], "seed": [2], "temperature": []}


class Signatures(tf.Module):
    """What `export_saved_model` writes, see there: functions and their variables.

    Args:
      flow: `tfd.Distribution` over events of a known shape, without batch shape.
    """

    def __init__(self, flow: tfd.Distribution):
        super().__init__()
        # The variables alone: with the flow as an attribute the artifact would
        # describe every bijector and layer, which nobody can make use of.
        self.flow_variables = list(flow.variables)
        for name, function in _functions(flow).items():
            setattr(self, name, function)

    def by_name(self) -> dict[str, tf.types.experimental.ConcreteFunction]:
        """Returns the functions, traced, by the names of their signatures."""
        functions = {
            name: value.get_concrete_function()
            for name, value in vars(self).items()
            if isinstance(value, tf.types.experimental.GenericFunction)
        }
        functions["serving_default"] = functions.pop("log_prob")
        return functions


def _functions(
    flow: tfd.Distribution,
) -> dict[str, tf.types.experimental.GenericFunction]:
    made = _Functions(flow)
    x = tf.TensorSpec([None, *flow.event_shape], flow.dtype, name="x")
    count = tf.TensorSpec(None, tf.int32, name="num_samples")
    draws = tf.TensorSpec(None, tf.int32, name="num_draws")
    seed = tf.TensorSpec(None, tf.int32, name="seed")
    images = tf.TensorSpec(x.shape, tf.uint8, name="x")
    temperature = tf.TensorSpec(None, flow.dtype, name="temperature")
    arguments = {"log_prob": [x], "sample": [count, seed]}
    if made.is_over_pixels:
        arguments["score_images"] = [images, draws, seed]
    if is_transformed(flow):
        base = flow.distribution
        shape = [None, *base.event_shape]
        latents = tf.TensorSpec(shape, base.dtype, name="latents")
        arguments["sample"] = [count, seed, temperature]
        arguments |= {"encode": [x], "decode": [latents]}
    condition = []
    if made.condition_size is not None:
        shape = [None, made.condition_size]
        condition = [tf.TensorSpec(shape, flow.dtype, name="condition")]
    return {
        name: _served(getattr(made, name), [*specs, *condition])
        for name, specs in arguments.items()
    }


def _served(
    function: Callable[..., Outputs], specs: list[tf.TensorSpec]
) -> tf.types.experimental.GenericFunction:
    def checked(*arguments: tf.Tensor) -> Outputs:
        given = {
            # Not every loader compares sizes with those that it was promised.
            spec.name: tf.ensure_shape(value, spec.shape, name=spec.name)
            for spec, value in zip(specs, arguments, strict=True)
        }
        for name, shape in PARAMETERS.items():
            if name in given:
                given[name] = checked_parameter(given[name], shape, name)
        return function(**given)

    return tf.function(checked, input_signature=specs, autograph=False)


class _Functions:
    def __init__(self, flow: tfd.Distribution):
        self._flow = flow
        self.condition_size = condition_size_of_flow(flow)
        self._pixels = pixel_logit_of(flow)

    @property
    def is_over_pixels(self) -> bool:
        return self._pixels is not None

    def log_prob(self, x: tf.Tensor, condition: tf.Tensor | None = None) -> Outputs:
        condition = self._checked_condition(condition, tf.shape(x)[0], "examples of x")
        return self._scored(self._score(self._checked(x), condition))

    def score_images(
        self,
        x: tf.Tensor,
        num_draws: tf.Tensor,
        seed: tf.Tensor,
        condition: tf.Tensor | None = None,
    ) -> Outputs:
        num_draws = checked_at_least(num_draws, 1, "num_draws")
        condition = self._checked_condition(condition, tf.shape(x)[0], "images in x")
        pixels = tf.cast(checked_batch(x, "x"), self._flow.dtype)

        def add_draw(draw: tf.Tensor, total: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
            # Every image has the same noise, or its score would depend on its place.
            own = tf.random.experimental.stateless_fold_in(seed, draw)
            shape = self._flow.event_shape
            noise = tf.random.stateless_uniform(shape, own, dtype=pixels.dtype)
            score = self._score(pixels + noise, condition)
            return draw + 1, tf.reduce_logsumexp(tf.stack([total, score]), axis=0)

        none = tf.fill([tf.shape(x)[0]], tf.constant(pixels.dtype.min, pixels.dtype))
        _, total = tf.while_loop(
            lambda draw, _: draw < num_draws,
            add_draw,
            (tf.constant(0), none),
            shape_invariants=(tf.TensorShape([]), tf.TensorShape([None])),
        )
        return self._scored(total - tf.math.log(tf.cast(num_draws, total.dtype)))

    def sample(
        self,
        num_samples: tf.Tensor,
        seed: tf.Tensor,
        temperature: tf.Tensor | None = None,
        condition: tf.Tensor | None = None,
    ) -> Outputs:
        num_samples = checked_at_least(num_samples, 1, "num_samples")
        condition = self._checked_condition(condition, num_samples, "num_samples")
        kwargs = self._kwargs(condition)
        # Samples and densities come from one pass.
        if temperature is None:
            samples, log_prob = self._flow.experimental_sample_and_log_prob(
                num_samples, seed=seed, **kwargs
            )
        else:
            base, of_base = (
                self._flow.distribution,
                kwargs.get("distribution_kwargs", {}),
            )
            latents = base.sample(num_samples, seed=seed, **of_base)
            latents *= checked_at_least(temperature, 0, "temperature")
            samples = self._forward(latents, condition)
            log_prob = base.log_prob(latents, **of_base)
            log_prob -= self._flow.bijector.forward_log_det_jacobian(
                latents,
                event_ndims=self._flow.event_shape.rank,
                **kwargs.get("bijector_kwargs", {}),
            )
        outputs = self._shown(samples)
        outputs["log_prob"] = checked_density(log_prob)
        return outputs

    def encode(self, x: tf.Tensor, condition: tf.Tensor | None = None) -> Outputs:
        condition = self._checked_condition(condition, tf.shape(x)[0], "examples of x")
        kwargs = self._kwargs(condition).get("bijector_kwargs", {})
        latents = self._flow.bijector.inverse(self._checked(x), **kwargs)
        shape = [None, *self._flow.distribution.event_shape]
        latents = tf.ensure_shape(latents, shape)
        return {"latents": checked_finite(latents, "latents")}

    def decode(self, latents: tf.Tensor, condition: tf.Tensor | None = None) -> Outputs:
        count = tf.shape(latents)[0]
        condition = self._checked_condition(condition, count, "latents")
        latents = checked_finite(checked_batch(latents, "latents"), "latents")
        return self._shown(self._forward(latents, condition))

    def _score(self, x: tf.Tensor, condition: tf.Tensor | None) -> tf.Tensor:
        return checked_density(self._flow.log_prob(x, **self._kwargs(condition)))

    def _forward(self, latents: tf.Tensor, condition: tf.Tensor | None) -> tf.Tensor:
        kwargs = self._kwargs(condition).get("bijector_kwargs", {})
        return self._flow.bijector.forward(latents, **kwargs)

    def _scored(self, log_prob: tf.Tensor) -> Outputs:
        outputs = {"log_prob": log_prob}
        if self.is_over_pixels:
            outputs["bits_per_dim"] = bits_per_dim(log_prob, self._flow.event_shape)
        return outputs

    def _shown(self, samples: tf.Tensor) -> Outputs:
        samples = tf.ensure_shape(samples, [None, *self._flow.event_shape])
        outputs = {"samples": checked_finite(samples, "samples")}
        if self.is_over_pixels:
            whole = tf.clip_by_value(tf.floor(outputs["samples"]), 0, 255)
            outputs["images"] = tf.cast(whole, tf.uint8)
        return outputs

    def _checked(self, x: tf.Tensor) -> tf.Tensor:
        x = checked_batch(x, "x")
        if self._pixels is not None:
            low, high = self._pixels.pixel_range
            return checked_between(x, low, high, "x")
        return checked_finite(x, "x")

    def _checked_condition(
        self, condition: tf.Tensor | None, count: tf.Tensor, name: str
    ) -> tf.Tensor | None:
        if condition is None:
            return None
        # Signatures have an argument `condition` where there is a size of it.
        size = cast(int, self.condition_size)
        return checked_count(condition, count, size, name)

    def _kwargs(self, condition: tf.Tensor | None) -> dict:
        return distribution_kwargs(self._flow, condition=condition)
