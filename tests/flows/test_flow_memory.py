"""Flows that keep no activations: what they take, and that they stay what they are."""

import pathlib

import keras
import numpy as np
import pytest
import tensorflow as tf
import tensorflow_probability as tfp
from constructors import perturb
from copies import every_copy
from workers import finish, start

import tfp_realnvp as nvp
from tfp_realnvp.flows.config import from_config, to_config
from tfp_realnvp.training.cost import measure_cost

tfd = tfp.distributions

SCRIPT = pathlib.Path(__file__).with_name("memory_run.py")
SIZES = {"event_shape": (4,), "num_couplings": 4, "hidden_units": (8,)}


def model_of(memory, num_couplings=4):
    sizes = {**SIZES, "num_couplings": num_couplings, "batch_norm": "batch"}
    bijector = nvp.RealNVPBijector(**sizes, seed=0, memory=memory)
    base = tfd.Sample(tfd.Normal(0.0, 1.0), 4)
    model = nvp.FlowModel(tfd.TransformedDistribution(base, bijector), seed=0)
    model.compile(keras.optimizers.Adam(1e-2))
    return model


def data():
    x = np.random.default_rng(0).normal(size=(64, 4)).astype("float32")
    return np.cumsum(x, axis=1)


def memory_of(distribution):
    return distribution.bijector.parameters["memory"]


def test_a_model_trains_as_with_stored_activations():
    stored, recomputed = (model_of(m) for m in ("stored", "recompute"))
    histories = [
        m.fit(data(), epochs=5, verbose=0).history["loss"] for m in (stored, recomputed)
    ]
    assert histories[0][-1] < histories[0][0]
    np.testing.assert_allclose(histories[1], histories[0], rtol=1e-4)
    for a, b in zip(recomputed.weights, stored.weights, strict=True):
        np.testing.assert_allclose(a.numpy(), b.numpy(), atol=1e-3)


def test_densities_and_samples_are_the_same():
    stored, recomputed = (model_of(m).flow for m in ("stored", "recompute"))
    np.testing.assert_array_equal(recomputed.log_prob(data()), stored.log_prob(data()))
    np.testing.assert_array_equal(
        recomputed.sample(3, seed=(0, 1)), stored.sample(3, seed=(0, 1))
    )


def test_a_model_comes_back_from_its_file(tmp_path):
    model = model_of("recompute")
    model.fit(data(), verbose=0)
    model.save(tmp_path / "model.keras")
    again = keras.saving.load_model(tmp_path / "model.keras")
    assert memory_of(again.flow) == "recompute"
    np.testing.assert_array_equal(
        again.predict(data(), verbose=0), model.predict(data(), verbose=0)
    )


def test_configurations_from_before_there_was_a_choice_store():
    config = to_config(nvp.RealNVPBijector(**SIZES))
    assert "memory" not in config["of"]
    assert from_config(config).parameters["memory"] == "stored"


@every_copy
def test_a_copy_recomputes_too(how):
    bijector = nvp.RealNVPBijector(**SIZES, seed=0, memory="recompute")
    perturb(bijector)
    twin = how(bijector)
    for variable, value in zip(twin.variables, bijector.variables, strict=True):
        variable.assign(value)
    assert twin.parameters["memory"] == "recompute"
    np.testing.assert_array_equal(twin.forward(data()), bijector.forward(data()))


def test_a_copy_with_other_memory_shares_the_weights():
    bijector = nvp.RealNVPBijector(**SIZES, seed=0)
    twin = bijector.copy(memory="recompute")
    assert twin.body is bijector.body
    assert twin.parameters["memory"] == "recompute"
    assert bijector.parameters["memory"] == "stored"


def test_a_flow_that_recomputes_can_be_exported(tmp_path):
    flow = model_of("recompute").flow
    nvp.export_saved_model(flow, tmp_path / "served")
    served = tf.saved_model.load(str(tmp_path / "served"))
    found = served.signatures["serving_default"](x=tf.constant(data()))["log_prob"]
    np.testing.assert_allclose(found, flow.log_prob(data()), rtol=1e-5)


def test_what_is_not_kept_is_computed_again():
    stored, recomputed = (
        measure_cost(model_of(memory), 100).training_flops
        for memory in ("stored", "recompute")
    )
    # Forward, forward again, and twice as much backward.
    assert 1.2 < recomputed / stored < 1.5


def test_memory_in_training_does_not_grow_with_the_couplings():
    # In MiB; the activations of one coupling are more than 100.
    few, many = (float(finish(start(SCRIPT, n)).split()[-1]) for n in (2, 6))
    assert many < few + 150


@pytest.mark.parametrize("memory", ["x", None, True])
def test_other_values_are_refused(memory):
    message = 'memory: expected "stored" or "recompute", got '
    with pytest.raises(ValueError, match=message):
        nvp.RealNVPBijector((2,), memory=memory)
