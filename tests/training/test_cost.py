import functools

import keras
import numpy as np
import pytest
import tensorflow as tf
import tensorflow_probability as tfp

import tfp_realnvp as nvp
from tfp_realnvp.training.cost import measure_cost
from tfp_realnvp.training.flow_layer import keras_layers

tfb = tfp.bijectors
tfd = tfp.distributions


def image_model(**sizes):
    small = {"event_shape": (8, 8, 1), "num_scales": 1, "filters": 4, "num_blocks": 2}
    return nvp.FlowModel(nvp.image_flow(**{**small, **sizes}, seed=0), seed=0)


@functools.cache
def image_cost():
    return measure_cost(image_model(), batch_size=3)


def vector_model(**arguments):
    base = tfd.MultivariateNormalDiag(tf.zeros(3), tf.ones(3))
    bijector = nvp.RealNVPBijector((3,), hidden_units=(8, 5), **arguments)
    return nvp.FlowModel(tfd.TransformedDistribution(base, bijector))


def vector_cost():
    return measure_cost(vector_model(), batch_size=4)


def layers_inside(model, kind):
    layers = {
        id(layer): layer
        for top in keras_layers(model.flow)
        for layer in top._flatten_layers()
    }
    return [layer for layer in layers.values() if isinstance(layer, kind)]


@pytest.mark.parametrize("kind", ["image", "vector"])
def test_operations_are_those_of_convolutions_and_dense_layers(kind):
    if kind == "image":
        model, cost, places = image_model(), image_cost(), 8 * 8
        kernels = [v.direction for v in layers_inside(model, nvp.WeightNormConv2D)]
    else:
        model, cost, places = vector_model(), vector_cost(), 1
        kernels = [layer.kernel for layer in layers_inside(model, keras.layers.Dense)]
    assert len(kernels) > 10
    expected = sum(2 * places * np.prod(kernel.shape) for kernel in kernels)
    assert cost.log_prob_flops == expected


@pytest.mark.parametrize("measured", [image_cost, vector_cost])
def test_training_takes_three_times_the_operations_of_a_log_prob(measured):
    cost = measured()
    # Nobody asks for gradients by the data, which saves the first layer a product.
    assert 2.8 < cost.training_flops / cost.log_prob_flops <= 3


def test_conditional_flows_are_measured_with_labels():
    cost = measure_cost(vector_model(condition_size=10), batch_size=4)
    plain = measure_cost(vector_model(), batch_size=4)
    assert cost.log_prob_flops > plain.log_prob_flops


class InFunctions(tfb.Bijector):
    """Three matrix products: in a function, in a branch and in a loop."""

    def __init__(self):
        super().__init__(forward_min_event_ndims=1)

    def _inverse(self, y):
        matrix = tf.eye(4)
        product = tf.function(lambda x: x @ matrix, autograph=False)
        y = product(y)
        y = tf.cond(y[0, 0] > 0, lambda: y @ matrix, lambda: y)
        return tf.while_loop(
            lambda i, y: i < 1, lambda i, y: (i + 1, y @ matrix), (0, y)
        )[1]

    def _inverse_log_det_jacobian(self, y):
        return tf.zeros(y.shape[:-1])


def test_functions_branches_and_loops_are_looked_into():
    base = tfd.MultivariateNormalDiag(tf.zeros(4), tf.ones(4))
    model = nvp.FlowModel(tfd.TransformedDistribution(base, InFunctions()))
    products = 3 * 2 * 4 * 4
    assert measure_cost(model, batch_size=5).log_prob_flops == products


def test_weights_and_latents_are_counted():
    model = image_model(num_scales=2)
    cost = measure_cost(model, batch_size=2)
    assert cost.parameters + cost.other_weights == model.count_params()
    assert cost.parameters == sum(np.prod(v.shape) for v in model.trainable_variables)
    assert cost.latent_shapes == ((4, 4, 2), (4, 4, 2))
    lines = str(cost).splitlines()
    assert lines[0].startswith(f"parameters: {cost.parameters:,}, and ")
    assert "MFLOP for log_prob" in lines[1]
    assert lines[2] == "latents, finest first: 4 x 4 x 2, 4 x 4 x 2"
    labelled = measure_cost(vector_model(condition_size=10), batch_size=2)
    assert labelled.latent_shapes == ((3,),)
