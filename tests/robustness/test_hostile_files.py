"""Files made to run code when they are loaded run none."""

import io
import json
import pathlib
import pickle
import shutil
import zipfile

import keras
import numpy as np
import pytest
import small_subjects as small
import tensorflow as tf

import tfp_realnvp as nvp
from tfp_realnvp.cli import main
from tfp_realnvp.flows.config import from_config
from tfp_realnvp.runs.checkpoint import load_checkpoint
from tfp_realnvp.runs.run_directory import RunDirectory


class Payload:
    """Pickled, it makes a file when it is read."""

    def __init__(self, marker):
        self.marker = str(marker)

    def __reduce__(self):
        return (exec, (f"open({self.marker!r}, 'w').close()",))


@pytest.fixture
def marker(tmp_path):
    """The file that hostile code would make."""
    return tmp_path / "marker"


def lambda_layer(marker):
    """The configuration of a layer that holds Python code."""
    code = f"lambda x: (open({str(marker)!r}, 'w').close(), x)[1]"
    return keras.saving.serialize_keras_object(keras.layers.Lambda(eval(code)))


def test_the_code_in_these_files_would_work(marker):
    pickle.loads(pickle.dumps(Payload(marker)))
    marker.unlink()
    read = keras.saving.deserialize_keras_object
    read(lambda_layer(marker), safe_mode=False)(np.zeros([1, 2]))
    assert marker.exists()


@pytest.mark.parametrize("of", ["progress", "weights/0", "unknown", "the file"])
def test_a_pickle_in_a_checkpoint_is_not_read(of, tmp_path, marker):
    path = tmp_path / "checkpoint.npz"
    if of == "the file":
        path.write_bytes(pickle.dumps(Payload(marker)))
    else:
        with np.load(small.run_path() / "checkpoint.npz") as file:
            values = {name: file[name] for name in file.files}
        np.savez(path, **{**values, of: np.array([Payload(marker)], dtype=object)})
    with pytest.raises(ValueError, match="checkpoint: .* is damaged or no checkpoint"):
        load_checkpoint(path, small.run_model())
    assert not marker.exists()


def test_a_checkpoint_that_promises_more_than_memory_is_refused_unread(tmp_path):
    path = tmp_path / "checkpoint.npz"
    shutil.copy(small.run_path() / "checkpoint.npz", path)
    header = io.BytesIO()
    fields = {"descr": "<f4", "fortran_order": False, "shape": (10**13,)}
    np.lib.format.write_array_header_1_0(header, fields)
    with zipfile.ZipFile(path, "a") as file:
        file.writestr("huge.npy", header.getvalue())
    with pytest.raises(ValueError, match="checkpoint: .*damaged"), small.time_limit(20):
        load_checkpoint(path, small.run_model())


def put_into_flow(config, code):
    config["config"]["flow"]["of"]["bijector"]["of"]["activation"] = code


def put_in_the_place_of_the_flow(config, code):
    config["config"]["flow"] = code


def put_in_the_place_of_the_model(config, code):
    config.clear()
    config.update(code["of"])


@pytest.mark.parametrize(
    "put", [put_into_flow, put_in_the_place_of_the_flow, put_in_the_place_of_the_model]
)
def test_code_in_a_keras_file_is_refused(put, tmp_path, marker):
    good, path = tmp_path / "good.keras", tmp_path / "model.keras"
    small.model(small.vectors()).save(good)
    with zipfile.ZipFile(good) as file, zipfile.ZipFile(path, "w") as changed:
        for name in file.namelist():
            contents = file.read(name)
            if name == "config.json":
                config = json.loads(contents)
                put(config, {"type": "layer", "of": lambda_layer(marker)})
                contents = json.dumps(config)
            changed.writestr(name, contents)
    with pytest.raises((ValueError, TypeError), match="unsafe|safe_mode|safe mode"):
        keras.saving.load_model(path)
    assert not marker.exists()


def named(space, name):
    return {"type": "object", "space": space, "name": name, "of": {"command": "true"}}


def layer(module, name, kind="layer"):
    of = {"module": module, "class_name": name, "config": "true"}
    return {"type": kind, "of": {**of, "registered_name": None}}


NO_FLOWS = [
    named("tfb", "__import__"),
    named("tfb", "__builtins__"),
    named("tfb", "masked_autoregressive_default_template"),
    named("tfd", "__loader__"),
    named("tfd", "kl_divergence"),
    named("tfd", "RegisterKL"),
    named("tfp_realnvp", "__class__"),
    named("tfp_realnvp", "checkerboard_mask"),
    named("builtins", "eval"),
    named("os", "system"),
    named("__dict__", "x"),
    *({"type": kind, "of": "x"} for kind in ("__class__", "__init__", "", None, 3)),
    layer("os", "system"),
    layer("builtins", "eval"),
    layer("subprocess", "Popen", "activation"),
    layer("keras.utils", "get_file"),
    layer("keras.config", "enable_unsafe_deserialization", "activation"),
]


@pytest.mark.parametrize("config", NO_FLOWS, ids=str)
def test_a_configuration_reaches_public_classes_alone(config):
    with pytest.raises(ValueError, match="flow: expected"):
        from_config(config)


def test_a_configuration_nested_without_end_is_refused():
    config = []
    for _ in range(100_000):
        config = {"type": "list", "of": [config]}
    with pytest.raises(ValueError, match="flow: expected a configuration of a flow"):
        from_config(config)


@pytest.mark.parametrize(
    ("name", "error"),
    [("filters", tf.errors.ResourceExhaustedError), ("num_blocks", ValueError)],
)
def test_a_run_that_asks_for_all_memory_fails_at_once(name, error, tmp_path):
    run = RunDirectory(small.copy_of_run(tmp_path, **{name: 10**9}))
    with pytest.raises(error), small.time_limit(20):
        run.load_model()


@pytest.mark.parametrize("command", ["sample", "evaluate", "figures", "gallery"])
@pytest.mark.parametrize(
    "change",
    [{"unknown": 1}, {"event_shape": 3}, {"base": "tfd.Normal"}, {"filters": 10**30}],
    ids=str,
)
def test_a_damaged_configuration_ends_a_command_with_a_line(
    command, change, tmp_path, monkeypatch, capsys
):
    path = small.copy_of_run(tmp_path, **change)
    monkeypatch.chdir(tmp_path)
    before = sorted(tmp_path.rglob("*"))
    assert main([command, str(path)]) == 2
    assert f"tfp-realnvp {command}: error: " in capsys.readouterr().err
    assert sorted(tmp_path.rglob("*")) == before


def test_weights_that_are_not_finite_are_refused(tmp_path):
    run = RunDirectory(small.copy_of_run(tmp_path))
    model = run.load_model()
    variable = model.trainable_variables[0]
    variable.assign(np.full(variable.shape, np.nan))
    model.save_weights(run.weights())
    with pytest.raises(ValueError, match="run: .* is damaged: .* holds NaN"):
        run.load_model()


def test_no_loader_of_the_package_unpickles():
    package = pathlib.Path(nvp.__file__).parent
    for path in package.rglob("*.py"):
        text = path.read_text(encoding="utf-8")
        for word in ("pickle.load", "allow_pickle=True", "safe_mode=False", "eval("):
            assert word not in text, (path, word)
