"""Trains a VAE on digits with flows as posterior and prior, and a VAE without flows.

python examples/vae_with_flows.py --steps 4000
"""

import argparse

import keras
import numpy as np
import tensorflow as tf
import tensorflow_probability as tfp
from matplotlib.figure import Figure
from sklearn.datasets import load_digits

import tfp_realnvp as nvp
from tfp_realnvp.figures import image_grid

tfd = tfp.distributions

LATENTS, FEATURES, BATCH_SIZE = 4, 32, 64


def load_ink(seed):
    """Returns probabilities of ink of 1,437 training and 360 test images."""
    ink = np.clip(load_digits().data / 8 - 0.5, 0, 1).astype("float32")
    return np.split(np.random.default_rng(seed).permutation(ink), [1437])


def binarize(ink, seed):
    return tf.cast(tf.random.stateless_uniform(ink.shape, seed) < ink, tf.float32)


def mlp(*widths):
    layers = [keras.layers.Dense(width, "silu") for width in widths[:-1]]
    return keras.Sequential([*layers, keras.layers.Dense(widths[-1])])


class VAE:
    """Variational autoencoder of binary images, with flows or without.

    Without flows, the prior is a unit normal and the posterior a normal of independent
    entries. With flows, each is transformed by a flow; that of the posterior is
    conditioned on the encoder's features of the image.
    """

    def __init__(self, flows, seed):
        keras.utils.set_random_seed(seed)
        self.encoder, self.moments = mlp(128, FEATURES), mlp(2 * LATENTS)
        self.decoder = mlp(128, 128, 64)
        self.prior = tfd.MultivariateNormalDiag(tf.zeros([LATENTS]))
        self.flow = None
        if flows:
            sizes = {"num_couplings": 4, "hidden_units": (32, 32)}
            self.prior = tfd.TransformedDistribution(
                self.prior, nvp.RealNVPBijector((LATENTS,), seed=seed, **sizes)
            )
            self.flow = nvp.RealNVPBijector(
                (LATENTS,), condition_size=FEATURES, seed=seed + 1, **sizes
            )
        # Keras networks have no weights before their first call.
        self.elbo(tf.zeros([1, 64]), seed=(0, 0))
        networks = (self.encoder, self.moments, self.decoder)
        self.trainable_variables = [
            *(v.value for network in networks for v in network.trainable_variables),
            *self.prior.trainable_variables,
            *(self.flow.trainable_variables if flows else ()),
        ]

    def encode(self, images, seed):
        """Returns a latent vector of each image and its log-density."""
        features = self.encoder(2 * images - 1)
        mean, raw = tf.split(self.moments(features), 2, axis=-1)
        posterior, kwargs = tfd.MultivariateNormalDiag(mean, tf.nn.softplus(raw)), {}
        if self.flow:
            posterior = tfd.TransformedDistribution(posterior, self.flow)
            kwargs = {"bijector_kwargs": {"condition": features}}
        # Both from one pass: each network of the flow runs once.
        return posterior.experimental_sample_and_log_prob(seed=seed, **kwargs)

    def decode(self, z):
        return tfd.Independent(tfd.Bernoulli(self.decoder(z)), 1)

    def elbo(self, images, seed):
        """Returns the evidence lower bound of each image, in nats."""
        z, log_posterior = self.encode(images, seed)
        likelihood = self.decode(z).log_prob(images)
        return likelihood + self.prior.log_prob(z) - log_posterior


def train(vae, ink, test, steps, seed):
    """Maximizes the bound; prints that of the test images every 200 steps."""
    optimizer = keras.optimizers.Adam(
        keras.optimizers.schedules.CosineDecay(2e-3, steps)
    )
    optimizer.build(vae.trainable_variables)

    @tf.function
    def step(seed):
        seeds = tf.unstack(tfp.random.split_seed(seed, n=3))
        shape, count = [BATCH_SIZE], len(ink)
        chosen = tf.random.stateless_uniform(shape, seeds[0], 0, count, tf.int32)
        images = binarize(tf.gather(ink, chosen), seeds[1])
        with tf.GradientTape() as tape:
            loss = -tf.reduce_mean(vae.elbo(images, seeds[2]))
        gradients = tape.gradient(loss, vae.trainable_variables)
        optimizer.apply(gradients, vae.trainable_variables)

    for i in range(1, steps + 1):
        step(tf.constant([seed, i]))
        if i % 200 == 0:
            elbo = held_out_elbo(vae, test).mean()
            print(f"step {i}: test ELBO {elbo:.2f} nats", flush=True)


def held_out_elbo(vae, ink, draws=20):
    """Returns the bound of each image, averaged over draws from the posterior."""
    images = tf.repeat(binarize(ink, seed=(0, 0)), draws, axis=0)
    return tf.reshape(vae.elbo(images, seed=(0, 1)), [-1, draws]).numpy().mean(axis=1)


def draw(path, vae, ink):
    figure = Figure(figsize=(8, 4.4), layout="constrained")
    panels = figure.subplots(1, 2)
    images = binarize(ink[:32], seed=(0, 0))
    again = vae.decode(vae.encode(images, seed=(0, 1))[0]).mean()
    pairs = np.reshape([images, again], [2, 4, 8, 64]).swapaxes(0, 1)
    samples = vae.decode(vae.prior.sample(64, seed=(0, 2))).mean()
    for panel, title, pixels in (
        (panels[0], "Test images, reconstructions below", pairs),
        (panels[1], "Samples", samples),
    ):
        grey = np.uint8(255 * (1 - np.reshape(pixels, [64, 8, 8, 1])))
        panel.imshow(image_grid(grey, columns=8)[..., 0], cmap="gray", vmin=0)
        panel.set(title=title, xticks=[], yticks=[])
    figure.savefig(path, dpi=100)


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--steps", type=int, default=4000)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--output", default="vae_with_flows.png")
    arguments = parser.parse_args()

    ink, test = load_ink(arguments.seed)
    elbos = {}
    for name, flows in (("without flows", False), ("with flows", True)):
        print(name)
        vae = VAE(flows, arguments.seed)
        train(vae, ink, test, arguments.steps, arguments.seed)
        elbos[name] = held_out_elbo(vae, test)
    elbos["gain"] = elbos["with flows"] - elbos["without flows"]
    for name, elbo in elbos.items():
        error = elbo.std() / np.sqrt(len(elbo))
        print(f"{name}: test ELBO {elbo.mean():.2f} +- {error:.2f} nats")
    draw(arguments.output, vae, test)
    print(f"Wrote {arguments.output}.")


if __name__ == "__main__":
    main()
