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


def test_of_each_coupling_little_is_kept_for_the_gradient():
    def growth(memory):
        few, many = (
            measure_cost(model_of(memory, n), 1000).activation_bytes for n in (3, 6)
        )
        return many - few

    # An event of 4 for each coupling and normalization, not networks of 2 x 8 units.
    assert 0 < growth("recompute") < 0.2 * growth("stored")
