import json
import math

import pytest
import saved_flows
import tensorflow as tf
import tensorflow_probability as tfp

import tfp_realnvp as nvp
from tfp_realnvp.flows.config import from_config
from tfp_realnvp.serving.metadata import metadata_path
from tfp_realnvp.serving.signatures import PARAMETERS

tfd = tfp.distributions


@pytest.mark.xdist_group("metadata")
@pytest.mark.parametrize("name", ["vector", "conditional"])
def test_the_metadata_say_what_the_signatures_take_and_give(tmp_path, name):
    flow = saved_flows.FLOWS[name](seed=0)
    run = {"dataset": "digits", "bits_per_dim": {"value": 2.5}}
    directory = nvp.export_saved_model(flow, tmp_path / "flow", run=run)
    metadata = json.loads(metadata_path(directory).read_text())
    assert metadata["run"] == run
    assert metadata["format_version"] == 1
    assert metadata["condition_size"] == (3 if name == "conditional" else None)
    assert (metadata["event_shape"], metadata["is_over_pixels"]) == ([2], False)
    assert metadata["versions"]["tensorflow"] == tf.__version__
    assert from_config(metadata["flow"]).event_shape == (2,)
    signatures = tf.saved_model.load(directory).signatures
    assert set(signatures) == set(metadata["signatures"])
    for name, function in signatures.items():
        specs = (
            function.structured_input_signature[1].values(),
            (function.structured_outputs.values()),
        )
        for kind, found in zip(("inputs", "outputs"), specs, strict=True):
            for key, said in metadata["signatures"][name][kind].items():
                (spec,) = [s for s in found if s.name == key]
                assert spec.dtype.name == said["dtype"], (name, key)
                assert spec.shape.is_compatible_with(said["shape"]), (name, key)
                assert key in PARAMETERS or spec.shape == said["shape"], (name, key)
            assert len(found) == len(metadata["signatures"][name][kind])


def test_every_input_and_output_of_a_flow_over_pixels_has_a_unit(tmp_path):
    directory = nvp.export_saved_model(saved_flows.image(seed=0), tmp_path / "flow")
    metadata = json.loads(metadata_path(directory).read_text())
    assert metadata["is_over_pixels"]
    names = {
        name
        for signature in metadata["signatures"].values()
        for kind in ("inputs", "outputs")
        for name in signature[kind]
    }
    assert names - set(metadata["units"]) == {"num_samples", "num_draws", "seed"}


class Own(tfd.Normal):
    """A class that no other program knows."""


def test_a_flow_of_classes_that_are_not_public_has_no_configuration(tmp_path):
    base = tfd.Sample(Own(0.0, 1.0), 2)
    bijector = nvp.RealNVPBijector((2,), **saved_flows.SMALL)
    flow = tfd.TransformedDistribution(base, bijector)
    directory = nvp.export_saved_model(flow, tmp_path / "flow")
    assert json.loads(metadata_path(directory).read_text())["flow"] is None


def test_what_json_cannot_hold_is_refused_and_nothing_is_written(tmp_path):
    flow = saved_flows.vector(seed=0)
    for run in ({"data": object()}, {"bits_per_dim": math.nan}, {1: 2}, ["digits"]):
        with pytest.raises(ValueError, match="run: expected a mapping .* got "):
            nvp.export_saved_model(flow, tmp_path / "flow", run=run)
    assert not list(tmp_path.iterdir())
