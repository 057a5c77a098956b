import keras
import numpy as np
import pytest
import tensorflow as tf

from tfp_realnvp.training.update import fused

OPTIMIZERS = {
    "Adam": lambda: keras.optimizers.Adam(0.1),
    "Adam, other settings": lambda: keras.optimizers.Adam(
        0.1, beta_1=0.5, beta_2=0.8, epsilon=0.1
    ),
    "Adam that clips": lambda: keras.optimizers.Adam(0.1, global_clipnorm=0.5),
    "Adam that need not clip": lambda: keras.optimizers.Adam(0.1, global_clipnorm=1e3),
    "Adam that clips each": lambda: keras.optimizers.Adam(0.1, clipnorm=0.1),
    "Adam with a schedule": lambda: keras.optimizers.Adam(
        keras.optimizers.schedules.ExponentialDecay(0.1, 1, 0.5)
    ),
    "Adam that accumulates": lambda: keras.optimizers.Adam(
        0.1, gradient_accumulation_steps=2, global_clipnorm=0.5
    ),
    "Adam that averages": lambda: keras.optimizers.Adam(
        0.1, use_ema=True, ema_overwrite_frequency=3
    ),
    "Adam, amsgrad": lambda: keras.optimizers.Adam(0.1, amsgrad=True),
    "AdamW": lambda: keras.optimizers.AdamW(0.1, weight_decay=0.1),
    "SGD that clips": lambda: keras.optimizers.SGD(0.1, global_clipnorm=0.5),
    "Nadam": lambda: keras.optimizers.Nadam(0.1),
}


def make_variables(dtype):
    rng = np.random.default_rng(0)
    return [
        keras.Variable(rng.normal(size=shape), dtype=dtype) for shape in [(3, 2), (4,)]
    ]


def make_gradients(step, dtype):
    rng = np.random.default_rng(step + 1)
    return [tf.constant(rng.normal(size=s), dtype) for s in [(3, 2), (4,)]]


def train(optimizer, dtype, *, with_fused, wrap, steps=5):
    """Returns what becomes of the variables and of the optimizer's state."""
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
    ours = train(OPTIMIZERS[name](), dtype, with_fused=True, wrap=wrap)
    keras_alone = train(OPTIMIZERS[name](), dtype, with_fused=False, wrap=tf.function)
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
    optimizer = keras.optimizers.Adam(lr)
    ours = train(optimizer, "float64", with_fused=True, wrap=tf.function)
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


def test_the_optimizer_is_itself_again_afterwards():
    optimizer = keras.optimizers.Adam(0.1, global_clipnorm=1.0)
    variables = make_variables("float32")
    optimizer.build(variables)
    with pytest.raises(RuntimeError), fused(optimizer, tf.constant(1.0)):
        assert "update_step" in vars(optimizer)
        raise RuntimeError
    assert not {"update_step", "_clip_gradients"} & set(vars(optimizer))
