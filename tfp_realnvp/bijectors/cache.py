"""The cache of passes: an earlier pass answers a call that would repeat it exactly."""

from __future__ import annotations

import dataclasses
import weakref
from collections.abc import Callable
from typing import Any

import tensorflow as tf
from tensorflow.python.eager import record

from tfp_realnvp.bijectors.moment import Moment, Weights, is_same, snapshot


@dataclasses.dataclass(frozen=True)
class _Pass:
    """A completed pass, kept as long as its output is referenced."""

    inverse: bool
    input: tf.Tensor
    output: weakref.ref
    ildj: tf.Tensor
    kwargs: dict[str, Any]
    moment: Moment

    def holds(self, asked: tf.Tensor, kwargs: dict[str, Any]) -> bool:
        """Whether a new pass, from or to `asked`, would repeat this one."""
        return (
            self.kwargs.keys() == kwargs.keys()
            and all(is_same(self.kwargs[name], kwargs[name]) for name in kwargs)
            and self.moment.is_now(asked)
        )


class PassCache:
    """The passes of one bijector, in the place of TFP's own cache.

    TFP's way to `log_prob(y)` is `x = inverse(y)`, then `forward_log_det_jacobian(x)`,
    and `experimental_sample_and_log_prob` asks for `forward(x)`, then for
    `forward_log_det_jacobian(x)`. So a log-determinant is taken from the pass that had
    this very tensor as its input or as its output, if that pass *holds*:

    - it ran in the same graph, or both then and now are eager;
    - no variable of the bijector has been written since, nor has an array among the
      keyword arguments;
    - the gradient tapes that would record a new pass are those that recorded it.

    Otherwise a new pass runs. A value is taken from a pass that holds

    - for the same input again, but not in training, where each pass moves statistics;
    - for the latents that `inverse` returned: `forward` gives back what they came from;
    - for a sample that `forward` returned: `inverse` gives back its latents, but only
      in eager mode, if no tape watches the sample. Else its gradient would be lost,
      and in a graph gradients may be asked for later. In training `inverse` does so
      everywhere: `tfb.Chain` finds the log-determinants of a pass by its tensors.

    One case cannot be detected: gradients *with respect to* the latents that `inverse`
    returned, under the same tape or in the same graph. A copy of the latents, by
    `tf.identity`, causes a new pass.
    """

    def __init__(
        self,
        transform: Callable[..., tuple[tf.Tensor, tf.Tensor]],
        weights: Callable[[], Weights],
    ):
        self._transform = transform
        self._weights = weights
        self._eager_passes: dict[tuple[int, bool], _Pass] = {}

    def forward(self, x: tf.Tensor, **kwargs: Any) -> tf.Tensor:
        return self._value(x, kwargs, inverse=False)

    def inverse(self, y: tf.Tensor, **kwargs: Any) -> tf.Tensor:
        return self._value(y, kwargs, inverse=True)

    def forward_attributes(self, x: tf.Tensor, **kwargs: Any) -> dict[str, tf.Tensor]:
        return self._attributes(x, kwargs, inverse=False)

    def inverse_attributes(self, y: tf.Tensor, **kwargs: Any) -> dict[str, tf.Tensor]:
        return self._attributes(y, kwargs, inverse=True)

    def _value(
        self, value: tf.Tensor, kwargs: dict[str, Any], *, inverse: bool
    ) -> tf.Tensor:
        found = self._find(value, kwargs, inverse=inverse)
        if found is not None:
            made, output = found
            training = bool(kwargs.get("training"))
            if made.inverse == inverse and not training:
                return output
            may_need_gradient = (
                not tf.executing_eagerly() or record.should_record_backprop([value])
            )
            is_way_back = made.inverse != inverse
            if is_way_back and (made.inverse or training or not may_need_gradient):
                return made.input
        return self._run(value, kwargs, inverse=inverse)[0]

    def _attributes(
        self, value: tf.Tensor, kwargs: dict[str, Any], *, inverse: bool
    ) -> dict[str, tf.Tensor]:
        found = self._find(value, kwargs, inverse=inverse)
        if found is not None:
            return {"ildj": found[0].ildj}
        return {"ildj": self._run(value, kwargs, inverse=inverse)[1]}

    def _find(
        self, value: tf.Tensor, kwargs: dict[str, Any], *, inverse: bool
    ) -> tuple[_Pass, tf.Tensor] | None:
        """Returns the last pass with this input or output, and its output, if it holds.

        The output is returned too, to keep it from being garbage-collected.
        """
        found = self._passes.get((id(value), inverse))
        output = None if found is None else found.output()
        if found is None or output is None or not found.holds(value, kwargs):
            return None
        return found, output

    def _run(
        self, value: tf.Tensor, kwargs: dict[str, Any], *, inverse: bool
    ) -> tuple[tf.Tensor, tf.Tensor]:
        """Runs a pass, and returns its output and the inverse's log-determinant."""
        with record.VariableWatcher() as watcher:
            output, log_det = self._transform(value, inverse=inverse, **kwargs)
        if output is value:
            output = tf.identity(output)
        passes = self._passes
        keys = (id(value), inverse), (id(output), not inverse)

        def forget(output: weakref.ref) -> None:
            for key in keys:
                kept = passes.get(key)
                if kept is not None and kept.output is output:
                    passes.pop(key, None)

        reference = weakref.ref(output, forget)
        ildj = log_det if inverse else -log_det
        weights = self._weights().and_also(watcher.watched_variables())
        tensors = [v for v in (value, *kwargs.values()) if isinstance(v, tf.Tensor)]
        kept = {name: snapshot(v) for name, v in kwargs.items()}
        moment = Moment(weights, tensors)
        made = _Pass(inverse, value, reference, ildj, kept, moment)
        passes.update(dict.fromkeys(keys, made))
        return output, ildj

    @property
    def _passes(self) -> dict[tuple[int, bool], _Pass]:
        """The passes of eager mode, or of the graph that is being built.

        A graph's passes are stored on the graph, as a pass keeps input and graph alive.
        """
        if tf.executing_eagerly():
            return self._eager_passes
        graph = tf.compat.v1.get_default_graph()
        if not hasattr(graph, "_tfp_realnvp_passes"):
            graph._tfp_realnvp_passes = weakref.WeakKeyDictionary()
        return graph._tfp_realnvp_passes.setdefault(self, {})
