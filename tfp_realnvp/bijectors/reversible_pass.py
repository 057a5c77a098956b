"""A pass through a flow as one operation, whose gradient goes it backwards."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import keras
import tensorflow as tf
from tensorflow.python.eager import record

from tfp_realnvp.bijectors.fused import FusedBijector
from tfp_realnvp.bijectors.reversible import (
    Recomputation,
    after,
    run_and_keep,
    run_back,
    run_plainly,
)

_Tensors = dict[int | str, tf.Tensor]
_Gradient = Callable[..., list[tf.Tensor]]


class ReversiblePass:
    """Runs a flow in either direction and keeps of it the input and the output alone.

    The gradient finds the input of each member again from its output, the last one's
    first, and evaluates its network there, once for both. So it takes the activations
    of one member at a time, and a third more arithmetic than if all were kept.
    Gradients of gradients are right too, but take the activations of all.

    Layers are given their weights as tensors, and what they assign to moving averages
    is caught: the pass assigns it once, its gradient not again.

    Args:
      bijector: The flow.

    Raises:
      ValueError: If it has variables that are not those of Keras layers, or if two of
        its members share a layer.
    """

    def __init__(self, bijector: FusedBijector):
        members = [m for m in bijector.submodules if isinstance(m, FusedBijector)]
        self._bijector = bijector
        self._weights: list[keras.Variable] = [
            variable
            for member in (bijector, *members)
            for layer in member._layers
            for variable in layer.weights
        ]
        ids = {id(variable.value) for variable in self._weights}
        others = [v.name for v in bijector.variables if id(v) not in ids]
        if others or len(ids) < len(self._weights):
            raise ValueError(
                'memory: expected "stored" for a flow whose members share layers or '
                'have variables that are none of a layer, got "reversible" and '
                f"{', '.join(others) or 'shared layers'}."
            )

    def __call__(
        self,
        value: tf.Tensor,
        *,
        inverse: bool,
        condition: tf.Tensor | None = None,
        **kwargs: Any,
    ) -> tuple[tf.Tensor, tf.Tensor]:
        """Returns the output and the log-determinant of the pass.

        Args:
          value: `Tensor` of shape [N, ...].
          inverse: Python `bool`, the direction.
          condition: `Tensor` of shape [N, condition_size].
          **kwargs: Further keyword arguments, such as `training`.
        """
        call = _Call(self._bijector, self._weights, inverse, kwargs)
        tensors: _Tensors = {"value": value}
        if condition is not None:
            tensors["condition"] = condition
        tensors |= {id(v): tf.convert_to_tensor(v.value) for v in self._weights}
        return call(tensors)


class _Call:
    """One pass, as a function of its inputs and of all weights.

    Tensors go by names: `"value"`, `"condition"`, and the `id` of a weight's variable.
    """

    def __init__(
        self,
        bijector: FusedBijector,
        weights: Sequence[keras.Variable],
        inverse: bool,
        kwargs: dict[str, Any],
    ):
        self._bijector = bijector
        self._weights = weights
        self._inverse = inverse
        self._kwargs = kwargs

    def __call__(self, tensors: _Tensors) -> tuple[tf.Tensor, tf.Tensor]:
        frozen = {id(v) for v in self._weights if not v.trainable}
        names = [name for name in tensors if name not in frozen]

        @tf.custom_gradient
        def run(*arguments: tf.Tensor) -> tuple[tuple[tf.Tensor, tf.Tensor], _Gradient]:
            given = {**tensors, **dict(zip(names, arguments, strict=True))}
            output, log_det, kept = self._run(given)

            def gradient(d_output: tf.Tensor, d_log_det: tf.Tensor) -> list[tf.Tensor]:
                return self._gradient(given, names, output, kept, d_output, d_log_det)

            return (output, log_det), gradient

        return run(*(tensors[name] for name in names))

    def _run(self, tensors: _Tensors) -> tuple[tf.Tensor, tf.Tensor, Any]:
        with record.stop_recording(), self._given(tensors) as scope:
            output, log_det, kept = run_and_keep(
                self._bijector,
                tensors["value"],
                self._bijector.event_ndims,
                inverse=self._inverse,
                **self._kwargs_of(tensors),
            )
        for variable in self._weights:
            value = scope.get_current_value(variable)
            if value is not tensors[id(variable)]:
                variable.assign(value)
        return output, log_det, kept

    def _gradient(
        self,
        tensors: _Tensors,
        names: Sequence[int | str],
        output: tf.Tensor,
        kept: Any,
        d_output: tf.Tensor,
        d_log_det: tf.Tensor,
    ) -> list[tf.Tensor]:
        @tf.custom_gradient
        def step_back(*arguments: tf.Tensor) -> tuple[list[tf.Tensor], _Gradient]:
            recomputation = Recomputation(
                d_log_det,
                event_ndims=self._bijector.event_ndims,
                kwargs=self._kwargs_of(tensors),
                weights={n: tensors[n] for n in names if isinstance(n, int)},
            )
            with self._given(tensors):
                _, d_value = run_back(
                    self._bijector,
                    after(output, [d_output]),
                    d_output,
                    kept,
                    recomputation,
                    inverse=self._inverse,
                )
            found = {"value": d_value, **recomputation.gradients}

            def gradient(*d_found: tf.Tensor) -> list[tf.Tensor]:
                return self._second_gradient(tensors, names, arguments, d_found)

            return [found[name] for name in names], gradient

        return step_back(*(tensors[name] for name in names), d_output, d_log_det)

    def _second_gradient(
        self,
        tensors: _Tensors,
        names: Sequence[int | str],
        arguments: Sequence[tf.Tensor],
        d_found: Sequence[tf.Tensor],
    ) -> list[tf.Tensor]:
        *differentiated, d_output, d_log_det = arguments
        given = {**tensors, **dict(zip(names, differentiated, strict=True))}
        with tf.GradientTape() as outer:
            outer.watch(arguments)
            with tf.GradientTape() as inner, self._given(given):
                inner.watch(differentiated)
                outputs = run_plainly(
                    self._bijector,
                    given["value"],
                    self._bijector.event_ndims,
                    inverse=self._inverse,
                    **self._kwargs_of(given),
                )
            found = inner.gradient(
                outputs,
                differentiated,
                (d_output, d_log_det),
                unconnected_gradients=tf.UnconnectedGradients.ZERO,
            )
        return outer.gradient(
            found,
            arguments,
            d_found,
            unconnected_gradients=tf.UnconnectedGradients.ZERO,
        )

    def _kwargs_of(self, tensors: _Tensors) -> dict[str, Any]:
        if "condition" not in tensors:
            return self._kwargs
        return {**self._kwargs, "condition": tensors["condition"]}

    @contextlib.contextmanager
    def _given(self, tensors: _Tensors) -> Iterator[keras.StatelessScope]:
        """Lets layers see these tensors for their weights, and catches updates."""
        with keras.StatelessScope() as scope:
            for variable in self._weights:
                variable.assign(tensors[id(variable)])
            yield scope
