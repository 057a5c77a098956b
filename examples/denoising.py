"""Takes Gaussian noise off images with the exact log-likelihood of a flow.

    python examples/denoising.py
    python examples/denoising.py --run runs/celeba --data-dir my/tfds --sigma 25

With y = x + noise and x = f(z), the posterior has a mode over pixels, which maximizes

    log p(x) - |y - x|^2 / (2 sigma^2),

and one over latents, with log p_Z(z) in place of log p(x). They differ by the flow's
log-determinant, which favours smooth images: the mode over pixels comes out likelier
than real images are, too smooth, and after much noise another image. Both ascents go
through z.
"""

import numpy as np
import tensorflow as tf
from restoration import compare, draw, inside, load, make_parser
from scipy import ndimage

from tfp_realnvp.figures import psnr, to_uint8

WIDTHS = (0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 1.0, 1.2, 1.5)


def denoise(restorer, noisy, sigma, steps, *, over):
    """Returns the 8-bit images at the mode over "pixels" or over "latents"."""
    noisy = noisy.astype("float32")

    def objective(z):
        x = restorer.decode(z)
        distance = tf.reduce_sum(tf.square(noisy - x), axis=[1, 2, 3])
        if over == "latents":
            prior = restorer.log_prob_of_latents(z)
        else:
            prior = restorer.log_prob(x)
        return x, prior - distance / (2 * sigma**2)

    starts = [noisy, ndimage.median_filter(noisy, (1, 3, 3, 1))]
    values = [objective(restorer.encode(inside(start)))[1] for start in starts]
    # The noise may be less than what the filter takes away.
    start = np.where(np.less(*values)[:, None, None, None], starts[1], starts[0])
    return restorer.ascend(objective, start, steps)


def best_gaussian_filter(noisy, originals):
    """Returns the filtered images nearest to the originals, which it must know."""
    results = [
        to_uint8(ndimage.gaussian_filter(noisy, (0, width, width, 0)))
        for width in WIDTHS
    ]
    return max(results, key=lambda images: psnr(images, originals).mean())


def main():
    parser = make_parser(__doc__, "denoising.png")
    parser.add_argument("--sigma", type=float, default=50.0, help="of the noise")
    arguments = parser.parse_args()

    restorer = load(arguments)
    shape = restorer.images.shape
    noise = np.random.default_rng(arguments.seed).normal(size=shape)
    noisy = restorer.images + 0.5 + arguments.sigma * noise
    rows = {
        "noisy": to_uint8(noisy),
        "Gaussian filter": best_gaussian_filter(noisy, restorer.images),
    }
    for over in ("pixels", "latents"):
        print(f"Mode over {over}")
        rows[f"over {over}"] = denoise(
            restorer, noisy, arguments.sigma, arguments.steps, over=over
        )
    scores = restorer.report(rows)
    compare(scores, "over latents", "noisy")
    compare(scores, "over latents", "Gaussian filter")
    draw(arguments.output, {"original": restorer.images, **rows})
    print(f"Wrote {arguments.output}.")


if __name__ == "__main__":
    main()
