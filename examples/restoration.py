"""What `inpainting.py` and `denoising.py` have in common."""

import argparse

import keras
import numpy as np
import tensorflow as tf
from matplotlib.figure import Figure
from trained_flow import load_run, train_small

from tfp_realnvp.data import load_images
from tfp_realnvp.figures import image_bits_per_dim, image_grid, psnr, to_uint8
from tfp_realnvp.files import atomic_path
from tfp_realnvp.flows import condition_vectors, distribution_kwargs


def make_parser(description, output):
    parser = argparse.ArgumentParser(description=description.splitlines()[0])
    parser.add_argument("--run", help="folder of `tfp-realnvp train`, else: digits")
    parser.add_argument("--data-dir", help="where the run's data are, if elsewhere")
    parser.add_argument("--epochs", type=int, default=20, help="of training on digits")
    parser.add_argument("--images", type=int, default=8, help="how many to restore")
    parser.add_argument("--steps", type=int, default=100, help="of each ascent")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--output", default=output)
    return parser


def load(arguments):
    """Returns a flow with test images to restore."""
    if arguments.run is not None:
        flow, data = load_run(arguments.run, arguments.data_dir)
    else:
        flow, data = None, load_images("digits")
    if not 1 <= arguments.images <= data.test.count:
        raise SystemExit(
            f"images: expected 1 to {data.test.count}, got {arguments.images}."
        )
    if flow is None:
        flow = train_small(data, arguments.epochs, arguments.seed)
    images = data.test.take(arguments.images)
    condition = data.test.take_conditions(arguments.images)
    return Restorer(flow, images, condition, arguments.seed)


def inside(images):
    return np.clip(images, 0.5, 255.5).astype("float32")


class Restorer:
    """A flow over pixels, for images under the conditions they have, if any."""

    def __init__(self, flow, images, condition=None, seed=0):
        self.flow, self.images, self.condition = flow, images, condition
        self._noise = tf.random.Generator.from_seed(seed)
        vectors = condition_vectors(flow, condition, len(images))
        self._kwargs = distribution_kwargs(flow, condition=vectors)

    def encode(self, x):
        return self.flow.bijector.inverse(x, **self._kwargs.get("bijector_kwargs", {}))

    def decode(self, z):
        return self.flow.bijector.forward(z, **self._kwargs.get("bijector_kwargs", {}))

    def log_prob(self, x):
        """Returns log p(x + noise), of noise that is new at every call.

        It is the width of a grey level, as in training: what the flow says of finer
        detail it has never learnt, and an ascent would find spikes of density there.
        """
        noise = self._noise.uniform(tf.shape(x), -0.5, 0.5)
        x = tf.clip_by_value(x + noise, 0.0, 255.99)
        return self.flow.log_prob(x, **self._kwargs)

    def log_prob_of_latents(self, z):
        kwargs = self._kwargs.get("distribution_kwargs", {})
        return self.flow.distribution.log_prob(z, **kwargs)

    def ascend(self, objective, start, steps, learning_rate=0.1):
        """Ascends a function of latents and their images, and returns the images.

        Args:
          objective: Function of latents that returns their images, as they are to be,
            and what to maximize of each, in nats.
          start: Images to begin with.
          steps: How many to go, each shorter than the one before.
          learning_rate: Of Adam, at first.
        """
        z = tf.Variable(self.encode(inside(start)))
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

    def report(self, rows, missing=1.0):
        """Prints how likely each row of images is, and how near to the originals.

        Args:
          rows: Dict of 8-bit images by what they are.
          missing: Share of an image's pixels that can differ, whose PSNR is wanted.

        Returns:
          Dict of the PSNR of every image.
        """
        print(f"original: {self._bits_per_dim(self.images):.3f} bits/dim")
        scores = {}
        for name, images in rows.items():
            scores[name] = psnr(images, self.images) + 10 * np.log10(missing)
            bits = self._bits_per_dim(images)
            print(f"{name}: {bits:.3f} bits/dim, PSNR {scores[name].mean():.2f} dB")
        return scores

    def _bits_per_dim(self, images):
        return image_bits_per_dim(self.flow, images, condition=self.condition).mean()


def compare(scores, ours, baseline):
    gains = scores[ours] - scores[baseline]
    error = gains.std(ddof=1) / np.sqrt(len(gains)) if len(gains) > 1 else np.nan
    verdict = "better" if gains.mean() > 0 else "worse"
    print(f"{ours} is {verdict} than {baseline}: {gains.mean():+.2f} +- {error:.2f} dB")


def draw(path, rows, side=64):
    """Draws rows of 8-bit images, with what they are at the left."""
    images = np.concatenate(list(rows.values()))
    columns, scale = len(images) // len(rows), max(1, side // images.shape[1])
    grid = image_grid(images, columns=columns, scale=scale, gap=2)
    height, width = np.array(grid.shape[:2]) / side
    figure = Figure(figsize=(width, height))
    panel = figure.subplots()
    panel.imshow(grid, cmap="gray", vmin=0, vmax=255)
    middles = (np.arange(len(rows)) + 0.5) * len(grid) / len(rows)
    panel.set_yticks(middles, rows, fontsize=7)
    panel.set_xticks([])
    panel.tick_params(length=0)
    panel.spines[:].set_visible(False)
    with atomic_path(path) as temporary:
        figure.savefig(temporary, dpi=120, bbox_inches="tight")
