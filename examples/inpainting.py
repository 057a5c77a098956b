"""Fills in missing pixels by ascending the exact log-likelihood of a flow.

    python examples/inpainting.py
    python examples/inpainting.py --run runs/celeba --data-dir my/tfds --mask block

Maximizes log p(x) over the latents z, where x = f(z) at the missing pixels and what is
known at all others; from the latents of the image filled in by its neighbours' average.
A step in z moves pixels together that belong together.

What is likeliest is no typical image but a smooth one: scattered pixels come back well,
in a large block there is little to see, and plain averages are often nearer.
"""

import numpy as np
import tensorflow as tf
from restoration import compare, draw, load, make_parser

from tfp_realnvp.figures import to_uint8

MISSING = 0.7


def make_mask(kind, shape, seed):
    """Returns `True` for known pixels, of shape [N, height, width, 1]."""
    count, height, width, _ = shape
    if kind == "scattered":
        uniform = np.random.default_rng(seed).random([count, height, width, 1])
        return uniform > MISSING
    known = np.ones([count, height, width, 1], bool)
    known[:, height // 4 : 3 * height // 4, width // 4 : 3 * width // 4] = False
    return known


def mean_fill(images, known):
    mean = images.mean(axis=(1, 2), keepdims=True, where=known)
    return np.where(known, images, mean)


def neighbours_fill(images, known, rounds=1000):
    """Makes each missing pixel the average of its neighbours, a harmonic function."""
    filled = mean_fill(images, known)
    for _ in range(rounds):
        padded = np.pad(filled, [(0, 0), (1, 1), (1, 1), (0, 0)], mode="edge")
        vertical = padded[:, :-2, 1:-1] + padded[:, 2:, 1:-1]
        horizontal = padded[:, 1:-1, :-2] + padded[:, 1:-1, 2:]
        filled = np.where(known, images, (vertical + horizontal) / 4)
    return filled


def inpaint(restorer, pixels, known, start, steps):
    """Returns 8-bit images with the known pixels and the likeliest others found."""
    pixels = tf.constant(pixels, tf.float32)

    def objective(z):
        x = tf.where(known, pixels, restorer.decode(z))
        return x, restorer.log_prob(x)

    return restorer.ascend(objective, start, steps)


def main():
    parser = make_parser(__doc__, "inpainting.png")
    parser.add_argument("--mask", choices=("scattered", "block"), default="scattered")
    arguments = parser.parse_args()

    restorer = load(arguments)
    known = make_mask(arguments.mask, restorer.images.shape, arguments.seed)
    # The middle of the interval that an 8-bit pixel stands for.
    pixels = restorer.images + 0.5
    neighbours = neighbours_fill(pixels, known)
    rows = {
        "mean": to_uint8(mean_fill(pixels, known)),
        "neighbours": to_uint8(neighbours),
        "flow": inpaint(restorer, pixels, known, neighbours, arguments.steps),
    }
    missing = 1 - known.mean(axis=(1, 2, 3))
    print(
        f"{missing.mean():.0%} of the pixels are missing; PSNR is that of these alone."
    )
    scores = restorer.report(rows, missing)
    compare(scores, "flow", "neighbours")
    masked = np.where(known, restorer.images, 128).astype("uint8")
    draw(arguments.output, {"original": restorer.images, "known": masked, **rows})
    print(f"Wrote {arguments.output}.")


if __name__ == "__main__":
    main()
