import json
import math
import pathlib

import fresh_process
import numpy as np
import pytest
import saved_flows
import tensorflow as tf
import tensorflow_probability as tfp

import tfp_realnvp as nvp
from tfp_realnvp.flows.config import from_config
from tfp_realnvp.serving.export import METADATA
from tfp_realnvp.serving.signatures import PARAMETERS

tfd = tfp.distributions

MIRROR = """
import sys
import tensorflow as tf

(cpu,) = tf.config.list_physical_devices("CPU")
tf.config.set_logical_device_configuration(
    cpu, 2 * [tf.config.LogicalDeviceConfiguration()]
)
import numpy as np
import saved_flows
from constructors import perturb
import tfp_realnvp as nvp

directory = sys.argv[1]
with tf.distribute.MirroredStrategy(["CPU:0", "CPU:1"]).scope():
    flow = saved_flows.vector(seed=1)
    perturb(flow)
assert "Mirrored" in type(flow.trainable_variables[-1]).__name__
nvp.export_saved_model(flow, directory)
(x,) = saved_flows.examples("vector")
np.savez(directory + ".expected.npz", x=x, log_prob=flow.log_prob(x))
"""


def vector(base=None):
    base = base or tfd.Sample(tfd.Normal(0.0, 1.0), 2)
    flow = nvp.RealNVPBijector((2,), seed=0, **saved_flows.SMALL)
    return tfd.TransformedDistribution(base, flow)


def metadata_of(directory):
    return json.loads((directory / METADATA).read_text())


def test_the_artifact_is_of_the_frozen_flow(tmp_path):
    flow = saved_flows.image(seed=0)
    artifact = tf.saved_model.load(nvp.export_saved_model(flow, tmp_path / "served"))
    all_variables = artifact.flow_variables, nvp.freeze(flow).variables, flow.variables
    found, frozen, live = (sorted(v.numpy().sum() for v in vs) for vs in all_variables)
    np.testing.assert_array_equal(found, frozen)
    assert not np.array_equal(found, live)


def test_a_flow_of_mirrored_variables_is_exported_like_any_other(tmp_path):
    directory = tmp_path / "mirrored"
    fresh_process.run(MIRROR, directory)
    expected = np.load(f"{directory}.expected.npz")
    served = tf.saved_model.load(directory)
    found = served.signatures["serving_default"](x=tf.constant(expected["x"]))
    np.testing.assert_allclose(found["log_prob"], expected["log_prob"], rtol=1e-5)


def test_a_model_is_exported_as_its_flow(tmp_path):
    flow = vector()
    directory = nvp.export_saved_model(nvp.FlowModel(flow), tmp_path / "flow")
    x = tf.constant([[0.5, -1.0]])
    served = tf.saved_model.load(directory)
    function = tf.function(lambda x: served.signatures["serving_default"](x=x))
    for found in (function(x), served.signatures["serving_default"](x=x)):
        np.testing.assert_allclose(found["log_prob"], flow.log_prob(x), rtol=1e-5)


@pytest.mark.xdist_group("metadata")
@pytest.mark.parametrize("name", ["vector", "conditional", "image"])
def test_the_metadata_say_what_the_signatures_take_and_give(tmp_path, name):
    flow = saved_flows.FLOWS[name](seed=0)
    run = {"dataset": "digits", "bits_per_dim": {"value": 2.5}}
    directory = nvp.export_saved_model(flow, tmp_path / "flow", run=run)
    metadata = metadata_of(directory)
    assert metadata["run"] == run
    assert metadata["format_version"] == 1
    assert metadata["condition_size"] == (3 if name == "conditional" else None)
    assert metadata["event_shape"] == flow.event_shape
    assert metadata["is_over_pixels"] == (name == "image")
    assert metadata["versions"]["tensorflow"] == tf.__version__
    assert from_config(metadata["flow"]).event_shape == flow.event_shape
    signatures = tf.saved_model.load(directory).signatures
    assert set(signatures) == set(metadata["signatures"])
    without_unit = set()
    for name, function in signatures.items():
        inputs = function.structured_input_signature[1].values()
        outputs = function.structured_outputs.values()
        for kind, found in (("inputs", inputs), ("outputs", outputs)):
            said = metadata["signatures"][name][kind]
            assert {s.name for s in found} == set(said)
            without_unit |= set(said) - set(metadata["units"])
            for spec in found:
                shape = said[spec.name]["shape"]
                assert spec.dtype.name == said[spec.name]["dtype"]
                assert spec.shape.is_compatible_with(shape)
                assert spec.name in PARAMETERS or spec.shape == shape
    if metadata["is_over_pixels"]:
        assert without_unit == {"num_samples", "num_draws", "seed"}


def test_a_flow_of_classes_that_are_not_public_has_no_configuration(tmp_path):
    own = type("Own", (tfd.Normal,), {})
    flow = vector(tfd.Sample(own(0.0, 1.0), 2))
    assert metadata_of(nvp.export_saved_model(flow, tmp_path / "flow"))["flow"] is None


def test_what_is_there_is_kept_unless_told_otherwise(tmp_path):
    directory = tmp_path / "flow"
    directory.mkdir()
    nvp.export_saved_model(vector(), directory)
    before = sorted(directory.rglob("*"))
    (directory / "note").write_text("mine")
    with pytest.raises(FileExistsError, match="directory: .* new or empty"):
        nvp.export_saved_model(vector(), directory)
    with pytest.raises(FileExistsError, match="directory: expected a folder"):
        nvp.export_saved_model(vector(), directory / "note", overwrite=True)
    assert (directory / "note").read_text() == "mine"
    nvp.export_saved_model(vector(), directory, overwrite=True)
    assert sorted(directory.rglob("*")) == before
    assert [p.name for p in tmp_path.iterdir()] == ["flow"]


@pytest.mark.parametrize("overwrite", [True, False])
def test_a_failure_leaves_nothing_and_the_old_folder_as_it_was(
    tmp_path, monkeypatch, overwrite
):
    old = tmp_path / "flow"
    old.mkdir()

    def save(module, directory, **kwargs):
        """Meanwhile somebody else fills the folder."""
        pathlib.Path(directory).mkdir()
        (old / "note").write_text("mine")
        if overwrite:
            raise OSError("No space left on device")

    monkeypatch.setattr(tf.saved_model, "save", save)
    with pytest.raises(OSError, match="No space|not empty"):
        nvp.export_saved_model(vector(), old, overwrite=overwrite)
    assert sorted(tmp_path.rglob("*")) == [old, old / "note"]


NORMAL = tfd.Normal([0.0], 1.0)
JOINT = tfd.JointDistributionSequential([tfd.Normal(0.0, 1.0)])


@pytest.mark.parametrize(
    ("make", "run", "error", "message"),
    [
        (lambda: vector().bijector, None, TypeError, "flow: .* FlowModel, got RealNVP"),
        (lambda: NORMAL, None, ValueError, "flow: .* batch shape"),
        (lambda: JOINT, None, ValueError, "flow: expected one over single tensors"),
        (vector, {"data": object()}, ValueError, "run: expected what JSON can hold"),
        (vector, {"bits_per_dim": math.nan}, ValueError, "run: expected"),
    ],
)
def test_what_cannot_be_exported_is_refused(tmp_path, make, run, error, message):
    with pytest.raises(error, match=message):
        nvp.export_saved_model(make(), tmp_path / "flow", run=run)
    assert not list(tmp_path.iterdir())
