"""How steps are traced and run, and that graphs go with their flows."""

import contextlib
import gc

import keras
import pytest
import tensorflow as tf
from small_model import new_image_model, vector_model, vectors
from tensorflow.python.eager import context
from tensorflow.python.framework.func_graph import FuncGraph


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


IMAGES = tf.zeros([2, 4, 4, 1])


def differentiate(model):
    @tf.function
    def gradients(x):
        with tf.GradientTape() as tape:
            log_prob = model.flow.log_prob(x, bijector_kwargs={"training": True})
        return tape.gradient(log_prob, model.flow.trainable_variables)

    gradients(IMAGES)


USES = {
    "score": lambda model: tf.function(model.flow.log_prob)(IMAGES),
    "sample": lambda model: tf.function(lambda: model.flow.sample(2, seed=(0, 1)))(),
    "differentiate": differentiate,
    "train": lambda model: model.fit(IMAGES, batch_size=1, verbose=0),
}


def count_graphs():
    keras.backend.clear_session()
    gc.collect()
    return sum(isinstance(found, FuncGraph) for found in gc.get_objects())


@pytest.mark.parametrize("use", USES)
def test_the_graphs_of_a_flow_go_with_it(use):
    USES[use](new_image_model(filters=2))
    before = count_graphs()
    USES[use](new_image_model(filters=2))
    assert count_graphs() <= before
