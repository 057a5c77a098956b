import contextlib
import gc

import numpy as np
import pytest
import tensorflow as tf
import tensorflow_probability as tfp
from tensorflow.python.eager import context

import tfp_realnvp as nvp

tfd = tfp.distributions


class Model(nvp.FlowModel):
    """Notes whether Python's collector is on where a step is made."""

    def __init__(self, fails):
        base = tfd.Independent(tfd.Normal(tf.zeros([2]), 1.0), 1)
        bijector = nvp.RealNVPBijector((2,), num_couplings=2, hidden_units=(4,))
        super().__init__(tfd.TransformedDistribution(base, bijector), seed=0)
        self.fails, self.seen = fails, []

    def train_step(self, data):
        self.seen.append(gc.isenabled())
        if self.fails:
            raise KeyError("step")
        return super().train_step(data)


@pytest.mark.parametrize("fails", [False, True])
@pytest.mark.parametrize("run_eagerly", [False, True])
def test_the_collector_rests_while_a_step_is_traced_and_only_then(run_eagerly, fails):
    model = Model(fails)
    model.compile(run_eagerly=run_eagerly)
    with pytest.raises(KeyError) if fails else contextlib.nullcontext():
        model.fit(np.zeros([4, 2], np.float32), verbose=0)
    assert set(model.seen) == {run_eagerly}
    assert gc.isenabled()


def test_a_collector_that_was_off_stays_off():
    model = Model(fails=False)
    model.compile()
    gc.disable()
    try:
        model.fit(np.zeros([4, 2], np.float32), verbose=0)
        assert not gc.isenabled()
    finally:
        gc.enable()


@pytest.mark.parametrize("fails", [False, True])
def test_steps_run_as_they_were_traced_and_nothing_else_does(fails):
    def is_off():
        proto = context.context().function_call_options.config_proto_serialized
        config = tf.compat.v1.ConfigProto.FromString(proto)
        return config.graph_options.rewrite_options.disable_meta_optimizer

    seen = []
    # Other threads, which may train too, have these as well.
    of_all = tf.config.optimizer.get_experimental_options

    class Noting(Model):
        def train_step(self, data):
            seen.append((is_off(), of_all()))
            return super().train_step(data)

    before = is_off(), of_all()
    model = Noting(fails)
    model.compile()
    with pytest.raises(KeyError) if fails else contextlib.nullcontext():
        model.fit(np.zeros([4, 2], np.float32), verbose=0)
    on_cpu = not tf.config.list_logical_devices("GPU")
    assert seen == [(on_cpu, before[1])]
    assert (is_off(), of_all()) == before
