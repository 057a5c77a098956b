import keras
import numpy as np
import pytest
import tensorflow as tf
from small_model import assert_same, new_image_model, state, vector_model, vectors

from tfp_realnvp.training.update import fused

DECAY = keras.optimizers.schedules.ExponentialDecay(0.1, 1, 0.5)
OPTIMIZERS = {
    "Adam": ("Adam", {}),
    "Adam, other settings": ("Adam", {"beta_1": 0.5, "beta_2": 0.8, "epsilon": 0.1}),
    "Adam that clips": ("Adam", {"global_clipnorm": 0.5}),
    "Adam that need not clip": ("Adam", {"global_clipnorm": 1e3}),
    "Adam that clips each": ("Adam", {"clipnorm": 0.1}),
    "Adam with a schedule": ("Adam", {"learning_rate": DECAY}),
    "Adam that accumulates": (
        "Adam",
        {"gradient_accumulation_steps": 2, "global_clipnorm": 0.5},
    ),
    "Adam that averages": ("Adam", {"use_ema": True, "ema_overwrite_frequency": 3}),
    "Adam, amsgrad": ("Adam", {"amsgrad": True}),
    "AdamW": ("AdamW", {"weight_decay": 0.1}),
    "SGD that clips": ("SGD", {"global_clipnorm": 0.5}),
    "Nadam": ("Nadam", {}),
}


def make_variables(dtype):
    rng = np.random.default_rng(0)
    return [
        keras.Variable(rng.normal(size=shape), dtype=dtype) for shape in [(3, 2), (4,)]
    ]


def make_gradients(step, dtype):
    rng = np.random.default_rng(step + 1)
    return [tf.constant(rng.normal(size=s), dtype) for s in [(3, 2), (4,)]]


def train(name, dtype, *, with_fused, wrap, steps=5):
    """Returns what becomes of the variables and of the optimizer's state."""
    kind, options = OPTIMIZERS[name]
    optimizer = getattr(keras.optimizers, kind)(**{"learning_rate": 0.1, **options})
    variables = make_variables(dtype)
    optimizer.build(variables)

    def step(*gradients):
        if with_fused:
            with fused(optimizer, tf.linalg.global_norm(gradients)):
                optimizer.apply(gradients, variables)
        else:
            optimizer.apply(gradients, variables)

    step = wrap(step)
    for i in range(steps):
        step(*make_gradients(i, dtype))
    return [keras.ops.convert_to_numpy(v) for v in (*variables, *optimizer.variables)]


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize(
    "wrap",
    [lambda f: f, tf.function, lambda f: tf.function(f, jit_compile=True)],
    ids=["eager", "graph", "XLA"],
)
@pytest.mark.parametrize("name", OPTIMIZERS)
def test_training_ends_where_keras_alone_ends(name, wrap, dtype):
    ours = train(name, dtype, with_fused=True, wrap=wrap)
    keras_alone = train(name, dtype, with_fused=False, wrap=tf.function)
    for a, b in zip(ours, keras_alone, strict=True):
        # Keras rounds beta_2 to float32, also in float64, and has three or four digits
        # of 1 - beta_2 ** t left at the start.
        np.testing.assert_allclose(a, b, rtol=1e-4, atol=1e-5)


def test_float64_follows_the_formula_to_the_last_digits():
    lr, beta_1, beta_2, epsilon = 0.1, 0.9, 0.999, 1e-7
    expected = [v.numpy() for v in make_variables("float64")]
    m, v = [[np.zeros_like(x) for x in expected] for _ in range(2)]
    for t in range(1, 6):
        for i, g in enumerate(make_gradients(t - 1, "float64")):
            m[i] += (1 - beta_1) * (g.numpy() - m[i])
            v[i] += (1 - beta_2) * (g.numpy() ** 2 - v[i])
            rate = lr * np.sqrt(1 - beta_2**t) / (1 - beta_1**t)
            expected[i] -= rate * m[i] / (np.sqrt(v[i]) + epsilon)
    ours = train("Adam", "float64", with_fused=True, wrap=tf.function)
    for a, b in zip(ours, expected, strict=False):
        # The learning rate is a float32 variable of Keras's.
        np.testing.assert_allclose(a, b, rtol=1e-7, atol=1e-8)


def test_adam_takes_one_operation_for_each_variable():
    optimizer = keras.optimizers.Adam(0.1, global_clipnorm=1.0)
    variables = make_variables("float32")
    optimizer.build(variables)

    @tf.function
    def step(*gradients):
        with fused(optimizer, tf.linalg.global_norm(gradients)):
            optimizer.apply(gradients, variables)

    graph = step.get_concrete_function(*make_gradients(0, "float32")).graph
    kinds = [op.type for op in graph.get_operations()]
    assert kinds.count("ResourceApplyAdam") == 2
    assert not {"AssignSubVariableOp", "Square"} & set(kinds)
    assert not {"update_step", "_clip_gradients"} & set(vars(optimizer))


def test_the_average_follows_the_weights_as_its_formula_says():
    model = vector_model(average_decay=0.9)
    expected, weights = [v.numpy() for v in model.weights], model.weights
    for step in range(1, 5):
        model.fit(vectors()[:16], batch_size=16, verbose=0)
        decay = min(0.9, (step - 1) / (step + 8))
        expected = [
            decay * old + (1 - decay) * v.numpy()
            for old, v in zip(expected, weights, strict=True)
        ]
    before = state(model)
    with model.averaged_weights():
        for value, average in zip(weights, expected, strict=True):
            np.testing.assert_allclose(value.numpy(), average, rtol=1e-5, atol=1e-6)
    assert_same(state(model), before)


def test_the_weights_come_back_when_something_fails_under_the_average():
    model = vector_model(average_decay=0.9)
    with pytest.raises(ValueError, match="average_decay"), model.averaged_weights():
        pass
    model.fit(vectors(), batch_size=16, verbose=0)
    before = state(model)
    with pytest.raises(KeyError), model.averaged_weights():
        raise KeyError
    assert_same(state(model), before)


def test_a_refused_step_leaves_the_average_as_it_was():
    model = new_image_model()
    model.compile(average_decay=0.9, on_non_finite="skip")
    images = np.random.default_rng(0).integers(0, 256, [8, 4, 4, 1], np.uint8)
    model.fit(images, batch_size=8, epochs=2, verbose=0)
    before = [variable.numpy() for variable in model.average.variables]
    # All normalizations after it see infinite activations.
    weight = model.trainable_variables[0]
    good = tf.identity(weight.value)
    weight.assign(weight * np.inf)
    model.fit(images, batch_size=8, verbose=0)
    weight.assign(good)
    assert model.skipped_steps == 1
    assert_same(model.average.variables, before)
