import functools

import keras
import numpy as np
import pytest
import tensorflow as tf
import tensorflow_probability as tfp

import tfp_realnvp as nvp
from tfp_realnvp.training.cost import measure_cost
from tfp_realnvp.training.parts import keras_layers

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


def layers_inside(model, kind):
    layers = {
        id(layer): layer
        for top in keras_layers(model.flow)
        for layer in top._flatten_layers()
    }
    return [layer for layer in layers.values() if isinstance(layer, kind)]


def test_operations_of_an_image_flow_are_those_of_its_convolutions():
    model = image_model()
    kernels = [
        layer.direction.shape for layer in layers_inside(model, nvp.WeightNormConv2D)
    ]
    assert len(kernels) > 10
    cost = image_cost()
    assert cost.log_prob_flops == sum(2 * 8 * 8 * np.prod(shape) for shape in kernels)


def test_operations_of_a_vector_flow_are_those_of_its_dense_layers():
    model = vector_model()
    kernels = [layer.kernel.shape for layer in layers_inside(model, keras.layers.Dense)]
    assert len(kernels) == 6 * 3
    cost = measure_cost(model, batch_size=3)
    assert cost.log_prob_flops == sum(2 * np.prod(shape) for shape in kernels)


def vector_cost():
    return measure_cost(vector_model(), batch_size=4)


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
    assert measure_cost(vector_model(), batch_size=2).latent_shapes == ((3,),)


def test_memory_is_that_of_weights_optimizer_gradients_and_activations():
    model = image_model()
    cost = measure_cost(model, batch_size=2)
    assert cost.optimizer_bytes == 0
    assert cost.gradient_bytes == 4 * cost.parameters
    model.compile()
    compiled = measure_cost(model, batch_size=2)
    # Adam's two moments and two numbers.
    assert 0 <= compiled.optimizer_bytes - 8 * cost.parameters <= 16
    model.compile(average_decay=0.9)
    averaged = measure_cost(model, batch_size=2)
    assert averaged.optimizer_bytes > compiled.optimizer_bytes + cost.weight_bytes - 8
    assert cost.memory_bytes == (
        cost.weight_bytes + cost.gradient_bytes + cost.activation_bytes
    )


class SquaredTanh(tfd.Distribution):
    """No density, but one whose backward pass is short."""

    def __init__(self):
        super().__init__(
            tf.float32, tfd.NOT_REPARAMETERIZED, False, True, name="squared"
        )
        self.scale = tf.Variable(1.0)

    def _event_shape(self):
        return tf.TensorShape([1000])

    def _log_prob(self, x):
        return -tf.reduce_sum(tf.square(tf.identity(tf.tanh(self.scale * x))), axis=-1)


def test_activations_are_what_the_backward_pass_takes_from_the_forward_pass():
    cost = measure_cost(nvp.FlowModel(SquaredTanh()), batch_size=2)
    # The square and the tanh both need the tanh, and the product needs the data.
    assert cost.activation_bytes == 2 * 1000 * 4
    assert cost.latent_shapes == ()


def test_activations_grow_with_the_batch_and_shrink_in_bfloat16():
    small = measure_cost(image_model(filters=16), batch_size=4).activation_bytes
    large = measure_cost(image_model(filters=16), batch_size=8).activation_bytes
    assert 1.8 * small < large < 2 * small
    half = image_model(filters=16, network_dtype="mixed_bfloat16")
    assert measure_cost(half, batch_size=8).activation_bytes < 0.7 * large


def test_measuring_changes_nothing():
    model = image_model()
    model.compile()
    variables = [
        *model.variables,
        *model.non_trainable_state,
        *model.optimizer.variables,
    ]
    before = [v.numpy() for v in variables]
    measure_cost(model, batch_size=2)
    for variable, value in zip(variables, before, strict=True):
        np.testing.assert_array_equal(variable.numpy(), value)


def test_costs_are_told_with_units():
    model = image_model(num_scales=2, filters=8)
    model.compile()
    cost = measure_cost(model, batch_size=64)
    lines = cost.lines()
    assert lines[0].startswith(f"parameters: {cost.parameters:,}, and ")
    assert lines[1] == "latents, finest first: 4 x 4 x 2, 4 x 4 x 2"
    assert "MFLOP for log_prob" in lines[2]
    assert lines[3].startswith("memory with batches of 64, at least: ")
    assert lines[3].count("MiB") == 2
    assert lines[3].count("KiB") == 3


def test_batches_of_nothing_are_refused():
    with pytest.raises(ValueError, match="batch_size: expected a positive int, got 0"):
        measure_cost(vector_model(), batch_size=0)
