import gc

import keras
import numpy as np
import pytest
import tensorflow as tf
from tensorflow.python.framework.func_graph import FuncGraph

import tfp_realnvp as nvp


def score(flow):
    tf.function(flow.log_prob)(tf.zeros([2, 4, 4, 1]))


def sample(flow):
    tf.function(lambda: flow.sample(2, seed=(0, 1)))()


def differentiate(flow):
    @tf.function
    def gradients(x):
        with tf.GradientTape() as tape:
            log_prob = flow.log_prob(x, bijector_kwargs={"training": True})
        return tape.gradient(log_prob, flow.trainable_variables)

    gradients(tf.zeros([2, 4, 4, 1]))


def train(flow):
    model = nvp.FlowModel(flow, seed=0)
    model.compile()
    model.fit(np.zeros([8, 4, 4, 1], np.uint8), batch_size=4, verbose=0)


def count_graphs():
    keras.backend.clear_session()
    gc.collect()
    return sum(isinstance(found, FuncGraph) for found in gc.get_objects())


@pytest.mark.parametrize("use", [score, sample, differentiate, train])
def test_the_graphs_of_a_flow_go_with_it(use):
    def once():
        sizes = {"num_scales": 1, "filters": 2, "num_blocks": 1}
        use(nvp.image_flow(event_shape=(4, 4, 1), **sizes))

    once()
    before = count_graphs()
    once()
    assert count_graphs() <= before
