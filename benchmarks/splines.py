"""Spline and affine couplings beside those of PyTorch's libraries: density and speed.

    python benchmarks/splines.py --torch-python my/torch/bin/python

All flows get the same points, number of parameters, batches and number of updates, and
Adam with a cosine schedule. The libraries run one after the other, with a new process
for each seed. "mixed" has twice the couplings, narrower, with a learned matrix before
each. `--torch-python` needs torch, zuko, nflows, normflows and scikit-learn. Prints
test log-likelihoods in nats, after all updates and in the time that the fastest takes
(both where the validation score is best), and milliseconds.
"""

import argparse
import functools
import json
import pathlib
import statistics
import sys
import time

import numpy as np
from harness import machine, tables
from harness.process import Process

BATCH, BINS, BOUND, LAYERS = 256, 8, 5.0, 2
OURS = ("spline, XLA", "spline", "spline, mixed", "affine")
PEERS = ("zuko NSF", "zuko NSF, coupling", "nflows", "normflows")


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


def table_of(name, rng):
    from sklearn import datasets

    # Columns of whole or rounded numbers would have a density without bound.
    values = getattr(datasets, f"load_{name}")().data
    scaled = (values - values.mean(axis=0)) / values.std(axis=0)
    return scaled + 0.05 * rng.normal(size=scaled.shape)


DATA = {
    "moons": moons,
    "pinwheel": pinwheel,
    "checkerboard": checkerboard,
    "wine": functools.partial(table_of, "wine"),
    "breast_cancer": functools.partial(table_of, "breast_cancer"),
    "diabetes": functools.partial(table_of, "diabetes"),
}


def load(name):
    """Returns training, validation and test points, the same at every call."""
    rng = np.random.default_rng(0)
    points = rng.permutation(DATA[name](rng)).astype("float32")
    points = (points - points.mean(axis=0)) / points.std(axis=0)
    return np.split(points, [3 * len(points) // 5, 4 * len(points) // 5])


def save_points(name, path):
    """Writes the points, and returns their number of dimensions."""
    parts = load(name)
    np.savez(path, *parts)
    return parts[0].shape[1]


def train(points, held_out, options, update, log_prob, sample):
    """Trains, and returns the measurements; the functions take and return arrays."""
    rng, steps = np.random.default_rng(options["seed"]), options["steps"]
    batch = points[rng.integers(0, len(points), BATCH)]
    update(batch, 0)
    curve, seconds = [], 0.0
    looks = {round(steps ** (i / 20)) for i in range(8, 21)}
    for step in range(1, steps + 1):
        batch = points[rng.integers(0, len(points), BATCH)]
        begin = time.perf_counter()
        update(batch, step)
        seconds += time.perf_counter() - begin
        if step in looks:
            means = [float(np.mean(log_prob(part), dtype=float)) for part in held_out]
            curve.append((seconds, *means))
    milliseconds = {
        "step": 1e3 * seconds / steps,
        "log_prob": _median(lambda: log_prob(batch)),
        "sample": _median(sample),
    }
    return {"curve": curve, "milliseconds": milliseconds}


def _median(call):
    times = []
    for _ in range(31):
        begin = time.perf_counter()
        call()
        times.append(1e3 * (time.perf_counter() - begin))
    return statistics.median(times[1:])


def closest_width(count, wanted):
    """Returns the width at which a flow is closest to a number of parameters."""
    return min(range(4, 257, 4), key=lambda width: abs(count(width) - wanted))


def run_ours(points, options):
    import keras
    import tensorflow as tf
    import tensorflow_probability as tfp

    import tfp_realnvp as nvp

    tfd = tfp.distributions
    points, *held_out = np.load(points).values()
    size, spline = points.shape[1], "spline" in options["arm"]
    mixed = "mixed" in options["arm"]
    couplings = options["couplings"] * (2 if mixed else 1)

    def make(width):
        bijector = nvp.RealNVPBijector(
            (size,),
            nvp.CouplingStack(couplings, invertible_conv=mixed),
            nvp.MLPConditioner((width,) * LAYERS, activation="relu"),
            nvp.RationalQuadraticSpline(BINS, BOUND) if spline else None,
            l2=0,
            seed=options["seed"],
        )
        base = tfd.MultivariateNormalDiag(tf.zeros(size), tf.ones(size))
        return tfd.TransformedDistribution(base, bijector)

    def count(width):
        return sum(v.shape.num_elements() for v in make(width).trainable_variables)

    wanted = options["parameters"]
    width = closest_width(count, wanted) if wanted else options["width"]
    flow = make(width)
    variables = flow.trainable_variables
    rate = keras.optimizers.schedules.CosineDecay(options["rate"], options["steps"])
    optimizer = keras.optimizers.Adam(rate, global_clipnorm=100.0)
    compiled = functools.partial(tf.function, jit_compile="XLA" in options["arm"])

    @compiled
    def update(x):
        with tf.GradientTape() as tape:
            loss = -tf.reduce_mean(flow.log_prob(x))
        gradients = tape.gradient(loss, variables)
        optimizer.apply_gradients(zip(gradients, variables, strict=True))
        return loss

    log_prob, draw = compiled(flow.log_prob), compiled(flow.sample)
    found = train(
        points,
        held_out,
        options,
        lambda x, step: update(x).numpy(),
        lambda x: log_prob(tf.constant(x)).numpy(),
        lambda: draw(BATCH, seed=(0, 1)).numpy(),
    )
    return {**found, "parameters": count(width)}


def zuko_nsf(size, couplings, width, passes=None):
    import zuko

    widths = [width] * LAYERS
    flow = zuko.flows.NSF(
        size, bins=BINS, transforms=couplings, hidden_features=widths, passes=passes
    )
    return flow, lambda x: flow().log_prob(x), lambda: flow().sample((BATCH,))


def nflows(size, couplings, width):
    import torch
    from nflows.distributions.normal import StandardNormal
    from nflows.flows.base import Flow
    from nflows.nn.nets import MLP
    from nflows.transforms.base import CompositeTransform
    from nflows.transforms.coupling import (
        PiecewiseRationalQuadraticCouplingTransform as Spline,
    )

    class Network(MLP):
        def forward(self, inputs, context=None):
            return super().forward(inputs)

    mask = torch.ones(size)
    mask[::2] = -1
    transforms = [
        Spline(
            mask * (-1) ** i,
            lambda ins, outs: Network([ins], [outs], [width] * LAYERS),
            num_bins=BINS,
            tails="linear",
            tail_bound=BOUND,
        )
        for i in range(couplings)
    ]
    flow = Flow(CompositeTransform(transforms), StandardNormal([size]))
    return flow, flow.log_prob, lambda: flow.sample(BATCH)


def normflows(size, couplings, width):
    import normflows as nf

    flows = [
        nf.flows.CoupledRationalQuadraticSpline(
            size,
            num_blocks=LAYERS - 1,
            num_hidden_channels=width,
            num_bins=BINS,
            tail_bound=BOUND,
            reverse_mask=bool(i % 2),
        )
        for i in range(couplings)
    ]
    base = nf.distributions.DiagGaussian(size, trainable=False)
    flow = nf.NormalizingFlow(base, flows)
    return flow, flow.log_prob, lambda: flow.sample(BATCH)[0]


MAKERS = {
    "zuko NSF": zuko_nsf,
    "zuko NSF, coupling": functools.partial(zuko_nsf, passes=2),
    "nflows": nflows,
    "normflows": normflows,
}


def run_peer(points, options):
    import torch

    points, *held_out = np.load(points).values()
    make = functools.partial(
        MAKERS[options["arm"]], points.shape[1], options["couplings"]
    )

    def count(width):
        return sum(p.numel() for p in make(width)[0].parameters())

    width = closest_width(count, options["parameters"])
    torch.manual_seed(options["seed"])
    flow, log_prob_of, sample_of = make(width)
    optimizer = torch.optim.Adam(flow.parameters(), lr=options["rate"])
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, options["steps"])

    def update(batch, step):
        optimizer.zero_grad()
        loss = -log_prob_of(torch.from_numpy(batch)).mean()
        loss.backward()
        torch.nn.utils.clip_grad_norm_(flow.parameters(), 100.0)
        optimizer.step()
        if step:
            schedule.step()
        return loss.item()

    @torch.no_grad()
    def log_prob(points):
        return log_prob_of(torch.from_numpy(points)).numpy()

    @torch.no_grad()
    def sample():
        return sample_of().numpy()

    found = train(points, held_out, options, update, log_prob, sample)
    return {**found, "parameters": count(width), "packages": machine.packages()}


def compare(arguments):
    """Yields each arm's results; the first of ours sets the number of parameters."""
    folder = arguments.output.parent
    for data in arguments.data:
        points = str(folder / f"{data}.npz")
        with Process(folder / "points.log", arguments.torch_python) as child:
            is_plane = child.ask("splines:save_points", name=data, path=points) == 2
        for seed in range(arguments.seeds):
            options = {
                **{"seed": seed, "steps": arguments.steps, "parameters": None},
                **{"couplings": arguments.couplings, "width": arguments.width},
                "rate": arguments.learning_rate,
            }
            for arm in (*OURS, *PEERS):
                if arm == "zuko NSF, coupling" and is_plane:
                    # In two dimensions zuko's NSF is itself a flow of couplings.
                    continue
                ours = arm in OURS
                python = sys.executable if ours else arguments.torch_python
                with Process(folder / "arm.log", python) as child:
                    found = child.ask(
                        "splines:run_ours" if ours else "splines:run_peer",
                        points=points,
                        options={**options, "arm": arm},
                    )
                options["parameters"] = options["parameters"] or found["parameters"]
                yield {"data": data, "seed": seed, "arm": arm, **found}


def report(rows):
    """Returns tables of densities, of densities in equal time, and of times."""
    names = list(dict.fromkeys(row["data"] for row in rows))
    arms = list(dict.fromkeys(row["arm"] for row in rows))
    of = {
        (a, n): [r for r in rows if (r["arm"], r["data"]) == (a, n)]
        for a in arms
        for n in names
    }
    fastest = {n: min(r["curve"][-1][0] for r in rows if r["data"] == n) for n in names}

    def nats(arm, name, seconds=np.inf):
        return tables.mean_and_error(
            [_best(r["curve"], seconds) for r in of[arm, name]]
        )

    def milliseconds(arm, name):
        found = [list(row["milliseconds"].values()) for row in of[arm, name]]
        return ", ".join(f"{t:.2f}" for t in np.median(found, axis=0)) if found else "-"

    parts = {
        "Nats after all updates": nats,
        "Nats after as many seconds as the fastest takes": lambda arm, name: nats(
            arm, name, fastest[name]
        ),
        "Milliseconds of a step, log_prob, sample": milliseconds,
    }
    return "\n\n".join(
        f"{title}\n\n"
        + tables.table(
            ("", *names), [(arm, *(cell(arm, n) for n in names)) for arm in arms]
        )
        for title, cell in parts.items()
    )


def _best(curve, seconds=np.inf):
    """Returns the test score where the validation score is best, up to a time."""
    in_time = [point for point in curve if point[0] <= seconds] or curve[:1]
    return max(in_time, key=lambda point: point[1])[2]


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--torch-python", required=True)
    parser.add_argument("--data", nargs="+", choices=DATA, default=list(DATA))
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--steps", type=int, default=2000)
    parser.add_argument("--couplings", type=int, default=4)
    parser.add_argument("--width", type=int, default=64)
    parser.add_argument("--learning-rate", type=float, default=5e-3)
    parser.add_argument(
        "--output", type=pathlib.Path, default=pathlib.Path("splines/splines.json")
    )
    arguments = parser.parse_args()
    about, rows = machine.describe_run(), []
    for row in compare(arguments):
        rows.append(row)
        tables.write_text(arguments.output, json.dumps({**about, "rows": rows}))
        print(row["data"], row["seed"], row["arm"], row["milliseconds"], flush=True)
    print(report(rows))


if __name__ == "__main__":
    main()
