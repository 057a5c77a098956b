import contextlib
import gc

import pytest
import tensorflow as tf
from small_model import vector_model, vectors
from tensorflow.python.eager import context


def all_threads_options():
    return tf.config.optimizer.get_experimental_options()


def optimizer_is_off():
    proto = context.context().function_call_options.config_proto_serialized
    config = tf.compat.v1.ConfigProto.FromString(proto)
    return config.graph_options.rewrite_options.disable_meta_optimizer


def fit_noting(fails, **options):
    """Returns what is switched on where a step of training is made."""
    model, seen = vector_model(**options), []
    train_step = model.train_step

    def noting(data):
        # Other threads, which may train too, have the public options as well.
        seen.append((gc.isenabled(), optimizer_is_off(), all_threads_options()))
        if fails:
            raise KeyError("step")
        return train_step(data)

    model.train_step = noting
    with pytest.raises(KeyError) if fails else contextlib.nullcontext():
        model.fit(vectors(4), verbose=0)
    return seen[0]


@pytest.mark.parametrize("fails", [False, True])
@pytest.mark.parametrize("run_eagerly", [False, True])
def test_steps_run_as_traced_and_without_collector_and_nothing_else_does(
    run_eagerly, fails
):
    before = optimizer_is_off(), all_threads_options()
    collected, is_off, of_all = fit_noting(fails, run_eagerly=run_eagerly)
    assert collected == run_eagerly and gc.isenabled()
    assert is_off == (not tf.config.list_logical_devices("GPU"))
    assert of_all == before[1]
    assert (
        optimizer_is_off(),
        tf.config.optimizer.get_experimental_options(),
    ) == before


def test_a_collector_that_was_off_stays_off():
    gc.disable()
    try:
        fit_noting(fails=False)
        assert not gc.isenabled()
    finally:
        gc.enable()
