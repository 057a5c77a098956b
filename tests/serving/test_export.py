import subprocess
import sys

import numpy as np
import pytest
import saved_flows
import tensorflow as tf
import tensorflow_probability as tfp
from constructors import perturb

import tfp_realnvp as nvp

tfd = tfp.distributions

SEED = [3, 4]

# Importing what is `None` here fails.
SERVE = """
import sys

sys.modules.update(tfp_realnvp=None, tensorflow_probability=None)
import numpy as np
import tensorflow as tf

for directory in sys.argv[1:]:
    signatures = tf.saved_model.load(directory).signatures
    x = tf.constant(np.load(directory + ".x.npy"))
    outputs = signatures["serving_default"](x=x)
    arguments = {"num_samples": tf.constant(3), "seed": tf.constant([3, 4])}
    outputs.update(signatures["sample"](**arguments))
    np.savez(directory + ".npz", **{k: v.numpy() for k, v in outputs.items()})
"""

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
np.save(directory + ".x.npy", x)
np.save(directory + ".log_prob.npy", flow.log_prob(x))
"""


def run(program, *arguments):
    result = subprocess.run(
        [sys.executable, "-c", program, *map(str, arguments)],
        capture_output=True,
        text=True,
        env={"PYTHONPATH": ":".join(sys.path)},
    )
    assert result.returncode == 0, result.stderr


def vector(**arguments):
    base = tfd.Sample(tfd.Normal(0.0, 1.0), 2)
    flow = nvp.RealNVPBijector((2,), seed=0, **saved_flows.SMALL, **arguments)
    return tfd.TransformedDistribution(base, flow)


def bfloat16(seed):
    return vector(network_dtype="mixed_bfloat16")


FLOWS = {name: saved_flows.FLOWS[name] for name in ("vector", "image", "mixture")}
FLOWS["bfloat16"] = bfloat16


@pytest.fixture(scope="module")
def served(tmp_path_factory):
    """Returns flows, what they were given, and what a fresh process made of it."""
    folder, flows = tmp_path_factory.mktemp("served"), {}
    for name, make in FLOWS.items():
        flow = make(seed=1)
        perturb(flow)
        (x,) = saved_flows.examples("image" if name == "image" else "vector")
        np.save(folder / f"{name}.x.npy", x)
        nvp.export_saved_model(flow, folder / name)
        flows[name] = flow, x
    run(SERVE, *(folder / name for name in flows))
    found = {name: dict(np.load(folder / f"{name}.npz")) for name in flows}
    return flows, found


@pytest.mark.parametrize("name", FLOWS)
def test_tensorflow_alone_gives_the_same_numbers_in_a_fresh_process(served, name):
    flows, found = served
    flow, x = flows[name]
    log_prob = tf.function(flow.log_prob)(x)
    samples = tf.function(lambda: flow.sample(3, seed=SEED))()
    np.testing.assert_allclose(found[name]["log_prob"], log_prob, rtol=1e-5)
    np.testing.assert_allclose(found[name]["samples"], samples, rtol=1e-5, atol=1e-5)


def test_bits_per_dim_are_given_for_flows_over_pixels_only(served):
    _, found = served
    assert set(found["vector"]) == {"log_prob", "samples"}
    expected = nvp.bits_per_dim(found["image"]["log_prob"], (4, 4, 1))
    np.testing.assert_allclose(found["image"]["bits_per_dim"], expected, rtol=1e-6)


def test_the_artifact_is_of_the_frozen_flow(tmp_path):
    flow = nvp.image_flow(event_shape=(4, 4, 1), filters=4, num_blocks=1)
    artifact = tf.saved_model.load(nvp.export_saved_model(flow, tmp_path / "served"))
    count = len(artifact.flow_variables)
    assert count == len(nvp.freeze(flow).variables) < len(flow.variables)


def test_a_flow_of_mirrored_variables_is_exported_like_any_other(tmp_path):
    directory = tmp_path / "mirrored"
    run(MIRROR, directory)
    run(SERVE, directory)
    expected = np.load(f"{directory}.log_prob.npy")
    found = np.load(f"{directory}.npz")["log_prob"]
    np.testing.assert_allclose(found, expected, rtol=1e-5)


def test_samples_depend_on_the_seed_alone_and_batches_have_any_size(tmp_path):
    directory = nvp.export_saved_model(vector(), tmp_path / "new" / "flow")
    signatures = tf.saved_model.load(directory).signatures

    def sample(count, seed):
        arguments = {"num_samples": tf.constant(count), "seed": tf.constant(seed)}
        return signatures["sample"](**arguments)["samples"]

    np.testing.assert_array_equal(sample(4, [0, 1]), sample(4, [0, 1]))
    assert np.all(sample(4, [0, 1]) != sample(4, [0, 2]))
    for count in (1, 7):
        x = sample(count, [0, 1])
        assert x.shape == (count, 2)
        log_prob = signatures["serving_default"](x=x)["log_prob"]
        np.testing.assert_allclose(log_prob, vector().log_prob(x), rtol=1e-5)


def test_every_network_is_in_each_function_once(tmp_path):
    served = tf.saved_model.load(nvp.export_saved_model(vector(), tmp_path / "flow"))
    for function in (served.log_prob, served.sample):
        (concrete,) = function.concrete_functions
        operations = [op.type for op in concrete.graph.get_operations()]
        # Three networks of two layers.
        assert operations.count("MatMul") == 3 * 2


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
        (lambda: nvp.FlowModel(vector()), TypeError, "flow: .* got FlowModel"),
        (lambda: vector(condition_size=3), ValueError, "flow: .* condition_size=3"),
        (lambda: tfd.Normal([0.0, 1.0], 1.0), ValueError, "flow: .* batch shape"),
        (joint, ValueError, "flow: expected events that are single tensors"),
    ],
)
def test_what_has_no_such_signatures_is_refused(tmp_path, make, error, message):
    with pytest.raises(error, match=message):
        nvp.export_saved_model(make(), tmp_path / "flow")
    assert not list(tmp_path.iterdir())
