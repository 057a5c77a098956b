"""Fits a mixture of two flows to a ring and an arc, and one flow of the same size.

python examples/mixture_of_flows.py --epochs 40
"""

import argparse

import keras
import numpy as np
import tensorflow as tf
import tensorflow_probability as tfp
from matplotlib.figure import Figure

import tfp_realnvp as nvp
from tfp_realnvp.files import atomic_path

tfd = tfp.distributions

BATCH_SIZE = 256
SHARE_OF_RING = 0.7


def ring_and_arc(count, seed):
    """Returns points of shape [count, 2], and which of them are of the ring."""
    generator = np.random.default_rng(seed)
    is_ring = generator.uniform(size=count) < SHARE_OF_RING
    angle = np.pi * generator.uniform(-1, 1, count) * np.where(is_ring, 1, 0.5)
    radius = generator.normal(1, 0.1, count)
    points = radius * np.stack([np.cos(angle), np.sin(angle)])
    points[0] += np.where(is_ring, -1.5, 1)
    return points.T.astype("float32"), is_ring


def make_flow(center, scale, hidden_units, seed):
    base = tfd.Independent(tfd.Normal(tf.constant([center, 0.0]), scale), 1)
    bijector = nvp.RealNVPBijector(
        (2,), num_couplings=8, hidden_units=hidden_units, seed=seed
    )
    return tfd.TransformedDistribution(base, bijector)


def make_mixture(seed):
    """Returns two flows that start left and right, and weights to be trained."""
    return tfd.Mixture(
        tfd.Categorical(logits=tf.Variable([0.0, 0.0], name="logits")),
        [
            make_flow(-1.5, 0.5, hidden_units=(32, 32), seed=seed),
            make_flow(1.5, 0.5, hidden_units=(32, 32), seed=seed + 1),
        ],
    )


def make_single_flow(seed):
    """Returns one flow with as many weights as the two of the mixture."""
    return make_flow(0.0, 1.0, hidden_units=(46, 46), seed=seed)


def train(distribution, points, epochs, seed):
    keras.utils.set_random_seed(seed)
    steps = epochs * len(points) // BATCH_SIZE
    schedule = keras.optimizers.schedules.CosineDecay(3e-3, steps)
    model = nvp.FlowModel(distribution)
    model.compile(keras.optimizers.Adam(schedule))
    model.fit(points, batch_size=BATCH_SIZE, epochs=epochs, verbose=2)


def responsibilities(mixture, points):
    """Returns the probability of each component given each point, [count, 2]."""
    log_probs = [component.log_prob(points) for component in mixture.components]
    return tf.nn.softmax(mixture.cat.logits + tf.stack(log_probs, axis=-1)).numpy()


def draw(path, points, distributions):
    figure = Figure(figsize=(13, 3.5), layout="constrained")
    panels = figure.subplots(1, 3, sharex=True, sharey=True)
    left = responsibilities(distributions["mixture"], points)[:, 0] > 0.5
    for name, part in (("first", points[left]), ("second", points[~left])):
        panels[0].scatter(*part.T, s=2, label=f"more likely of the {name} flow")
    panels[0].legend(loc="lower center", markerscale=4)
    panels[0].set(title="Test data", ylabel="y")
    x, y = np.meshgrid(np.linspace(-3, 2.5, 220), np.linspace(-2.4, 1.8, 168))
    grid = np.stack([x, y], axis=-1).astype("float32")
    for panel, (name, distribution) in zip(
        panels[1:], distributions.items(), strict=True
    ):
        # Far from the data the log-density falls without end.
        density = np.maximum(distribution.log_prob(grid), -12)
        image = panel.pcolormesh(x, y, density, vmin=-12, vmax=0)
        panel.set_title(f"Log-density, {name}")
    figure.colorbar(image, ax=panels, label="nats")
    for panel in panels:
        panel.set(xlabel="x", aspect="equal")
    with atomic_path(path) as temporary:
        figure.savefig(temporary, dpi=100)


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--epochs", type=int, default=40)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--output", default="mixture_of_flows.png")
    arguments = parser.parse_args()

    points, is_ring = ring_and_arc(15_000, arguments.seed)
    training, test = np.split(points, [10_000])
    seed = 2 * arguments.seed
    distributions = {"mixture": make_mixture(seed), "one flow": make_single_flow(seed)}
    for distribution in distributions.values():
        train(distribution, training, arguments.epochs, arguments.seed)
    for name, distribution in distributions.items():
        log_prob = distribution.log_prob(test).numpy()
        error = log_prob.std() / np.sqrt(len(log_prob))
        print(f"{name}: test log-likelihood {log_prob.mean():.3f} +- {error:.3f} nats")
    weights = tf.nn.softmax(distributions["mixture"].cat.logits)
    print(f"weights {weights.numpy().round(3)}, {is_ring.mean():.3f} is in the ring")
    draw(arguments.output, test, distributions)
    print(f"Wrote {arguments.output}.")


if __name__ == "__main__":
    main()
