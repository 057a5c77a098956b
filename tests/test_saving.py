"""Saved and read in another process, every format gives the very same densities."""

import functools
import pathlib
import subprocess
import sys

import keras
import numpy as np
import pytest
import saved_flows
import tensorflow as tf
import tensorflow_probability as tfp

import tfp_realnvp as nvp

tfd = tfp.distributions

# One worker makes the files for all.
pytestmark = pytest.mark.xdist_group("saving")


@pytest.fixture(scope="module")
def saved(tmp_path_factory):
    directory = tmp_path_factory.mktemp("saved")
    expected = {name: saved_flows.save(name, directory) for name in saved_flows.FLOWS}
    script = pathlib.Path(saved_flows.__file__)
    result = subprocess.run(
        [sys.executable, script, directory], capture_output=True, text=True
    )
    assert result.returncode == 0, result.stderr
    with np.load(directory / "log_probs.npz") as found:
        return expected, dict(found), directory


@functools.cache
def untrained(name):
    flow = saved_flows.FLOWS[name](seed=1)
    return saved_flows.log_prob(flow, *saved_flows.examples(name))


@pytest.mark.parametrize("kind", ["checkpoint", "weights", "keras", "saved_model"])
@pytest.mark.parametrize("name", saved_flows.FLOWS)
def test_a_fresh_process_gets_bit_identical_densities(saved, name, kind):
    expected, found, _ = saved
    mode = "graph" if kind == "saved_model" else "eager"
    np.testing.assert_array_equal(found[f"{name}/{kind}"], expected[name][mode])
    assert not np.array_equal(untrained(name), expected[name][mode])


def test_training_goes_on_from_a_keras_file_as_if_never_stopped(saved):
    _, _, directory = saved
    models = [keras.saving.load_model(directory / "vector.keras") for _ in range(2)]
    x = saved_flows.examples("vector")[0]
    assert models[0].optimizer.iterations == 2
    models[0].fit(x, epochs=1, verbose=0)
    models[0].save(directory / "again.keras")
    again = keras.saving.load_model(directory / "again.keras")
    again.fit(x, epochs=1, verbose=0)
    models[1].fit(x, epochs=2, verbose=0)
    np.testing.assert_array_equal(
        again.predict(x, verbose=0), models[1].predict(x, verbose=0)
    )


def test_what_is_not_written_leaves_the_old_file_as_it_was(saved, tmp_path):
    _, _, directory = saved
    path = tmp_path / "model.keras"
    path.write_text("old")
    flow = nvp.RealNVPBijector((2,), num_couplings=2, activation=lambda x: tf.sin(x))
    base = tfd.Sample(tfd.Normal(0.0, 1.0), 2)
    unnamed = nvp.FlowModel(tfd.TransformedDistribution(base, flow))
    with pytest.raises(TypeError, match="flow.bijector.conditioner.activation: expec"):
        unnamed.save(path)
    model = keras.saving.load_model(directory / "mixture.keras")
    with pytest.raises(FileExistsError, match="filepath: expected a new file"):
        model.save(path, overwrite=False)
    assert path.read_text() == "old" and list(tmp_path.iterdir()) == [path]
    model.save(path)
    assert path.read_bytes().startswith(b"PK")


def test_how_a_model_was_compiled_is_saved(saved, tmp_path):
    _, _, directory = saved
    model = keras.saving.load_model(directory / "vector.keras", safe_mode=True)
    assert isinstance(model.optimizer, keras.optimizers.Adam) and not model.jit_compile
    model.compile(keras.optimizers.SGD(0.25), steps_per_execution=2, jit_compile=True)
    model.save(tmp_path / "model.keras")
    again = keras.saving.load_model(tmp_path / "model.keras")
    assert again.optimizer.learning_rate == 0.25
    assert again.steps_per_execution == 2 and again.jit_compile
