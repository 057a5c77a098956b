"""A condition around many operations."""

from __future__ import annotations

from collections.abc import Callable

import tensorflow as tf
from tensorflow.python.ops import control_flow_util


def run_if(condition: tf.Tensor, run: Callable[[], bool]) -> None:
    """Runs `run` if `condition` holds, as `tf.cond`, but as one operation of a graph.

    TensorFlow takes `tf.cond` apart, with two more operations for each tensor from
    outside, of which an optimizer's step has four for each variable: for the `cifar10`
    preset that was a third of the graph.

    Args:
      condition: Boolean scalar.
      run: Function without arguments that returns `True`.
    """
    graph = tf.compat.v1.get_default_graph()
    if tf.executing_eagerly() or control_flow_util.GraphOrParentsInXlaContext(graph):
        tf.cond(condition, run, lambda: False)
        return
    then = tf.function(run, autograph=False).get_concrete_function()
    inputs = then.captured_inputs
    otherwise = tf.function(lambda *inputs: False, autograph=False)
    tf.raw_ops.If(
        cond=condition,
        input=inputs,
        Tout=[tf.bool],
        then_branch=then,
        else_branch=otherwise.get_concrete_function(*inputs),
    )
