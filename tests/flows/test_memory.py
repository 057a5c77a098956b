"""Flows that keep no activations stay what they are."""

import tensorflow_probability as tfp

import tfp_realnvp as nvp
from tfp_realnvp.flows.config import from_config, to_config
from tfp_realnvp.training.cost import measure_cost

tfd = tfp.distributions


def bijector_of(memory, num_couplings=4):
    return nvp.RealNVPBijector(
        (4,),
        num_couplings=num_couplings,
        hidden_units=(8,),
        batch_norm="batch",
        seed=0,
        memory=memory,
    )


def model_of(memory, num_couplings=4):
    base = tfd.Sample(tfd.Normal(0.0, 1.0), 4)
    flow = tfd.TransformedDistribution(base, bijector_of(memory, num_couplings))
    model = nvp.FlowModel(flow, seed=0)
    model.compile()
    return model


def test_copies_and_configurations_keep_it_and_those_from_before_store():
    stored = bijector_of("stored")
    twin = stored.copy(memory="recompute")
    assert twin.body is stored.body
    again = from_config(to_config(twin))
    assert again.parameters["memory"] == twin.parameters["memory"] == "recompute"
    config = to_config(stored)
    assert "memory" not in config["of"]
    assert from_config(config).parameters["memory"] == "stored"


def test_what_is_not_kept_is_computed_again():
    stored, recomputed = (
        measure_cost(model_of(memory), 100).training_flops
        for memory in ("stored", "recompute")
    )
    # Forward, forward again, and twice as much backward.
    assert 1.2 < recomputed / stored < 1.5
