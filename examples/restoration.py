"""Fills in missing pixels, or removes noise, by ascending a flow's log-likelihood.

    python examples/restoration.py inpainting
    python examples/restoration.py denoising --run runs/celeba --data-dir my/tfds

Both maximize over the latents z of x = g(z), because a step in z moves related pixels
together.

Inpainting maximizes log p(x), where x is g(z) at the missing pixels and the known value
at all others. The likeliest image is not a typical one but a smooth one: scattered
pixels are restored well, but a large block shows little detail.

Denoising restores x from y = x + noise. The posterior has a mode over pixels, which
maximizes

    log p(x) - |y - x|^2 / (2 sigma^2),

and one over latents, with log p_Z(z) in place of log p(x). They differ by the flow's
log-determinant, which favours smooth images: the mode over pixels is likelier than real
images, and too smooth.
"""

import argparse

import keras
import numpy as np
import tensorflow as tf
from matplotlib.figure import Figure
from scipy import ndimage

import tfp_realnvp as nvp
from tfp_realnvp.data import load_images
from tfp_realnvp.figures import image_bits_per_dim, image_grid, psnr, to_uint8
from tfp_realnvp.flows import condition_vectors, distribution_kwargs
from tfp_realnvp.runs import RunDirectory

MISSING = 0.7
WIDTHS = (0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 1.0, 1.2, 1.5)


class Restorer:
    """A flow over pixels, with the images to restore and their conditions, if any."""

    def __init__(self, flow, images, condition=None, seed=0):
        self.flow, self.images, self.condition = flow, images, condition
        self._noise = tf.random.Generator.from_seed(seed)
        vectors = condition_vectors(flow, condition, len(images))
        self._kwargs = distribution_kwargs(flow, condition=vectors)
        self._of_bijector = self._kwargs.get("bijector_kwargs", {})

    def encode(self, x):
        x = np.clip(x, 0.5, 255.5).astype("float32")
        return self.flow.bijector.inverse(x, **self._of_bijector)

    def decode(self, z):
        return self.flow.bijector.forward(z, **self._of_bijector)

    def log_prob(self, x):
        """Returns log p(x + noise), with new noise at every call.

        The noise is as wide as a grey level, as in training. The flow has learned
        nothing about finer detail, and without noise an ascent would find spikes of
        the density there.
        """
        noise = self._noise.uniform(tf.shape(x), -0.5, 0.5)
        x = tf.clip_by_value(x + noise, 0.0, 255.99)
        return self.flow.log_prob(x, **self._kwargs)

    def log_prob_of_latents(self, z):
        kwargs = self._kwargs.get("distribution_kwargs", {})
        return self.flow.distribution.log_prob(z, **kwargs)

    def ascend(self, objective, start, steps, learning_rate=0.1):
        """Maximizes a function of latents from those of `start`; returns 8-bit images.

        The function returns the restored images, and for each the value to maximize,
        in nats.
        """
        z = tf.Variable(self.encode(start))
        decay = keras.optimizers.schedules.CosineDecay(learning_rate, steps)
        optimizer = keras.optimizers.Adam(decay)
        optimizer.build([z])

        @tf.function
        def step():
            with tf.GradientTape() as tape:
                _, value = objective(tf.convert_to_tensor(z))
                loss = -tf.reduce_sum(value)
            optimizer.apply(tape.gradient(loss, [z]), [z])
            return tf.reduce_mean(value)

        for i in range(steps):
            value = step()
            if (i + 1) % max(1, steps // 5) == 0:
                print(f"step {i + 1}: {value:.1f} nats", flush=True)
        return to_uint8(objective(tf.convert_to_tensor(z))[0].numpy())


def make_mask(kind, shape, seed):
    """Returns `True` for known pixels, of shape [N, height, width, 1]."""
    count, height, width, _ = shape
    if kind == "scattered":
        uniform = np.random.default_rng(seed).random([count, height, width, 1])
        return uniform > MISSING
    known = np.ones([count, height, width, 1], bool)
    known[:, height // 4 : 3 * height // 4, width // 4 : 3 * width // 4] = False
    return known


def neighbours_fill(images, known, rounds=1000):
    """Fills in a harmonic function: each missing pixel is its neighbours' average."""
    mean = images.mean(axis=(1, 2), keepdims=True, where=known)
    filled = np.where(known, images, mean)
    for _ in range(rounds):
        padded = np.pad(filled, [(0, 0), (1, 1), (1, 1), (0, 0)], mode="edge")
        vertical = padded[:, :-2, 1:-1] + padded[:, 2:, 1:-1]
        horizontal = padded[:, 1:-1, :-2] + padded[:, 1:-1, 2:]
        filled = np.where(known, images, (vertical + horizontal) / 4)
    return filled


def inpaint(restorer, known, steps):
    """Returns rows of 8-bit images: filled in by neighbours, and by the flow."""
    # Add 0.5: an 8-bit pixel stands for an interval, and this is its middle.
    pixels = tf.constant(restorer.images + 0.5, tf.float32)
    start = neighbours_fill(restorer.images + 0.5, known)

    def objective(z):
        x = tf.where(known, pixels, restorer.decode(z))
        return x, restorer.log_prob(x)

    filled = restorer.ascend(objective, start, steps)
    return {"neighbours": to_uint8(start), "flow": filled}


def denoise(restorer, noisy, sigma, steps):
    """Returns rows of 8-bit images: by a Gaussian filter, and at either mode."""
    noisy = noisy.astype("float32")

    def objective(z, over):
        x = restorer.decode(z)
        distance = tf.reduce_sum(tf.square(noisy - x), axis=[1, 2, 3])
        of_latents = over == "latents"
        prior = restorer.log_prob_of_latents(z) if of_latents else restorer.log_prob(x)
        return x, prior - distance / (2 * sigma**2)

    filtered = [
        to_uint8(ndimage.gaussian_filter(noisy, (0, width, width, 0)))
        for width in WIDTHS
    ]
    # The filter nearest to the originals: an advantage, since it must know these.
    nearest = max(filtered, key=lambda images: psnr(images, restorer.images).mean())
    rows = {"Gaussian filter": nearest}
    starts = [noisy, ndimage.median_filter(noisy, (1, 3, 3, 1))]
    for over in ("pixels", "latents"):
        values = [objective(restorer.encode(start), over)[1] for start in starts]
        # With little noise the median filter does more harm than good.
        start = np.where(np.less(*values)[:, None, None, None], starts[1], starts[0])
        ascended = restorer.ascend(lambda z, o=over: objective(z, o), start, steps)
        rows[f"flow, over {over}"] = ascended
    return rows


def load(arguments):
    """Returns a flow with test images to restore."""
    if arguments.run is None:
        data = load_images("digits")
        flow = nvp.image_flow("digits", seed=arguments.seed)
        model = nvp.FlowModel(flow, seed=arguments.seed)
        model.compile(keras.optimizers.Adam(2e-3, global_clipnorm=100.0))
        batches = data.training_batches(64, seed=arguments.seed)
        steps = data.steps_per_epoch(64)
        model.fit(batches, steps_per_epoch=steps, epochs=arguments.epochs, verbose=2)
    else:
        run = RunDirectory(arguments.run)
        flow = run.load_model("best").flow
        data = run.load_config().load_data(arguments.data_dir)
    images = data.test.take(arguments.images)
    conditions = data.test.take_conditions(arguments.images)
    return Restorer(flow, images, conditions, arguments.seed)


def draw(path, rows, side=64):
    """Draws rows of 8-bit images, with their names on the left."""
    images = np.concatenate(list(rows.values()))
    columns, scale = len(images) // len(rows), max(1, side // images.shape[1])
    grid = image_grid(images, columns=columns, scale=scale, gap=2)
    height, width = np.array(grid.shape[:2]) / side
    figure = Figure(figsize=(width, height))
    panel = figure.subplots()
    panel.imshow(grid, cmap="gray", vmin=0, vmax=255)
    panel.set_yticks((np.arange(len(rows)) + 0.5) * len(grid) / len(rows), rows)
    panel.set_xticks([])
    figure.savefig(path, dpi=120, bbox_inches="tight")


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("task", choices=("inpainting", "denoising"))
    parser.add_argument("--mask", choices=("scattered", "block"), default="scattered")
    parser.add_argument("--sigma", type=float, default=50.0, help="of the noise")
    parser.add_argument("--run", help="folder of a run; without it, train on digits")
    parser.add_argument("--data-dir", help="place of the run's data, if it has changed")
    parser.add_argument("--epochs", type=int, default=20, help="of training on digits")
    parser.add_argument("--images", type=int, default=8, help="how many to restore")
    parser.add_argument("--steps", type=int, default=100, help="of each ascent")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--output", default="restoration.png")
    arguments = parser.parse_args()

    restorer = load(arguments)
    images, missing = restorer.images, 1.0
    if arguments.task == "inpainting":
        known = make_mask(arguments.mask, images.shape, arguments.seed)
        missing = 1 - known.mean(axis=(1, 2, 3))
        rows = {"known": np.where(known, images, 128).astype("uint8")}
        rows |= inpaint(restorer, known, arguments.steps)
    else:
        noise = np.random.default_rng(arguments.seed).normal(size=images.shape)
        noisy = images + 0.5 + arguments.sigma * noise
        rows = {"noisy": to_uint8(noisy)}
        rows |= denoise(restorer, noisy, arguments.sigma, arguments.steps)
    print("PSNR is over the pixels that were missing or noisy.")
    rows = {"original": images, **rows}
    for name, row in rows.items():
        bits = image_bits_per_dim(restorer.flow, row, condition=restorer.condition)
        decibels = psnr(row, images) + 10 * np.log10(missing)
        print(f"{name}: {bits.mean():.3f} bits/dim, PSNR {decibels.mean():.2f} dB")
    draw(arguments.output, rows)
    print(f"Wrote {arguments.output}.")


if __name__ == "__main__":
    main()
