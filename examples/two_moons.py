"""Learns the density of two moons, once with Keras `fit`, once with TFP's `minimize`.

python examples/two_moons.py --steps 2500
"""

import argparse

import keras
import numpy as np
import tensorflow as tf
import tensorflow_probability as tfp
from matplotlib.figure import Figure
from sklearn.datasets import make_moons

import tfp_realnvp as nvp

tfd = tfp.distributions

BATCH_SIZE = 256


def load_moons(seed):
    """Returns 20,000 training and 5,000 test points, standardized together."""
    points, _ = make_moons(25_000, noise=0.1, random_state=seed)
    points = (points - points.mean(axis=0)) / points.std(axis=0)
    return np.split(points.astype("float32"), [20_000])


def make_flow(seed):
    base = tfd.Independent(tfd.Normal(tf.zeros([2]), 1.0), 1)
    bijector = nvp.RealNVPBijector(
        (2,), num_couplings=12, hidden_units=(32, 32), seed=seed
    )
    return tfd.TransformedDistribution(base, bijector)


def make_optimizer(steps):
    return keras.optimizers.Adam(keras.optimizers.schedules.CosineDecay(3e-3, steps))


def train_with_fit(flow, points, steps, seed):
    batches = tf.data.Dataset.from_tensor_slices(points)
    batches = batches.shuffle(len(points), seed).repeat().batch(BATCH_SIZE)
    model = nvp.FlowModel(flow)
    model.compile(make_optimizer(steps))
    epochs = min(steps, 10)
    model.fit(batches, epochs=epochs, steps_per_epoch=steps // epochs, verbose=2)


def train_with_minimize(flow, points, steps, seed):
    points = tf.constant(points)

    def loss(seed):
        shape, count = [BATCH_SIZE], len(points)
        chosen = tf.random.stateless_uniform(shape, seed, 0, count, tf.int32)
        return -tf.reduce_mean(flow.log_prob(tf.gather(points, chosen)))

    def report(state):
        step = state.step + 1
        tf.cond(
            step % 250 == 0,
            lambda: tf.print("step", step, "nll", state.loss),
            lambda: tf.no_op(),
        )
        return state.loss

    tfp.math.minimize(
        loss,
        steps,
        make_optimizer(steps),
        trainable_variables=flow.trainable_variables,
        trace_fn=report,
        seed=(0, seed),
    )


def mean_and_error(values):
    """Returns the mean of a vector and its standard error."""
    return np.mean(values), np.std(values) / np.sqrt(len(values))


def draw(path, points, flows):
    figure = Figure(figsize=(9, 8.5), layout="constrained")
    panels = figure.subplots(2, 2, sharex=True, sharey=True)
    panels[0, 0].scatter(*points[:2000].T, s=2, color="black", label="test data")
    x, y = np.meshgrid(np.linspace(-2.5, 2.5, 200), np.linspace(-2.5, 2.5, 200))
    grid = np.stack([x, y], axis=-1).astype("float32")
    for i, (name, flow) in enumerate(flows.items()):
        samples = flow.sample(2000, seed=(0, i))
        panels[0, 1].scatter(*samples.numpy().T, s=2, label=f"samples, {name}")
        # Far from the data the log-density falls without bound.
        density = np.maximum(flow.log_prob(grid), -12)
        image = panels[1, i].pcolormesh(x, y, density, vmin=-12, vmax=0)
        panels[1, i].set_title(f"log-density, {name}")
    figure.colorbar(image, ax=panels[1], label="nats")
    for panel in panels[0]:
        panel.legend(loc="upper right", markerscale=4)
    for panel in panels.flat:
        panel.set(xlabel="x", ylabel="y", aspect="equal")
        panel.label_outer()
    figure.savefig(path, dpi=100)


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--steps", type=int, default=2500)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--output", default="two_moons.png")
    arguments = parser.parse_args()

    training, test = load_moons(arguments.seed)
    flows = {}
    for i, (name, train) in enumerate(
        {"fit": train_with_fit, "minimize": train_with_minimize}.items()
    ):
        flows[name] = make_flow(seed=2 * arguments.seed + i)
        train(flows[name], training, arguments.steps, arguments.seed)
    for name, flow in flows.items():
        mean, error = mean_and_error(flow.log_prob(test).numpy())
        print(f"{name}: test log-likelihood {mean:.3f} +- {error:.3f} nats")
    draw(arguments.output, test, flows)
    print(f"Wrote {arguments.output}.")


if __name__ == "__main__":
    main()
