"""Times vector flows against TFP's autoregressive flow, and counts network runs.

    python benchmarks/vector_flows.py --output vector_flows.json

Side by side in one run: `sample`, what it takes given the noise (`forward`), and
`log_prob` over 64 dimensions of flows with as many weights; and how often each network
of ours and of `tfb.RealNVP` runs. Masked weights of the autoregressive networks count.
"""

import argparse
import functools
import importlib.metadata
import os
import pathlib
import platform
import sys
import time
from unittest import mock

import keras
import numpy as np
import tensorflow as tf
import tensorflow_probability as tfp

import tfp_realnvp as nvp
from tfp_realnvp.files import write_json

tfb, tfd = tfp.bijectors, tfp.distributions

PACKAGES = ("tensorflow", "tensorflow-probability", "keras", "tf-keras", "numpy")


def base(size):
    return tfd.Independent(tfd.Normal(tf.zeros([size]), 1.0), 1)


def real_nvp(size, couplings, width, seed=0):
    bijector = nvp.RealNVPBijector(
        (size,), num_couplings=couplings, hidden_units=(width, width), seed=seed
    )
    return tfd.TransformedDistribution(base(size), bijector)


def autoregressive(size, layers, width, seed=0):
    """Returns TFP's usual stack of MADEs with reversals between them."""
    keras.utils.set_random_seed(seed)
    bijectors = []
    for _ in range(layers):
        network = tfb.AutoregressiveNetwork(
            params=2, event_shape=[size], hidden_units=[width] * 2, activation="relu"
        )
        reverse = tfb.Permute(list(reversed(range(size))))
        bijectors += [tfb.MaskedAutoregressiveFlow(network), reverse]
    flow = tfd.TransformedDistribution(base(size), tfb.Chain(bijectors[:-1]))
    flow.log_prob(tf.zeros([1, size]))  # makes the weights
    return flow


WIDE = {
    "RealNVPBijector, 12 couplings": functools.partial(real_nvp, 64, 12, 54),
    "RealNVPBijector, 6 couplings": functools.partial(real_nvp, 64, 6, 89),
    "MaskedAutoregressiveFlow, 6 layers": functools.partial(autoregressive, 64, 6, 64),
}
REFERENCE = "MaskedAutoregressiveFlow, 6 layers"


def count_weights(flow):
    return sum(v.shape.num_elements() for v in flow.trainable_variables)


def compare_speed(count, repeats):
    calls, rows = {}, []
    x = tf.random.stateless_normal([count, 64], [0, 0])
    seeds = [tf.constant([1, i]) for i in range(repeats)]
    for name, make in WIDE.items():
        flow = make()
        methods = {
            "sample": functools.partial(flow.sample, count),
            # Of `sample` under XLA on CPUs, drawing the noise takes the longest.
            "forward": lambda seed, flow=flow: flow.bijector.forward(tf.identity(x)),
            "log_prob": lambda seed, flow=flow: flow.log_prob(tf.identity(x)),
        }
        for method, function in methods.items():
            for xla in (False, True):
                compiled = tf.function(function, jit_compile=xla)
                compiled(seed=seeds[0])
                row = {"flow": name, "method": method, "xla": xla}
                rows.append({**row, "weights": count_weights(flow), "seconds": []})
                calls[len(rows) - 1] = compiled
        print(f"  {name} is compiled", flush=True)
    for seed in seeds:
        for i, call in calls.items():
            begin = time.perf_counter()
            call(seed=seed).numpy()
            rows[i]["seconds"].append(time.perf_counter() - begin)
    medians = {}
    for row in rows:
        row["median"] = float(np.median(row["seconds"]))
        medians[row["flow"], row["method"], row["xla"]] = row["median"]
    for row in rows:
        reference = medians[REFERENCE, row["method"], row["xla"]]
        row["times_as_fast"] = reference / row["median"]
    return {"count": count, "rows": rows}


def count_network_runs(couplings=6, size=64):
    counter = tf.Variable(0)
    call = nvp.MLP.call

    def counted(self, *args, **kwargs):
        counter.assign_add(1)
        return call(self, *args, **kwargs)

    def shift_and_log_scale(x, output_units):
        counter.assign_add(1)
        return x[..., :output_units], tf.tanh(x[..., :output_units])

    chain = []
    for _ in range(couplings):
        chain.append(tfb.RealNVP(size // 2, shift_and_log_scale_fn=shift_and_log_scale))
        chain.append(tfb.Permute(list(reversed(range(size)))))
    flows = {
        "RealNVPBijector": real_nvp(size, couplings, width=8),
        "tfb.RealNVP": tfd.TransformedDistribution(base(size), tfb.Chain(chain)),
    }
    rows = []
    for name, flow in flows.items():
        draw = functools.partial(flow.sample, 4, seed=(0, 1))
        row = {"flow": name}
        for method, function in {
            "log_prob": lambda flow=flow: flow.log_prob(tf.zeros([4, size])),
            "sample": draw,
            "both": lambda flow=flow, draw=draw: flow.log_prob(draw()),
        }.items():
            counter.assign(0)
            with mock.patch.object(nvp.MLP, "call", counted):
                tf.function(function)()
            row[method] = int(counter) / couplings
        row["log_prob_of_that_sample"] = row.pop("both") - row["sample"]
        rows.append(row)
    return rows


def describe_run():
    info = pathlib.Path("/proc/cpuinfo")
    lines = info.read_text().splitlines() if info.exists() else []
    models = [line.partition(": ")[2] for line in lines if "model name" in line]
    return {
        "command": " ".join(sys.argv),
        "cpu": models[0] if models else platform.processor(),
        "cores": os.cpu_count(),
        "gpus": len(tf.config.list_physical_devices("GPU")),
        "packages": {name: importlib.metadata.version(name) for name in PACKAGES},
    }


def print_results(results):
    print(f"\n64 dimensions, {results['speed']['count']} events, median time:")
    for row in results["speed"]["rows"]:
        print(
            f"{row['flow']:37}{row['weights']:7} weights {row['method']:9}"
            f"{'XLA' if row['xla'] else '':4}{1e3 * row['median']:9.2f} ms"
            f"{row['times_as_fast']:8.1f} times as fast"
        )
    print("\nNetwork runs per coupling:")
    for row in results["network_runs"]:
        print(*(f"{k} {v}" for k, v in row.items() if k != "flow"), sep=", ", end="")
        print(f"  ({row['flow']})")


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--count", type=int, default=1000, help="events to time on")
    parser.add_argument("--repeats", type=int, default=20, help="of every timing")
    parser.add_argument("--output", help="JSON file to write")
    arguments = parser.parse_args()

    results = describe_run()
    print("Counting network runs", flush=True)
    results["network_runs"] = count_network_runs()
    print("Timing", flush=True)
    results["speed"] = compare_speed(arguments.count, arguments.repeats)
    print_results(results)
    if arguments.output:
        write_json(arguments.output, results)


if __name__ == "__main__":
    main()
