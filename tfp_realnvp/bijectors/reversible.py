"""Gradients without stored activations: inputs are found again from outputs."""

from __future__ import annotations

import abc
import contextlib
from collections.abc import Iterator, Sequence
from typing import Any

import tensorflow as tf
from tensorflow_probability import bijectors as tfb

from tfp_realnvp.bijectors.fused import (
    FusedBijector,
    Invert,
    forward_and_log_det,
    inverse_and_log_det,
)


class ReversibleBijector(FusedBijector):
    """A bijector with a way of its own from outputs and gradients back to inputs.

    Others are inverted, and then computed once more to be differentiated.
    """

    @abc.abstractmethod
    def _run_and_keep(
        self, value: tf.Tensor, *, inverse: bool, **kwargs: Any
    ) -> tuple[tf.Tensor, tf.Tensor, Any]:
        """Returns output, log-determinant and the little that the way back needs."""

    @abc.abstractmethod
    def _run_back(
        self,
        output: tf.Tensor,
        d_output: tf.Tensor,
        kept: Any,
        recomputation: Recomputation,
        *,
        inverse: bool,
    ) -> tuple[tf.Tensor, tf.Tensor]:
        """Returns what `output` came from, and the gradient there.

        Args:
          output: `Tensor`, what `_run_and_keep` returned or nearly so.
          d_output: `Tensor` of the same shape, the gradient of the loss.
          kept: What `_run_and_keep` returned last.
          recomputation: Where gradients of weights and condition are summed up.
          inverse: Python `bool`, the direction of the pass that is gone back.
        """


class Recomputation:
    """What the members of a flow share on the way back from outputs to inputs.

    Attributes:
      event_ndims: Python `int`, rank of the events of the flow.
      kwargs: Keyword arguments of the pass.
      gradients: `dict` from names to gradients found so far, of weights by their ids
        and of `"condition"`.

    Args:
      d_log_det: Gradient with respect to the flow's log-determinant, which is that of
        every member's, for they are summed up.
      event_ndims: See above.
      kwargs: See above.
      weights: The values of all weights to differentiate by, by ids of the variables.
    """

    def __init__(
        self,
        d_log_det: tf.Tensor,
        *,
        event_ndims: int,
        kwargs: dict[str, Any],
        weights: dict[int, tf.Tensor],
    ):
        self.event_ndims = event_ndims
        self.kwargs = kwargs
        self.gradients: dict[int | str, tf.Tensor] = {}
        self._d_log_det = d_log_det
        self._weights = weights
        self._found: list[tf.Tensor] = []

    def run(
        self, bijector: tfb.Bijector, value: tf.Tensor, *, inverse: bool
    ) -> tuple[tf.Tensor, tf.Tensor]:
        """Returns the output of a member, and its log-determinant."""
        return run_plainly(
            bijector, value, self.event_ndims, inverse=inverse, **self.kwargs
        )

    @contextlib.contextmanager
    def recorded(self, bijector: tfb.Bijector) -> Iterator[tf.GradientTape]:
        """Records how outputs depend on a member's weights and on its condition."""
        with tf.GradientTape(watch_accessed_variables=False) as tape:
            tape.watch(list(self._parameters(bijector).values()))
            yield tape

    def differentiate(
        self,
        tape: tf.GradientTape,
        bijector: tfb.Bijector,
        outputs: tuple[tf.Tensor, tf.Tensor],
        d_output: tf.Tensor,
        inputs: Sequence[tf.Tensor],
    ) -> list[tf.Tensor]:
        """Returns the gradients at `inputs`, and adds up those of weights.

        Args:
          tape: What `recorded` gave.
          bijector: The member.
          outputs: Pair of output and log-determinant.
          d_output: Gradient with respect to the first.
          inputs: `Tensor`s that the tape watches.
        """
        parameters = self._parameters(bijector)
        self._found = tape.gradient(
            outputs,
            [*inputs, *parameters.values()],
            (d_output, self._d_log_det),
            unconnected_gradients=tf.UnconnectedGradients.ZERO,
        )
        for name, gradient in zip(parameters, self._found[len(inputs) :], strict=True):
            before = self.gradients.get(name)
            self.gradients[name] = gradient if before is None else before + gradient
        return self._found[: len(inputs)]

    def run_again(
        self,
        bijector: tfb.Bijector,
        value: tf.Tensor,
        d_output: tf.Tensor,
        *,
        inverse: bool,
    ) -> tf.Tensor:
        """Returns the gradient at a member's input, having computed it once more."""
        with self.recorded(bijector) as tape:
            tape.watch(value)
            outputs = self.run(bijector, value, inverse=inverse)
        (d_value,) = self.differentiate(tape, bijector, outputs, d_output, [value])
        return d_value

    def wait(self, value: tf.Tensor) -> tf.Tensor:
        """Returns `value`, but not before the last member's gradients are there."""
        found, self._found = self._found, []
        return after(value, found)

    def _parameters(self, bijector: tfb.Bijector) -> dict[int | str, tf.Tensor]:
        if not isinstance(bijector, FusedBijector):
            return {}
        found: dict[int | str, tf.Tensor] = {
            id(variable): self._weights[id(variable)]
            for layer in bijector._layers
            for variable in layer.weights
            if id(variable) in self._weights
        }
        if bijector.condition_size is not None:
            found["condition"] = self.kwargs["condition"]
        return found


def run_plainly(
    bijector: tfb.Bijector,
    value: tf.Tensor,
    event_ndims: int,
    *,
    inverse: bool,
    **kwargs: Any,
) -> tuple[tf.Tensor, tf.Tensor]:
    """Returns output and log-determinant in either direction."""
    run = inverse_and_log_det if inverse else forward_and_log_det
    return run(bijector, value, event_ndims, **kwargs)


def run_and_keep(
    bijector: tfb.Bijector,
    value: tf.Tensor,
    event_ndims: int,
    *,
    inverse: bool,
    **kwargs: Any,
) -> tuple[tf.Tensor, tf.Tensor, Any]:
    """Returns output, log-determinant and the little that `run_back` needs."""
    if isinstance(bijector, Invert):
        bijector, inverse = bijector.bijector, not inverse
    if isinstance(bijector, ReversibleBijector):
        return bijector._run_and_keep(value, inverse=inverse, **kwargs)
    pair = run_plainly(bijector, value, event_ndims, inverse=inverse, **kwargs)
    return *pair, None


def run_back(
    bijector: tfb.Bijector,
    output: tf.Tensor,
    d_output: tf.Tensor,
    kept: Any,
    recomputation: Recomputation,
    *,
    inverse: bool,
) -> tuple[tf.Tensor, tf.Tensor]:
    """Returns what `output` came from, and the gradient there.

    Arguments as for `ReversibleBijector._run_back`.
    """
    if isinstance(bijector, Invert):
        bijector, inverse = bijector.bijector, not inverse
    if isinstance(bijector, ReversibleBijector):
        value, d_value = bijector._run_back(
            output, d_output, kept, recomputation, inverse=inverse
        )
    else:
        # Copies are other tensors: TFP's caches would answer with those of the pass
        # that is over, of which no tape knows.
        undone, _ = recomputation.run(
            bijector, tf.identity(output), inverse=not inverse
        )
        value = tf.identity(undone)
        d_value = recomputation.run_again(bijector, value, d_output, inverse=inverse)
    return recomputation.wait(value), d_value


def after(value: tf.Tensor, others: Sequence[tf.Tensor]) -> tf.Tensor:
    """Returns `value`, but in a graph not before all `others` have been computed.

    In a graph what needs no gradient would otherwise be computed as soon as it can be,
    all inputs and all activations before the first gradient.
    """
    if tf.executing_eagerly() or not others:
        return value
    with tf.control_dependencies(others):
        value = tf.identity(value)
    # XLA goes by values alone: here is a zero that it cannot know.
    first = tf.reshape(others[0], [-1])[:1]
    never = tf.reduce_any(tf.math.is_nan(first) & tf.math.is_inf(first))
    return value + tf.cast(never, value.dtype)
