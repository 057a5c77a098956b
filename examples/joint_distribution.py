"""Uses a Real NVP as the prior of one variable in a TFP joint distribution.

python examples/joint_distribution.py --epochs 10 --draws 1000

Where on a winding trail is a hiker? The distances from two beacons were measured with a
common, unknown offset. The flow learns the trail from the positions of earlier hikers.
"""

import argparse

import keras
import numpy as np
import tensorflow as tf
import tensorflow_probability as tfp
from matplotlib.figure import Figure

import tfp_realnvp as nvp

tfd = tfp.distributions

BEACONS = np.float32([[-2.0, -2.0], [2.0, -2.0]])
DISTANCES = np.float32([4.3, 2.8])
GRID = [
    np.linspace(low, high, count, dtype=np.float32)
    for low, high, count in ((-1.5, 4.0, 150), (-1.0, 3.0, 150), (-2.0, 1.5, 60))
]


def earlier_positions(count, seed):
    generator = np.random.default_rng(seed)
    x = generator.uniform(-3.0, 3.0, count)
    trail = np.stack([x, 1.5 * np.sin(x)], axis=-1)
    return (trail + generator.normal(0.0, 0.15, trail.shape)).astype(np.float32)


def fit_prior(epochs, seed):
    """Returns a flow fitted to the positions of earlier hikers."""
    keras.utils.set_random_seed(seed)  # `fit` shuffles.
    base = tfd.Independent(tfd.Normal(tf.zeros([2]), 1.0), 1)
    bijector = nvp.RealNVPBijector((2,), hidden_units=(32, 32), seed=seed)
    model = nvp.FlowModel(tfd.TransformedDistribution(base, bijector))
    model.compile(keras.optimizers.Adam(3e-3))
    positions = earlier_positions(20_000, seed)
    model.fit(positions, batch_size=200, epochs=epochs, verbose=2)
    return model.flow


def joint_distribution(prior):
    def distances(position, offset):
        true = tf.linalg.norm(position[..., tf.newaxis, :] - BEACONS, axis=-1)
        return tfd.Independent(tfd.Normal(true + offset[..., tf.newaxis], 0.3), 1)

    return tfd.JointDistributionNamed(
        {"position": prior, "offset": tfd.Normal(0.0, 0.5), "distances": distances}
    )


def hmc_posterior(joint, draws, seed):
    """Returns HMC chains of x, y and offset, and the standard errors of their means."""
    pinned = joint.experimental_pin(distances=DISTANCES)
    start = pinned.sample_unpinned(8, seed=(seed, 1))

    @tf.function(autograph=False, jit_compile=True)
    def sample():
        kernel = tfp.mcmc.HamiltonianMonteCarlo(
            # HMC passes parts by position, a pinned distribution takes them by name.
            lambda position, offset: pinned.unnormalized_log_prob(
                position=position, offset=offset
            ),
            step_size=0.1,
            num_leapfrog_steps=8,
        )
        position, offset = tfp.mcmc.sample_chain(
            draws,
            [start["position"], start["offset"]],
            kernel=tfp.mcmc.DualAveragingStepSizeAdaptation(kernel, int(0.8 * draws)),
            num_burnin_steps=draws,
            trace_fn=None,
            seed=(seed, 2),
        )
        chains = tf.concat([position, offset[..., tf.newaxis]], axis=-1)
        sizes = tfp.mcmc.effective_sample_size(
            chains, filter_beyond_positive_pairs=True, cross_chain_dims=1
        )
        return chains, tf.math.reduce_std(chains, axis=[0, 1]) / tf.sqrt(sizes)

    return [result.numpy() for result in sample()]


def grid_posterior(joint):
    """Returns the posterior on a grid of x, y and offset, its means and deviations."""
    points = np.stack(np.meshgrid(*GRID, indexing="ij"), axis=-1)
    pinned = joint.experimental_pin(distances=DISTANCES)
    # The parts broadcast, so the flow runs once for all offsets.
    log_prob = pinned.unnormalized_log_prob(
        position=points[:, :, :1, :2], offset=points[..., 2]
    )
    probability = np.exp(np.float64(log_prob) - np.max(log_prob))
    probability /= probability.sum()
    means = np.tensordot(probability, points, axes=3)
    variances = np.tensordot(probability, (points - means) ** 2, axes=3)
    return probability, means, np.sqrt(variances)


def draw(joint, chains, probability, seed, path):
    figure = Figure(figsize=(6, 4.5), layout="constrained")
    panel = figure.subplots()
    prior = joint.sample(2000, seed=(seed, 3))["position"].numpy()
    draws = chains[::4].reshape(-1, 3)
    panel.scatter(*prior.T, s=2, color="silver", label="prior")
    panel.scatter(draws[:, 0], draws[:, 1], s=2, label="posterior, HMC")
    panel.scatter(*BEACONS.T, marker="^", color="black", label="beacons")
    in_plane = probability.sum(axis=2).T
    levels = in_plane.max() * np.exp([-4.5, -2.0, -0.5])
    panel.contour(*GRID[:2], in_plane, levels, colors="black", linewidths=0.8)
    panel.plot([], [], color="black", lw=0.8, label="posterior, grid")
    panel.set(xlabel="x", ylabel="y", aspect="equal")
    panel.legend(loc="upper left")
    figure.savefig(path, dpi=120)


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--epochs", type=int, default=10)
    parser.add_argument("--draws", type=int, default=1000)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--output", default="joint_distribution.png")
    arguments = parser.parse_args()

    joint = joint_distribution(fit_prior(arguments.epochs, arguments.seed))
    print("HMC ...", flush=True)
    chains, errors = hmc_posterior(joint, arguments.draws, arguments.seed)
    probability, means, deviations = grid_posterior(joint)
    for i, name in enumerate(("x", "y", "offset")):
        print(
            f"{name}: HMC {chains[..., i].mean():.3f} +- {errors[i]:.3f}, sd "
            f"{chains[..., i].std():.3f}; grid {means[i]:.3f}, sd {deviations[i]:.3f}"
        )
    draw(joint, chains, probability, arguments.seed, arguments.output)
    print(f"Wrote {arguments.output}.")


if __name__ == "__main__":
    main()
