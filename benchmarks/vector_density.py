"""Compares the density that vector flows learn with that of TFP's autoregressive flow.

    python benchmarks/vector_density.py --seeds 5 --output vector_density.json

Two moons, by flows with as many weights, trained alike and in turn: same batches, same
optimizer, same steps. Masked weights of the autoregressive networks count as weights.
"""

import argparse
import functools

import keras
import numpy as np
import tensorflow as tf
import tensorflow_probability as tfp
from scipy.special import logsumexp
from sklearn.datasets import make_moons
from vector_flows import autoregressive, count_weights, describe_run, real_nvp

from tfp_realnvp.files import write_json

BATCH_SIZE = 256
NOISE = 0.1
REFERENCE = "MaskedAutoregressiveFlow, 6 layers"
FLOWS = {
    "RealNVPBijector, 12 couplings": functools.partial(real_nvp, 2, 12, 45),
    "RealNVPBijector, 6 couplings": functools.partial(real_nvp, 2, 6, 64),
    "MaskedAutoregressiveFlow, 6 layers": functools.partial(autoregressive, 2, 6, 63),
    "MaskedAutoregressiveFlow, 12 layers": functools.partial(autoregressive, 2, 12, 43),
}


def load_moons():
    """Returns training and test points, and the mean log-density of the latter."""
    points, _ = make_moons(30_000, noise=NOISE, random_state=0)
    # The density itself: a normal around every point of the two arcs.
    arcs, _ = make_moons(2000)
    log_density = [
        logsumexp(-((part[:, np.newaxis] - arcs) ** 2).sum(-1) / (2 * NOISE**2), axis=1)
        for part in np.split(points[20_000:], 20)
    ]
    constant = np.log(len(arcs) * 2 * np.pi * NOISE**2)
    mean, scale = points.mean(axis=0), points.std(axis=0)
    best = np.mean(log_density) - constant + np.log(scale).sum()
    points = ((points - mean) / scale).astype("float32")
    return points[:20_000], points[20_000:], best


def train(flow, points, steps, learning_rate, seed):
    points = tf.constant(points)

    def loss(seed):
        shape, count = [BATCH_SIZE], len(points)
        chosen = tf.random.stateless_uniform(shape, seed, 0, count, tf.int32)
        return -tf.reduce_mean(flow.log_prob(tf.gather(points, chosen)))

    schedule = keras.optimizers.schedules.CosineDecay(learning_rate, steps)
    tfp.math.minimize(
        loss,
        steps,
        keras.optimizers.Adam(schedule, global_clipnorm=100.0),
        trainable_variables=flow.trainable_variables,
        jit_compile=True,
        seed=(0, seed),
    )


def compare(seeds, steps, learning_rate):
    training, test, best = load_moons()
    scores = {name: [] for name in FLOWS}
    for seed in range(seeds):
        for name, make in FLOWS.items():
            flow = make(seed=seed)
            train(flow, training, steps, learning_rate, seed)
            scores[name].append(float(flow.log_prob(test).numpy().mean()))
            print(f"  seed {seed}, {name}: {scores[name][-1]:.4f} nats", flush=True)
    rows = []
    for name, values in scores.items():
        # Trainings that end in NaN count as diverged and are left out of the means.
        lead = np.subtract(values, scores[REFERENCE])
        lead = lead[np.isfinite(lead)]
        rows.append(
            {
                "flow": name,
                "weights": count_weights(FLOWS[name]()),
                "nats": [value if np.isfinite(value) else None for value in values],
                "diverged": int(np.sum(~np.isfinite(values))),
                "mean": np.nanmean(values),
                "lead": lead.mean(),
                "lead_error": lead.std(ddof=1) / np.sqrt(len(lead)),
            }
        )
    return {"best_possible": best, "rows": rows}


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--seeds", type=int, default=5, help="trainings of each flow")
    parser.add_argument("--steps", type=int, default=4000, help="of each training")
    parser.add_argument("--learning-rate", type=float, default=3e-3)
    parser.add_argument("--output", help="JSON file to write")
    arguments = parser.parse_args()

    results = {
        **describe_run(),
        **compare(arguments.seeds, arguments.steps, arguments.learning_rate),
    }
    print(f"\nTest log-likelihood in nats, and lead over {REFERENCE}:")
    print(f"{'the density itself':53}{results['best_possible']:.4f}")
    for row in results["rows"]:
        print(
            f"{row['flow']:37}{row['weights']:6} weights {row['mean']:.4f} "
            f"{row['lead']:+.4f} +- {row['lead_error']:.4f} "
            f"({row['diverged']} diverged)"
        )
    if arguments.output:
        write_json(arguments.output, results)


if __name__ == "__main__":
    main()
