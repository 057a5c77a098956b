"""Trains a recomputed flow of some couplings; prints the MiB its activations take.

python memory_run.py NUM_COUPLINGS
"""

import sys

import numpy as np
import tensorflow as tf
import tensorflow_probability as tfp

import tfp_realnvp as nvp

tfd = tfp.distributions


def peak():
    with open("/proc/self/status") as status:
        (line,) = (line for line in status if line.startswith("VmHWM"))
    return int(line.split()[1]) / 1024


def main(num_couplings):
    bijector = nvp.RealNVPBijector(
        (4,), num_couplings=num_couplings, hidden_units=(64, 64), memory="recompute"
    )
    base = tfd.Sample(tfd.Normal(0.0, 1.0), 4)
    model = nvp.FlowModel(tfd.TransformedDistribution(base, bijector))
    model.compile()
    x = np.zeros([120_000, 4], np.float32)

    def batches(count):
        return tf.data.Dataset.from_tensor_slices(x[:count]).batch(len(x))

    # The graph takes memory too; one trace serves for both.
    model.fit(batches(1), verbose=0)
    before = peak()
    model.fit(batches(len(x)), verbose=0)
    print(peak() - before)


if __name__ == "__main__":
    main(int(sys.argv[1]))
