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
from clear_errors import time_limit

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


def test_the_payload_would_work(marker):
    pickle.loads(pickle.dumps(Payload(marker)))
    assert marker.exists()


def hostile_npz(path, marker, *, of):
    """A copy of a good checkpoint, one of whose arrays is a pickled payload."""
    with np.load(small.run_path() / "checkpoint.npz") as file:
        values = {name: file[name] for name in file.files}
    values[of] = np.array([Payload(marker)], dtype=object)
    np.savez(path, **values)


@pytest.mark.parametrize("of", ["progress", "weights/0", "optimizer/1", "unknown"])
def test_a_pickle_in_a_checkpoint_is_not_read(of, tmp_path, marker):
    path = tmp_path / "checkpoint.npz"
    hostile_npz(path, marker, of=of)
    with pytest.raises(ValueError, match="checkpoint: .* is damaged or no checkpoint"):
        load_checkpoint(path, small.run_model())
    assert not marker.exists()
    with np.load(path, allow_pickle=True) as file:
        file[of]
    assert marker.exists(), "the file was not hostile at all"


def test_a_pickle_in_the_place_of_a_checkpoint_is_not_read(tmp_path, marker):
    path = tmp_path / "checkpoint.npz"
    path.write_bytes(pickle.dumps(Payload(marker)))
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
    with (
        pytest.raises(ValueError, match="checkpoint: .*damaged"),
        time_limit(20),
    ):
        load_checkpoint(path, small.run_model())


def keras_file(path, change):
    """A `.keras` file of a flow whose configuration `change` has changed."""
    good = path.with_name("good.keras")
    small.vector_model().save(good)
    with zipfile.ZipFile(good) as file:
        members = {name: file.read(name) for name in file.namelist()}
    config = json.loads(members["config.json"])
    change(config)
    members["config.json"] = json.dumps(config).encode()
    with zipfile.ZipFile(path, "w") as file:
        for name, contents in members.items():
            file.writestr(name, contents)


def lambda_layer(marker):
    """The configuration of a layer that holds Python code."""
    layer = keras.layers.Lambda(
        eval(f"lambda x: (open({str(marker)!r}, 'w').close(), x)[1]")
    )
    return keras.saving.serialize_keras_object(layer)


def network_of(config):
    """The part of a flow's configuration where a network is told."""
    flow = config["config"]["flow"]
    bijector = flow["of"]["bijector"]
    bijector["of"]["activation"] = None
    return bijector["of"]


def put_into_flow(config, marker):
    network_of(config)["activation"] = {"type": "layer", "of": lambda_layer(marker)}


def put_in_the_place_of_the_flow(config, marker):
    config["config"]["flow"] = {"type": "layer", "of": lambda_layer(marker)}


def put_in_the_place_of_the_model(config, marker):
    config.clear()
    config.update(lambda_layer(marker))


@pytest.mark.parametrize(
    "put", [put_into_flow, put_in_the_place_of_the_flow, put_in_the_place_of_the_model]
)
def test_code_in_a_keras_file_is_refused(put, tmp_path, marker):
    path = tmp_path / "model.keras"
    keras_file(path, lambda config: put(config, marker))
    with pytest.raises((ValueError, TypeError), match="unsafe|safe_mode|safe mode"):
        keras.saving.load_model(path)
    assert not marker.exists()


def test_the_code_in_a_keras_file_would_run_in_unsafe_mode(marker):
    layer = keras.saving.deserialize_keras_object(lambda_layer(marker), safe_mode=False)
    layer(np.zeros([1, 2]))
    assert marker.exists()


NAMES = [
    ("tfb", "__import__"),
    ("tfb", "__builtins__"),
    ("tfb", "inline_mcmc"),
    ("tfb", "masked_autoregressive_default_template"),
    ("tfd", "__loader__"),
    ("tfd", "kl_divergence"),
    ("tfd", "RegisterKL"),
    ("tfp_realnvp", "__class__"),
    ("tfp_realnvp", "checkerboard_mask"),
    ("builtins", "eval"),
    ("os", "system"),
    ("__dict__", "x"),
]


@pytest.mark.parametrize(("space", "name"), NAMES)
def test_no_name_in_a_configuration_reaches_more_than_public_classes(space, name):
    config = {"type": "object", "space": space, "name": name, "of": {"command": "true"}}
    with pytest.raises(ValueError, match="flow: expected a configuration of a flow"):
        from_config(config)


@pytest.mark.parametrize(
    "kind", ["__class__", "__init__", "read", "object__", "", None, 3, ["list"]]
)
def test_no_type_in_a_configuration_reaches_other_methods(kind):
    with pytest.raises(ValueError, match="flow: expected a configuration of a flow"):
        from_config({"type": kind, "of": "x"})


@pytest.mark.parametrize(
    ("module", "name"),
    [
        ("os", "system"),
        ("builtins", "eval"),
        ("subprocess", "Popen"),
        ("keras.utils", "get_file"),
        ("keras.config", "enable_unsafe_deserialization"),
    ],
)
@pytest.mark.parametrize("kind", ["layer", "activation"])
def test_a_layer_of_a_configuration_is_none_of_python(kind, module, name, marker):
    of = {
        "module": module,
        "class_name": name,
        "config": f"touch {marker}",
        "registered_name": None,
    }
    with pytest.raises(ValueError, match="flow: expected"):
        from_config({"type": kind, "of": of})
    assert not marker.exists()


def test_a_configuration_nested_without_end_is_refused():
    config = []
    for _ in range(100_000):
        config = {"type": "list", "of": [config]}
    with pytest.raises(ValueError, match="flow: expected a configuration of a flow"):
        from_config(config)


@pytest.mark.parametrize(
    "change",
    [
        {"filters": 10**9},
        {"num_blocks": 10**9},
        {"num_scales": 10**6},
        {"event_shape": [10**9, 10**9, 3]},
        {"condition_size": 10**13},
    ],
    ids=str,
)
def test_a_run_that_asks_for_all_memory_is_refused_at_once(change, tmp_path):
    path = small.copy_of_run(tmp_path)
    values = json.loads((path / "config.json").read_text())
    values["flow"].update(change)
    (path / "config.json").write_text(json.dumps(values))
    with (
        pytest.raises(ValueError, match=f"{next(iter(change))}: expected"),
        time_limit(20),
    ):
        RunDirectory(path).load_model()


@pytest.mark.parametrize("command", ["sample", "evaluate", "figures", "gallery"])
@pytest.mark.parametrize(
    "change",
    [
        {"unknown": 1},
        {"event_shape": None},
        {"event_shape": 3},
        {"base": "tfd.Normal"},
        {"condition_size": "__import__"},
        {"filters": 10**30},
    ],
    ids=str,
)
def test_a_damaged_configuration_ends_a_command_with_a_line(
    command, change, tmp_path, monkeypatch, capsys
):
    path = small.copy_of_run(tmp_path)
    values = json.loads((path / "config.json").read_text())
    values["flow"].update(change)
    if change == {"event_shape": None}:
        del values["flow"]["event_shape"]
    (path / "config.json").write_text(json.dumps(values))
    monkeypatch.chdir(tmp_path)
    before = sorted(tmp_path.rglob("*"))
    assert main([command, str(path)]) == 2
    assert f"tfp-realnvp {command}: error: " in capsys.readouterr().err
    assert sorted(tmp_path.rglob("*")) == before


def test_weights_that_are_not_finite_are_refused(tmp_path):
    path = small.copy_of_run(tmp_path)
    model = RunDirectory(path).load_model()
    variable = model.trainable_variables[0]
    variable.assign(np.full(variable.shape, np.nan))
    model.save_weights(RunDirectory(path).weights())
    with pytest.raises(ValueError, match="run: .* is damaged: .* holds NaN"):
        RunDirectory(path).load_model()


def test_no_loader_of_the_package_unpickles():
    package = pathlib.Path(nvp.__file__).parent
    sources = {p: p.read_text(encoding="utf-8") for p in package.rglob("*.py")}
    assert len(sources) > 100
    for path, text in sources.items():
        for word in ("pickle.load", "allow_pickle=True", "safe_mode=False", "eval("):
            assert word not in text, (path, word)
