"""Tells images of one kind from those of another by a flow's exact log-likelihood.

    python examples/anomaly_detection.py
    python examples/anomaly_detection.py --run runs/cifar10 --against celeb_a

Without --run, one flow learns digits and another photographs, both at 8 x 8, and each
scores the other's test images. Two scores, as bits/dim: -log p(x), and how far that is
from the mean of training images (Nalisnick et al. 2019, arXiv 1906.02994), of single
images and of groups. Likelihood alone is known to mislead: smooth images of another
kind are often likelier than those learnt (Nalisnick et al. 2018, arXiv 1810.09136).
"""

import argparse

import numpy as np
import tensorflow as tf
from matplotlib.figure import Figure
from sklearn.metrics import roc_auc_score
from trained_flow import load_run, train_small

from tfp_realnvp.data import load_images
from tfp_realnvp.figures import image_bits_per_dim
from tfp_realnvp.files import atomic_path

GROUP = 10


def converted(images, shape):
    """Returns 8-bit images scaled to that shape, in grey or in colour."""
    height, width, channels = shape
    images = tf.image.resize(tf.cast(images, tf.float32), [height, width], "area")
    if channels == 1:
        images = tf.reduce_mean(images, axis=-1, keepdims=True)
    images = tf.repeat(images, channels // images.shape[-1], axis=-1)
    return tf.cast(tf.round(images), tf.uint8)


def small_and_grey(images):
    return converted(images, (8, 8, 1))


def bits_of(flow, split, count):
    """Returns the bits/dim of images under the flow.

    Under a flow conditioned on classes, an image's density is the mean over classes:
    nothing is known of the other data.
    """
    images = converted(split.take(count), flow.event_shape).numpy()
    size = flow.bijector.condition_size
    if size is None:
        return image_bits_per_dim(flow, images)
    dimensions = np.prod(flow.event_shape)
    nats = [
        -np.log(2) * dimensions * image_bits_per_dim(flow, images, condition=labels)
        for labels in np.full([len(images), size], np.arange(size)).T
    ]
    return -(np.logaddexp.reduce(nats) - np.log(size)) / (np.log(2) * dimensions)


def aucs(training, own, other, seed=0):
    """Returns the ROC-AUC of each score, 1 if it tells all others from all own."""
    shuffle = np.random.default_rng(seed).permutation
    own_groups, other_groups = (
        shuffle(bits)[: len(bits) // GROUP * GROUP].reshape(-1, GROUP).mean(axis=1)
        for bits in (own, other)
    )

    def distance(bits):
        return np.abs(bits - training.mean())

    def auc(own, other):
        is_other = np.repeat([0, 1], [len(own), len(other)])
        return roc_auc_score(is_other, np.concatenate([own, other]))

    return {
        "-log p": auc(own, other),
        "typicality": auc(distance(own), distance(other)),
        f"typicality of {GROUP}": auc(distance(own_groups), distance(other_groups)),
    }


def compare(flow, data, other, count):
    """Prints how the test images of two data sets score under a flow of the first."""
    splits = data.train, data.test, other.test
    bits = [bits_of(flow, split, count) for split in splits]
    print(f"A flow of {data.name} ({bits[0].mean():.3f} bits/dim in training):")
    for name, values in ((data.name, bits[1]), (other.name, bits[2])):
        error = values.std(ddof=1) / np.sqrt(len(values))
        print(f"  test images of {name}: {values.mean():.3f} +- {error:.3f} bits/dim")
    found = aucs(*bits)
    print(f"  ROC-AUC: {', '.join(f'{name} {auc:.3f}' for name, auc in found.items())}")
    if found["-log p"] < 0.5:
        print(f"  Likelihood misleads: {other.name} is likelier than {data.name}.")
    else:
        print("  Likelihood does not mislead here; with other data it is known to.")
    return data.name, other.name, bits, found


def draw(path, results):
    figure = Figure(figsize=(6 * len(results), 4.2), layout="constrained")
    panels = figure.subplots(1, len(results), squeeze=False)[0]
    for panel, result in zip(panels, results, strict=True):
        name, other, (training, *tests), found = result
        bins = np.histogram_bin_edges(np.concatenate(tests), 50)
        for label, bits in zip((name, other), tests, strict=True):
            panel.hist(bits, bins, density=True, alpha=0.6, label=f"{label}, test")
        panel.axvline(training.mean(), color="black", label=f"{name}, training mean")
        scores = ", ".join(f"{score} {auc:.2f}" for score, auc in found.items())
        panel.set_title(f"Flow of {name}, ROC-AUC:\n{scores}", fontsize=10)
        panel.set(xlabel="bits / dim", ylabel="density")
        panel.legend()
    with atomic_path(path) as temporary:
        figure.savefig(temporary, dpi=100)


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--run", help="folder of `tfp-realnvp train`")
    parser.add_argument("--against", default="digits", help="the run's other data set")
    parser.add_argument("--data-dir", help="folder of prepared TFDS data")
    parser.add_argument("--epochs", type=int, default=10, help="without --run")
    parser.add_argument("--images", type=int, default=500, help="of each, at most")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--output", default="anomaly_detection.png")
    arguments = parser.parse_args()

    if arguments.run is not None:
        flow, data = load_run(arguments.run, arguments.data_dir)
        if np.ndim(data.test.take_conditions(1)) > 1:
            parser.error("--run: expected a flow conditioned on classes or on nothing.")
        other = load_images(arguments.against, data_dir=arguments.data_dir)
        known = [(flow, data, other)]
    else:
        known, digits, photos = [], load_images("digits"), load_images("photos")
        for data, other in ((digits, photos), (photos, digits)):
            flow = train_small(data, arguments.epochs, arguments.seed, small_and_grey)
            known.append((flow, data, other))
    results = [compare(*each, arguments.images) for each in known]
    draw(arguments.output, results)
    print(f"Wrote {arguments.output}.")


if __name__ == "__main__":
    main()
