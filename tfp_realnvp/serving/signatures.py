"""The functions of an artifact, in which invalid input raises an error."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import tensorflow as tf
from tensorflow_probability import distributions as tfd

from tfp_realnvp.flows import bits_per_dim
from tfp_realnvp.flows.call_arguments import (
    condition_size_of_flow,
    distribution_kwargs,
    is_transformed,
    pixel_logit_of,
)

Outputs = dict[str, tf.Tensor]

# Inputs that all examples share, and their shapes. The row format of TensorFlow
# Serving's REST API repeats them for each example, with equal values.
PARAMETERS = {"num_samples": [], "num_draws": [], "seed": [2], "temperature": []}

# Rounding can move samples at the ends of the range beyond them.
_TOLERANCE = 1e-3


def signatures_of(
    flow: tfd.Distribution,
) -> dict[str, tf.types.experimental.ConcreteFunction]:
    """Returns the functions of an artifact by name, see `export_saved_model`.

    Args:
      flow: `tfd.Distribution` over events of a known shape, without batch shape.
    """
    functions = _Functions(flow)

    def spec(name: str, shape: Any = None, dtype: tf.DType = tf.int32) -> tf.TensorSpec:
        return tf.TensorSpec(shape, dtype, name=name)

    x = spec("x", [None, *flow.event_shape], flow.dtype)
    count, draws, seed = map(spec, ("num_samples", "num_draws", "seed"))
    inputs = {"serving_default": [x], "sample": [count, seed]}
    if functions.pixels is not None:
        inputs["score_images"] = [spec("x", x.shape, tf.uint8), draws, seed]
    if is_transformed(flow):
        base = flow.distribution
        inputs["sample"] += [spec("temperature", None, flow.dtype)]
        inputs["encode"] = [x]
        inputs["decode"] = [spec("latents", [None, *base.event_shape], base.dtype)]
    size = functions.condition_size
    condition = [] if size is None else [spec("condition", [None, size], flow.dtype)]
    return {
        name: _traced(getattr(functions, name), [*specs, *condition])
        for name, specs in inputs.items()
    }


def _traced(
    function: Callable[..., Outputs], specs: list[tf.TensorSpec]
) -> tf.types.experimental.ConcreteFunction:
    def checked(*arguments: tf.Tensor) -> Outputs:
        given = {}
        for spec, value in zip(specs, arguments, strict=True):
            # Not every loader checks the sizes of its inputs.
            value = tf.ensure_shape(value, spec.shape, name=spec.name)
            if spec.name in PARAMETERS:
                value = _parameter(value, PARAMETERS[spec.name], spec.name)
            given[spec.name] = value
        return function(**given)

    made = tf.function(checked, input_signature=specs, autograph=False)
    return made.get_concrete_function()


class _Functions:
    def __init__(self, flow: tfd.Distribution):
        self._flow = flow
        self.condition_size = condition_size_of_flow(flow)
        self.pixels = pixel_logit_of(flow)

    def serving_default(
        self, x: tf.Tensor, condition: tf.Tensor | None = None
    ) -> Outputs:
        kwargs = self._kwargs(condition, tf.shape(x)[0], "examples of x")
        return self._scored(self._log_prob(self._checked(x), kwargs))

    def score_images(
        self,
        x: tf.Tensor,
        num_draws: tf.Tensor,
        seed: tf.Tensor,
        condition: tf.Tensor | None = None,
    ) -> Outputs:
        num_draws = _at_least(num_draws, 1, "num_draws")
        kwargs = self._kwargs(condition, tf.shape(x)[0], "images in x")
        pixels = tf.cast(_batch(x, "x"), self._flow.dtype)

        def add_draw(draw: tf.Tensor, total: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
            # The same noise for all images: scores must not depend on the position.
            own = tf.random.experimental.stateless_fold_in(seed, draw)
            shape = self._flow.event_shape
            noise = tf.random.stateless_uniform(shape, own, dtype=pixels.dtype)
            score = self._log_prob(pixels + noise, kwargs)
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
        num_samples = _at_least(num_samples, 1, "num_samples")
        kwargs = self._kwargs(condition, num_samples, "num_samples")
        # Samples and densities come from one pass.
        if temperature is None:
            samples, log_prob = self._flow.experimental_sample_and_log_prob(
                num_samples, seed=seed, **kwargs
            )
        else:
            base, of_base = self._flow.distribution, kwargs["distribution_kwargs"]
            latents = base.sample(num_samples, seed=seed, **of_base)
            latents *= _at_least(temperature, 0, "temperature")
            samples = self._flow.bijector.forward(latents, **kwargs["bijector_kwargs"])
            log_prob = base.log_prob(latents, **of_base)
            log_prob -= self._flow.bijector.forward_log_det_jacobian(
                latents, self._flow.event_shape.rank, **kwargs["bijector_kwargs"]
            )
        return {**self._shown(samples), "log_prob": _density(log_prob)}

    def encode(self, x: tf.Tensor, condition: tf.Tensor | None = None) -> Outputs:
        kwargs = self._kwargs(condition, tf.shape(x)[0], "examples of x")
        x = self._checked(x)
        latents = self._flow.bijector.inverse(x, **kwargs["bijector_kwargs"])
        shape = [None, *self._flow.distribution.event_shape]
        return {"latents": _finite(tf.ensure_shape(latents, shape), "latents")}

    def decode(self, latents: tf.Tensor, condition: tf.Tensor | None = None) -> Outputs:
        kwargs = self._kwargs(condition, tf.shape(latents)[0], "latents")
        latents = _finite(_batch(latents, "latents"), "latents")
        samples = self._flow.bijector.forward(latents, **kwargs["bijector_kwargs"])
        return self._shown(samples)

    def _log_prob(self, x: tf.Tensor, kwargs: dict[str, Any]) -> tf.Tensor:
        return _density(self._flow.log_prob(x, **kwargs))

    def _scored(self, log_prob: tf.Tensor) -> Outputs:
        if self.pixels is None:
            return {"log_prob": log_prob}
        bits = bits_per_dim(log_prob, self._flow.event_shape)
        return {"log_prob": log_prob, "bits_per_dim": bits}

    def _shown(self, samples: tf.Tensor) -> Outputs:
        samples = tf.ensure_shape(samples, [None, *self._flow.event_shape])
        samples = _finite(samples, "samples")
        if self.pixels is None:
            return {"samples": samples}
        images = tf.cast(tf.clip_by_value(tf.floor(samples), 0, 255), tf.uint8)
        return {"samples": samples, "images": images}

    def _checked(self, x: tf.Tensor) -> tf.Tensor:
        x = _batch(x, "x")
        if self.pixels is None:
            return _finite(x, "x")
        low, high = self.pixels.pixel_range
        expected = (
            "pixels in [0, 256), or at least in the range "
            f"({low:.1f}, {high:.1f}) of samples, and no NaN"
        )
        return _between(x, low - _TOLERANCE, high + _TOLERANCE, "x", expected)

    def _kwargs(
        self, condition: tf.Tensor | None, count: tf.Tensor, of: str
    ) -> dict[str, Any]:
        if condition is not None:
            size = self.condition_size
            expected = f"condition: expected shape [N, {size}] with N the {of},"
            got = [count, ", got", tf.shape(condition)]
            is_one_each = tf.equal(tf.shape(condition)[0], count)
            condition = _finite(condition, "condition")
            condition = _with(condition, is_one_each, [expected, *got])
        if not is_transformed(self._flow):
            return {}
        kwargs = distribution_kwargs(self._flow, condition=condition)
        return {"distribution_kwargs": {}, "bijector_kwargs": {}, **kwargs}


def _parameter(value: tf.Tensor, shape: list[int], name: str) -> tf.Tensor:
    """Returns a value of `shape`, given once or, with equal values, per example."""
    got, extra = tf.shape(value), tf.rank(value) - len(shape)
    fits = (extra >= 0) & (extra <= 1) & (tf.size(value) > 0)
    fits &= tf.reduce_all(tf.equal(got[-1:], shape)) if shape else True
    expected = f"{name}: expected shape {shape}, or {['N', *shape]} for N examples, got"
    rows = tf.reshape(_with(value, fits, [expected, got]), [-1, *shape])
    # NaN passes here, and fails in later checks.
    is_same = tf.reduce_all(tf.equal(rows, rows[:1]) | tf.not_equal(rows, rows))
    expected = f"{name}: expected the same for all examples, got"
    return _with(rows, is_same, [expected, value])[0]


def _batch(x: tf.Tensor, name: str) -> tf.Tensor:
    """Returns `x`, which must not be empty, as convolutions need examples."""
    expected = f"{name}: expected one example or more, got shape"
    return _with(x, tf.shape(x)[0] > 0, [expected, tf.shape(x)])


def _finite(x: tf.Tensor, name: str) -> tf.Tensor:
    return _between(x, x.dtype.min, x.dtype.max, name, "finite numbers")


def _density(log_prob: tf.Tensor) -> tf.Tensor:
    """Returns `log_prob`, which may be minus infinity but not NaN."""
    expected = "the logarithm of a density"
    most = log_prob.dtype.max
    return _between(log_prob, float("-inf"), most, "log_prob", expected)


def _at_least(value: tf.Tensor, least: int, name: str) -> tf.Tensor:
    expected = f"{least} or more, and finite"
    return _between(value, least, value.dtype.max, name, expected)


def _between(
    x: tf.Tensor, low: float, high: float, name: str, expected: str
) -> tf.Tensor:
    is_inside = tf.reduce_all((x >= low) & (x <= high))
    count = tf.math.count_nonzero(tf.not_equal(x, x))
    values = ["got values from", tf.reduce_min(x), "to", tf.reduce_max(x)]
    details = [f"{name}: expected {expected};", *values, "and NaN in", count, "places."]
    return _with(x, is_inside, details)


def _with(x: tf.Tensor, is_good: tf.Tensor, details: list[Any]) -> tf.Tensor:
    """Returns `x`, with an error in any program that runs this unless `is_good`."""
    with tf.control_dependencies([tf.debugging.Assert(is_good, details)]):
        return tf.identity(x)
