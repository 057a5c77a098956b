"""Spline and affine couplings beside those of PyTorch's libraries: density and speed.

    python benchmarks/splines.py --torch-python my/torch/bin/python

The same points, as many parameters, the same batch size and number of updates, Adam
with a cosine schedule, one library after the other in a process of its own for each
seed. `--torch-python` has torch, zuko, nflows, normflows. Prints test log-likelihoods
in nats, where the validation score is best, after all updates and in the time that the
fastest takes, and milliseconds.
"""

import argparse
import functools
import importlib.metadata
import json
import os
import pathlib
import platform
import subprocess
import sys
import tempfile
import time

import numpy as np

BATCH, BINS, BOUND, LAYERS = 256, 8, 5.0, 2
TABLES = ("wine", "breast_cancer", "diabetes")
PEERS = ("zuko NSF", "zuko NSF coupling", "nflows", "normflows")
OURS = {
    "ours spline": {"spline": True},
    "ours spline XLA": {"spline": True, "xla": True},
    "ours affine": {"spline": False},
}


def moons(rng):
    angle = rng.uniform(0, np.pi, 20_000)
    upper = rng.integers(0, 2, 20_000)
    x = np.where(upper, np.cos(angle), 1 - np.cos(angle))
    y = np.where(upper, np.sin(angle), 0.5 - np.sin(angle))
    return np.stack([x, y], axis=1) + rng.normal(size=[20_000, 2]) * 0.1


def pinwheel(rng):
    arm = rng.integers(0, 5, 20_000)
    radius = 1 + 0.3 * rng.normal(size=20_000)
    across = 0.1 * rng.normal(size=20_000)
    angle = 2 * np.pi * arm / 5 + 0.25 * np.exp(radius)
    turned = [np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]
    return np.stack([radius * a + across * b for a, b in turned], axis=1)


def checkerboard(rng):
    x = rng.uniform(-2, 2, 20_000)
    y = rng.uniform(0, 1, 20_000) - 2 * rng.integers(0, 2, 20_000)
    return np.stack([x, y + np.floor(x) % 2], axis=1)


def table(name, rng):
    from sklearn import datasets

    # What is whole or rounded would have a density without bound.
    values = getattr(datasets, f"load_{name}")().data
    scaled = (values - values.mean(axis=0)) / values.std(axis=0)
    return scaled + 0.05 * rng.normal(size=scaled.shape)


DATA = {
    "moons": moons,
    "pinwheel": pinwheel,
    "checkerboard": checkerboard,
    **{name: functools.partial(table, name) for name in TABLES},
}


def load(name):
    """Returns training, validation and test points, always the same."""
    rng = np.random.default_rng(0)
    points = rng.permutation(DATA[name](rng)).astype("float32")
    points = (points - points.mean(axis=0)) / points.std(axis=0)
    return np.split(points, [3 * len(points) // 5, 4 * len(points) // 5])


def batches(points, steps, seed):
    """Yields the batches of all updates."""
    rng = np.random.default_rng(seed)
    for _ in range(steps):
        yield points[rng.integers(0, len(points), min(BATCH, len(points)))]


def closest_width(count, wanted):
    """Returns the width at which a library has as many parameters as wanted."""
    return min(range(4, 257, 4), key=lambda width: abs(count(width) - wanted))


def trained(data, steps, seed, update, log_prob, sample):
    """Trains and returns what was measured; the functions take and return arrays."""
    points, *held_out = load(data)
    update(points[:BATCH], 0)
    curve, seconds = [], 0.0
    for step, batch in enumerate(batches(points, steps, seed), 1):
        begin = time.perf_counter()
        update(batch, step)
        seconds += time.perf_counter() - begin
        if step % max(1, steps // 20) == 0:
            means = [float(np.mean(log_prob(part), dtype=float)) for part in held_out]
            curve.append((step, seconds, *means))
    timed = {"step": seconds / steps}
    for name, call in {
        "log_prob": lambda: log_prob(points[:BATCH]),
        "sample": sample,
    }.items():
        times = []
        for _ in range(31):
            begin = time.perf_counter()
            call()
            times.append(time.perf_counter() - begin)
        timed[name] = float(np.median(times[1:]))
    return {"curve": curve, "seconds": timed}


def run_ours(options):
    import keras
    import tensorflow as tf
    import tensorflow_probability as tfp

    import tfp_realnvp as nvp

    tfd = tfp.distributions
    arm = OURS[options["arm"]]
    size = load(options["data"])[0].shape[1]
    transform = nvp.RationalQuadraticSpline(BINS, BOUND) if arm["spline"] else None

    def make(width):
        bijector = nvp.RealNVPBijector(
            (size,),
            nvp.CouplingStack(options["couplings"]),
            nvp.MLPConditioner((width,) * LAYERS, activation="relu"),
            transform,
            l2=0,
            seed=options["seed"],
        )
        base = tfd.MultivariateNormalDiag(tf.zeros(size), tf.ones(size))
        return tfd.TransformedDistribution(base, bijector)

    def count(width):
        return sum(v.shape.num_elements() for v in make(width).trainable_variables)

    width = options["width"]
    if options["parameters"]:
        width = min(
            range(4, 257, 4), key=lambda w: abs(count(w) - options["parameters"])
        )
    flow = make(width)
    variables = flow.trainable_variables
    schedule = keras.optimizers.schedules.CosineDecay(
        options["learning_rate"], options["steps"]
    )
    optimizer = keras.optimizers.Adam(schedule, global_clipnorm=100.0)
    compiled = functools.partial(tf.function, jit_compile=arm.get("xla", False))

    @compiled
    def update(x):
        with tf.GradientTape() as tape:
            loss = -tf.reduce_mean(flow.log_prob(x))
        optimizer.apply_gradients(
            zip(tape.gradient(loss, variables), variables, strict=True)
        )
        return loss

    log_prob, draw = compiled(flow.log_prob), compiled(flow.sample)
    found = trained(
        options["data"],
        options["steps"],
        options["seed"],
        lambda x, step: update(x).numpy(),
        lambda x: log_prob(tf.constant(x)).numpy(),
        lambda: draw(BATCH, seed=(0, 1)).numpy(),
    )
    return {**found, "parameters": count(width), "width": width}


def run(python, script, options):
    """Runs one arm in a process of its own and returns what it found."""
    with tempfile.TemporaryDirectory() as folder:
        path = pathlib.Path(folder, "found.json")
        environment = {**os.environ, "TF_CPP_MIN_LOG_LEVEL": "3"}
        command = [python, script, "--arm", json.dumps(options), "--to", str(path)]
        subprocess.run(command, check=True, env=environment)
        return json.loads(path.read_text())


def compare(arguments):
    here = pathlib.Path(__file__)
    peers = str(here.with_name("splines_torch.py"))
    rows = []
    for data in arguments.data:
        for seed in range(arguments.seeds):
            options = {
                **{"data": data, "seed": seed, "steps": arguments.steps},
                **{"couplings": arguments.couplings, "width": arguments.width},
                **{"learning_rate": arguments.learning_rate, "parameters": None},
            }
            for arm in (*OURS, *PEERS):
                python, script = sys.executable, str(here)
                if arm in PEERS:
                    python, script = arguments.torch_python, peers
                found = run(python, script, {**options, "arm": arm})
                options["parameters"] = options["parameters"] or found["parameters"]
                rows.append({"data": data, "seed": seed, "arm": arm, **found})
                print(f"{data}, seed {seed}, {arm}: {_told(found)}", flush=True)
                arguments.write(rows)
    return rows


def _told(found):
    times = {name: f"{1e3 * t:.2f} ms" for name, t in found["seconds"].items()}
    return (
        f"{found['curve'][-1][2]:.4f} nats, {found['parameters']} parameters, {times}"
    )


def print_tables(rows):
    """Prints nats, and times by ours, with standard errors over seeds."""
    for data in dict.fromkeys(row["data"] for row in rows):
        by_arm = {}
        for row in rows:
            if row["data"] == data:
                by_arm.setdefault(row["arm"], []).append(row)
        budget = min(row["curve"][-1][1] for part in by_arm.values() for row in part)
        print(
            f"\n{data}: nats, nats after {budget:.1f} s, ms of step, log_prob, sample"
        )
        for arm, part in by_arm.items():
            ends, then = (
                [_best(row["curve"], end) for row in part] for end in (np.inf, budget)
            )
            times = np.mean([list(row["seconds"].values()) for row in part], axis=0)
            print(
                f"  {arm:20} {_mean(ends)}  {_mean(then)}  "
                + "  ".join(f"{1e3 * t:7.2f}" for t in times)
            )


def _best(curve, budget):
    """Returns the test score where the validation score is best, up to a time."""
    in_time = [point for point in curve if point[1] <= budget] or curve[:1]
    return max(in_time, key=lambda point: point[2])[3]


def _mean(values):
    error = np.std(values, ddof=1) / np.sqrt(len(values)) if len(values) > 1 else np.nan
    return f"{np.mean(values):8.4f} +- {error:.4f}"


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--torch-python", help="a Python with the PyTorch libraries")
    parser.add_argument("--data", nargs="+", choices=DATA, default=list(DATA))
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--steps", type=int, default=2000)
    parser.add_argument("--couplings", type=int, default=4)
    parser.add_argument("--width", type=int, default=64)
    parser.add_argument("--learning-rate", type=float, default=2e-3)
    parser.add_argument("--output", default="splines.json", help="JSON file to write")
    parser.add_argument("--arm", help=argparse.SUPPRESS)
    parser.add_argument("--to", help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.arm:
        found = run_ours(json.loads(arguments.arm))
        pathlib.Path(arguments.to).write_text(json.dumps(found))
        return
    about = {
        "command": " ".join(sys.argv),
        "machine": f"{platform.processor()}, {os.cpu_count()} cores",
        "packages": {
            name: importlib.metadata.version(name)
            for name in ("tensorflow", "tensorflow-probability", "keras")
        },
    }

    def write(rows):
        pathlib.Path(arguments.output).write_text(json.dumps({**about, "rows": rows}))

    arguments.write = write
    print_tables(compare(arguments))


if __name__ == "__main__":
    main()
