import contextlib
import gc

import pytest
import tensorflow as tf
from small_model import vector_model, vectors
from tensorflow.python.eager import context


def switches():
    """Returns the optimizer's: off for this thread, and options of all threads."""
    proto = context.context().function_call_options.config_proto_serialized
    options = tf.compat.v1.ConfigProto.FromString(proto).graph_options.rewrite_options
    of_all = tf.config.optimizer.get_experimental_options()
    return options.disable_meta_optimizer, of_all


def fit_noting(fails=False, **options):
    """Returns what is switched on where a step of training is made."""
    model, seen = vector_model(**options), []
    train_step = model.train_step

    def noting(data):
        # Other threads, which may train too, have the public options as well.
        seen.append((gc.isenabled(), *switches()))
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
    before = switches()
    collected, is_off, of_all = fit_noting(fails, run_eagerly=run_eagerly)
    assert collected == run_eagerly and gc.isenabled()
    assert is_off == (not tf.config.list_logical_devices("GPU"))
    assert of_all == before[1] and switches() == before


def test_a_collector_that_was_off_stays_off():
    gc.disable()
    try:
        fit_noting()
        assert not gc.isenabled()
    finally:
        gc.enable()
