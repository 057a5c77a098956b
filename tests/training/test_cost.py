import functools

import keras
import numpy as np
import pytest
import tensorflow as tf
import tensorflow_probability as tfp
from small_model import conditional_model, new_image_model

import tfp_realnvp as nvp
from tfp_realnvp.training.cost import measure_cost
from tfp_realnvp.training.flow_layer import keras_layers

tfb = tfp.bijectors
tfd = tfp.distributions


@functools.cache
def measured(kind):
    """Returns a model and what it costs."""
    if kind == "image":
        model = new_image_model(event_shape=(8, 8, 1), num_scales=2)
    else:
        condition_size = 10 if kind == "conditional" else None
        model = conditional_model(hidden_units=(8, 5), condition_size=condition_size)
    return model, measure_cost(model, batch_size=3)


def layers_inside(model, kind):
    tops = keras_layers(model.flow)
    layers = {id(layer): layer for top in tops for layer in top._flatten_layers()}
    return [layer for layer in layers.values() if isinstance(layer, kind)]


def test_operations_are_those_of_dense_layers_and_convolutions():
    model, cost = measured("vector")
    kernels = [layer.kernel for layer in layers_inside(model, keras.layers.Dense)]
    assert cost.log_prob_flops == sum(2 * np.prod(kernel.shape) for kernel in kernels)
    model = new_image_model()
    kernels = [v.direction for v in layers_inside(model, nvp.WeightNormConv2D)]
    expected = sum(2 * 4 * 4 * np.prod(kernel.shape) for kernel in kernels)
    assert measure_cost(model, batch_size=3).log_prob_flops == expected


@pytest.mark.parametrize("kind", ["image", "vector"])
def test_training_takes_three_times_the_operations_of_a_log_prob(kind):
    cost = measured(kind)[1]
    # Nobody asks for gradients by the data, which saves the first layer a product.
    assert 2.5 < cost.training_flops / cost.log_prob_flops <= 3


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
    assert measure_cost(model, batch_size=5).log_prob_flops == 3 * 2 * 4 * 4


def test_weights_and_latents_are_counted():
    model, cost = measured("image")
    assert cost.parameters + cost.other_weights == model.count_params()
    assert cost.parameters == sum(np.prod(v.shape) for v in model.trainable_variables)
    assert cost.latent_shapes == ((4, 4, 2), (4, 4, 2))
    lines = str(cost).splitlines()
    assert lines[0].startswith(f"parameters: {cost.parameters:,}, and ")
    assert "MFLOP for log_prob" in lines[1]
    assert lines[2] == "latents, finest first: 4 x 4 x 2, 4 x 4 x 2"
    plain, conditional = (measured(kind)[1] for kind in ("vector", "conditional"))
    assert conditional.latent_shapes == ((2,),)
    assert conditional.log_prob_flops > plain.log_prob_flops
