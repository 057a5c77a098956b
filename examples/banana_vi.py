"""Fits a Real NVP and a mean-field normal to a curved posterior by VI.

python examples/banana_vi.py --steps 1500
"""

import argparse

import keras
import numpy as np
import tensorflow as tf
import tensorflow_probability as tfp
from matplotlib.figure import Figure

import tfp_realnvp as nvp
from tfp_realnvp.files import atomic_path

tfb, tfd = tfp.bijectors, tfp.distributions

# The density below is normalized; that of most posteriors is not.
LOG_EVIDENCE = 0.0


def banana_log_prob(x):
    x1, x2 = tf.unstack(x, axis=-1)
    bend = 0.5 * x1**2 - 2.0
    return tfd.Normal(0.0, 2.0).log_prob(x1) + tfd.Normal(bend, 0.5).log_prob(x2)


def mean_field():
    scale = tfp.util.TransformedVariable(tf.ones([2]), tfb.Softplus())
    return tfd.Independent(tfd.Normal(tf.Variable(tf.zeros([2])), scale), 1)


def real_nvp(seed):
    base = tfd.Independent(tfd.Normal(tf.zeros([2]), 1.0), 1)
    bijector = nvp.RealNVPBijector((2,), hidden_units=(32, 32), seed=seed)
    return tfd.TransformedDistribution(base, bijector)


def fit(surrogate, name, steps, seed):
    """Maximizes the ELBO of `surrogate` and prints how it goes."""

    def trace(state):
        # Only the steps of TFP's loop are compiled, so that a plain print will do.
        if (state.step + 1) % 250 == 0:
            print(f"{name}: step {state.step + 1}, ELBO {-state.loss:.3f}", flush=True)
        return state.loss

    decay = keras.optimizers.schedules.CosineDecay(1e-2, steps)
    tfp.vi.fit_surrogate_posterior(
        banana_log_prob,
        surrogate,
        keras.optimizers.Adam(decay),
        num_steps=steps,
        sample_size=128,
        trace_fn=trace,
        seed=(seed, 0),
    )


def elbo(surrogate, seed, count=20_000):
    """Returns the ELBO estimated with samples of its own, and its standard error."""
    # TFP takes an int seed for a stateful one, and pairs for repeatable ones.
    x, log_prob = surrogate.experimental_sample_and_log_prob(count, seed=(seed, 1))
    terms = banana_log_prob(x) - log_prob
    return float(np.mean(terms)), float(np.std(terms) / np.sqrt(count))


def fit_both(steps, seed):
    """Returns the fitted surrogates by name."""
    surrogates = {"Mean field": mean_field(), "Real NVP": real_nvp(seed)}
    for name, surrogate in surrogates.items():
        fit(surrogate, name, steps, seed)
    return surrogates


def draw(surrogates, seed, path):
    figure = Figure(figsize=(9, 4.5), layout="constrained")
    axes = np.linspace(-7, 7, 300), np.linspace(-5, 18, 300)
    grid = np.stack(np.meshgrid(*axes), axis=-1).astype(np.float32)
    density = np.exp(banana_log_prob(grid))
    panels = figure.subplots(1, 2, sharey=True)
    for panel, (name, surrogate) in zip(panels, surrogates.items(), strict=True):
        x = surrogate.sample(2000, seed=(seed, 2)).numpy()
        panel.scatter(*x.T, s=3, alpha=0.4, label="samples of the surrogate")
        levels = density.max() * np.exp([-4.5, -2.0, -0.5])
        panel.contour(*axes, density, levels, colors="black", linewidths=0.8)
        # Contours have no entry in a legend of their own.
        panel.plot([], [], color="black", linewidth=0.8, label="posterior")
        panel.set(title=name, xlabel="$x_1$", xlim=(-7, 7), ylim=(-5, 18))
    panels[0].set_ylabel("$x_2$")
    panels[0].legend(loc="upper center")
    with atomic_path(path) as temporary:
        figure.savefig(temporary, dpi=120)


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--steps", type=int, default=1500)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--output", default="banana_vi.png")
    arguments = parser.parse_args()

    surrogates = fit_both(arguments.steps, arguments.seed)
    elbos = {name: elbo(q, arguments.seed) for name, q in surrogates.items()}
    for name, (value, error) in elbos.items():
        gap = LOG_EVIDENCE - value
        print(f"{name}: ELBO {value:.4f} +- {error:.4f}, {gap:.4f} below log evidence")
    margin = elbos["Real NVP"][0] - elbos["Mean field"][0]
    error = np.hypot(elbos["Real NVP"][1], elbos["Mean field"][1])
    print(f"Margin of the Real NVP: {margin:.4f} +- {error:.4f} nats")
    draw(surrogates, arguments.seed, arguments.output)
    print(f"Wrote {arguments.output}.")


if __name__ == "__main__":
    main()
