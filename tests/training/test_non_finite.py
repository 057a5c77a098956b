import keras
import numpy as np
import pytest
import tensorflow as tf
import tensorflow_probability as tfp
from small_model import assert_same, new_image_model, state, vector_model, vectors

import tfp_realnvp as nvp
from tfp_realnvp.training.non_finite import part_names

tfd = tfp.distributions


def spoiled(*numbers, by=np.nan):
    # A data set: arrays are looked through before training.
    x = vectors()
    x[list(numbers)] = by
    return tf.data.Dataset.from_tensor_slices(x).batch(16)


def test_a_bad_example_stops_training_and_leaves_the_weights_of_the_step_before():
    model, reference = vector_model(), vector_model()
    reference.fit(vectors()[:32], batch_size=16, shuffle=False, verbose=0)
    message = "step 3: .*1 of the 16 examples hold NaN.*number 5 of the batch"
    with pytest.raises(FloatingPointError, match=message):
        model.fit(spoiled(37), verbose=0)
    assert_same(state(model), state(reference))
    assert model.step == 2


@pytest.mark.parametrize(
    ("kind", "options"),
    [
        ("Adam", {}),
        ("Adam", {"global_clipnorm": 1.0}),
        ("Adam", {"use_ema": True}),
        ("AdamW", {}),
        ("SGD", {"momentum": 0.9}),
    ],
    ids=["Adam", "clipping", "averaging", "AdamW", "SGD"],
)
def test_a_bad_example_can_be_skipped_as_if_it_had_not_been_there(kind, options, capfd):
    model, reference = vector_model(), vector_model()
    for each, choice in ((model, "skip"), (reference, "stop")):
        optimizer = getattr(keras.optimizers, kind)(1e-2, **options)
        each.compile(optimizer, on_non_finite=choice)
    history = model.fit(spoiled(20), verbose=0).history
    kept = np.concatenate([vectors()[:16], vectors()[32:]])
    expected = reference.fit(kept, batch_size=16, shuffle=False, verbose=0).history
    assert_same(state(model), state(reference))
    assert history == expected
    assert (model.skipped_steps, model.step) == (1, 4)
    assert "step 2: " in capfd.readouterr().err


def test_training_gives_up_when_too_many_steps_in_a_row_are_bad():
    model = vector_model(on_non_finite="skip", max_skipped_in_a_row=3)
    # Good steps between bad ones are not in a row.
    model.fit(spoiled(0, 32, by=np.inf), verbose=0)
    assert model.skipped_steps == 2
    before = state(model)
    with pytest.raises(FloatingPointError, match="step 3 in a row"):
        model.fit(spoiled(*range(64)), verbose=0)
    assert_same(state(model), before)


def layer_named_in(message, model):
    name = message.split("arose in ")[1].split(" (")[0]
    return eval(name, {"flow": model.flow})


def test_the_layer_is_named_whose_output_is_not_finite():
    model = vector_model()
    layers = [
        part
        for part, name in part_names(model.flow)
        if type(part).__name__ == "Dense" and "bijectors[2]" in name
    ]
    # Finite, but not after the product with a second kernel as large.
    for layer in layers[:2]:
        layer.kernel.assign(tf.fill(layer.kernel.shape, 1e25))
    with pytest.raises(FloatingPointError) as error:
        model.fit(vectors(), batch_size=16, verbose=0)
    assert layer_named_in(str(error.value), model) is layers[1]
    assert "(Dense)" in str(error.value)


def test_a_weight_that_is_not_finite_is_named():
    model = vector_model()
    model.trainable_variables[3].assign(model.trainable_variables[3] * np.nan)
    with pytest.raises(FloatingPointError, match="is not finite before the step"):
        model.fit(vectors(), batch_size=16, verbose=0)


class Root(keras.layers.Layer):
    """Finite at 0, with a gradient that is not."""

    def build(self, inputs_shape):
        self.weight = self.add_weight(shape=(), initializer="zeros", name="weight")
        self.built = True

    def call(self, inputs, training=False):
        return inputs, tf.sqrt(tf.convert_to_tensor(self.weight)) * inputs


def test_the_layer_is_named_whose_gradient_is_not_finite():
    bad, mask = Root(), np.array([True, False])
    coupling = nvp.AffineCoupling((2,), bad, mask)
    flow = vector_model().flow
    chain = nvp.FusedChain([flow.bijector.body.bijectors[0], coupling])
    model = nvp.FlowModel(tfd.TransformedDistribution(flow.distribution, chain))
    model.compile()
    with pytest.raises(FloatingPointError, match="a gradient is not finite") as error:
        model.fit(vectors(), batch_size=16, verbose=0)
    assert layer_named_in(str(error.value), model) is bad.weight


def test_bad_images_are_for_the_guard_in_training_and_an_error_elsewhere():
    model = new_image_model()
    model.compile(on_non_finite="skip")
    x = np.full([32, 4, 4, 1], 100.0, "float32")
    x += np.random.default_rng(0).normal(scale=20, size=x.shape)
    x[3, 1, 2] = np.nan
    data = tf.data.Dataset.from_tensor_slices(x).batch(8)
    model.fit(data, verbose=0)
    assert model.skipped_steps == 1
    assert all(np.all(np.isfinite(v)) for v in model.get_weights())
    with pytest.raises(tf.errors.InvalidArgumentError, match="expected pixels"):
        model.evaluate(data, verbose=0)


def test_parts_that_are_not_ours_are_not_taken_for_ours():
    flow = vector_model().flow
    chain = tfp.bijectors.Chain([tfp.bijectors.Exp(), flow.bijector])
    model = nvp.FlowModel(tfd.TransformedDistribution(flow.distribution, chain))
    model.compile()
    with pytest.raises(FloatingPointError, match="it arose before flow.bijector"):
        model.fit(np.full([8, 2], -1.0, "float32"), verbose=0)


def test_what_the_guard_does_not_go_with_is_named():
    scaled = keras.optimizers.LossScaleOptimizer(keras.optimizers.Adam())
    with pytest.raises(ValueError, match="optimizer: expected one without loss scal"):
        vector_model().compile(scaled)
    with pytest.raises(ValueError, match="max_skipped_in_a_row: expected a positive"):
        vector_model().compile(max_skipped_in_a_row=0)


def test_what_replicas_cannot_do_is_said_before_training():
    flow = vector_model().flow
    with tf.distribute.MirroredStrategy(["CPU:0"]).scope():
        model = nvp.FlowModel(tfd.Normal(tf.Variable(0.0), 1.0))
        optimizer = keras.optimizers.Adam(gradient_accumulation_steps=2)
        with pytest.raises(ValueError, match="scope"):
            nvp.FlowModel(flow).compile()
    with pytest.raises(ValueError, match="where Keras cannot accumulate gradients"):
        model.compile(optimizer)
    model.compile()
