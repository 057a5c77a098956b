import fresh_process
import numpy as np
import pytest
import saved_flows
import tensorflow as tf
import tensorflow_probability as tfp

import tfp_realnvp as nvp

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


def vector(**arguments):
    base = tfd.Sample(tfd.Normal(0.0, 1.0), 2)
    flow = nvp.RealNVPBijector((2,), seed=0, **saved_flows.SMALL, **arguments)
    return tfd.TransformedDistribution(base, flow)


def test_the_artifact_is_of_the_frozen_flow(tmp_path):
    sizes = {"num_scales": 1, "filters": 4, "num_blocks": 1}
    flow = nvp.image_flow(event_shape=(4, 4, 1), **sizes)
    artifact = tf.saved_model.load(nvp.export_saved_model(flow, tmp_path / "served"))
    frozen = sorted(v.numpy().sum() for v in nvp.freeze(flow).variables)
    live = sorted(v.numpy().sum() for v in flow.variables)
    found = sorted(v.numpy().sum() for v in artifact.flow_variables)
    np.testing.assert_array_equal(found, frozen)
    assert not np.array_equal(found, live)


def test_a_flow_of_mirrored_variables_is_exported_like_any_other(tmp_path):
    directory = tmp_path / "mirrored"
    fresh_process.run(MIRROR, directory)
    expected = np.load(f"{directory}.expected.npz")
    given = {"x": expected["x"], "latents": expected["x"]}
    drawn = {"num_samples": 1, "seed": [0, 0], "temperature": 1.0}
    found = fresh_process.serve({directory: {**given, **drawn}})[directory]
    np.testing.assert_allclose(
        found["serving_default/log_prob"], expected["log_prob"], rtol=1e-5
    )


def test_a_model_is_exported_as_its_flow(tmp_path):
    flow = vector()
    directory = nvp.export_saved_model(nvp.FlowModel(flow), tmp_path / "flow")
    x = tf.constant([[0.5, -1.0]])
    served = tf.saved_model.load(directory)
    function = tf.function(lambda x: served.signatures["serving_default"](x=x))
    for found in (function(x), served.signatures["serving_default"](x=x)):
        np.testing.assert_allclose(found["log_prob"], flow.log_prob(x), rtol=1e-5)


def test_a_folder_that_holds_anything_is_kept_unless_told_otherwise(tmp_path):
    directory = tmp_path / "flow"
    directory.mkdir()
    nvp.export_saved_model(vector(), directory)
    before = sorted(directory.rglob("*"))
    (directory / "note").write_text("mine")
    with pytest.raises(FileExistsError, match="directory: .* is not empty"):
        nvp.export_saved_model(vector(), directory)
    assert (directory / "note").exists()
    nvp.export_saved_model(vector(), directory, overwrite=True)
    assert sorted(directory.rglob("*")) == before
    assert [p.name for p in tmp_path.iterdir()] == ["flow"]


def test_a_file_is_kept_in_any_case(tmp_path):
    path = tmp_path / "flow"
    path.write_text("mine")
    with pytest.raises(FileExistsError, match="directory: expected a folder"):
        nvp.export_saved_model(vector(), path, overwrite=True)
    assert path.read_text() == "mine"


def fail(module, directory, **kwargs):
    (directory / "half").write_text("written")
    raise OSError("No space left on device")


def test_a_failure_leaves_nothing_behind_and_the_old_folder_as_it_was(
    tmp_path, monkeypatch
):
    old = tmp_path / "flow"
    old.mkdir()
    (old / "note").write_text("mine")
    monkeypatch.setattr(tf.saved_model, "save", fail)
    with pytest.raises(OSError, match="No space"):
        nvp.export_saved_model(vector(), old, overwrite=True)
    with pytest.raises(OSError, match="No space"):
        nvp.export_saved_model(vector(), tmp_path / "new" / "deeper" / "flow")
    assert sorted(tmp_path.rglob("*")) == [old, old / "note"]


def test_the_old_folder_comes_back_if_the_new_one_cannot_take_its_place(
    tmp_path, monkeypatch
):
    old = tmp_path / "flow"
    old.mkdir()
    (old / "note").write_text("mine")
    # Without the new folder, renaming it fails.
    monkeypatch.setattr(tf.saved_model, "save", lambda _, path, **kwargs: path.rmdir())
    with pytest.raises(FileNotFoundError):
        nvp.export_saved_model(vector(), old, overwrite=True)
    assert sorted(tmp_path.rglob("*")) == [old, old / "note"]


def joint():
    return tfd.JointDistributionSequential([tfd.Normal(0.0, 1.0), vector()])


@pytest.mark.parametrize(
    ("make", "error", "message"),
    [
        (lambda: vector().bijector, TypeError, "flow: .* a FlowModel, got RealNVP"),
        (lambda: tfd.Normal([0.0, 1.0], 1.0), ValueError, "flow: .* batch shape"),
        (joint, ValueError, "flow: expected events that are single tensors"),
    ],
)
def test_what_has_no_such_signatures_is_refused(tmp_path, make, error, message):
    with pytest.raises(error, match=message):
        nvp.export_saved_model(make(), tmp_path / "flow")
    assert not list(tmp_path.iterdir())
