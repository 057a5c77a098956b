"""Distinguishes images of two kinds by a flow's exact log-likelihood.

    python examples/anomaly_detection.py

One flow learns digits and another photographs, both at 8 x 8, and each scores the test
images of both. There are two scores, in bits/dim: -log p(x), and its distance from the
mean over training images (Nalisnick et al. 2019, arXiv 1906.02994), the latter for
single images and for groups. Likelihood alone can mislead: smooth images of another
kind are often likelier than the training images (Nalisnick et al. 2018, arXiv
1810.09136). For a run of your own, `tfp-realnvp score` computes likelihood and
typicality.
"""

import argparse

import keras
import numpy as np
import tensorflow as tf
from matplotlib.figure import Figure
from sklearn.metrics import roc_auc_score

import tfp_realnvp as nvp
from tfp_realnvp.data import load_images
from tfp_realnvp.figures import image_bits_per_dim

GROUP = 10


def small_and_grey(images):
    """Returns the images in grey, at 8 x 8 pixels of 8 bits."""
    images = tf.image.resize(tf.cast(images, tf.float32), [8, 8], "area")
    grey = tf.reduce_mean(images, axis=-1, keepdims=True)
    return tf.cast(tf.round(grey), tf.uint8)


def learn(data, epochs, seed):
    flow = nvp.image_flow("digits", seed=seed)
    model = nvp.FlowModel(flow, seed=seed)
    model.compile(keras.optimizers.Adam(2e-3, global_clipnorm=100.0))
    batches = data.training_batches(64, seed=seed).map(small_and_grey)
    steps = data.steps_per_epoch(64)
    model.fit(batches, steps_per_epoch=steps, epochs=epochs, verbose=2)
    return flow


def aucs(training, own, other, seed=0):
    """Returns the ROC-AUC of each score: 1 if it separates all others from all own."""
    shuffle = np.random.default_rng(seed).permutation

    def grouped(bits):
        whole = len(bits) // GROUP * GROUP
        return shuffle(bits)[:whole].reshape(-1, GROUP).mean(axis=1)

    def distance(bits):
        return np.abs(bits - training.mean())

    def auc(own, other):
        is_other = np.repeat([0, 1], [len(own), len(other)])
        return roc_auc_score(is_other, np.concatenate([own, other]))

    groups = grouped(own), grouped(other)
    return {
        "-log p": auc(own, other),
        "typicality": auc(distance(own), distance(other)),
        f"typicality of {GROUP}": auc(*map(distance, groups)),
    }


def compare(flow, data, other, count):
    """Prints the scores of two data sets' test images under a flow of the first."""
    bits = [
        image_bits_per_dim(flow, small_and_grey(split.take(count)).numpy())
        for split in (data.train, data.test, other.test)
    ]
    print(f"A flow of {data.name} ({bits[0].mean():.3f} bits/dim in training):")
    for name, values in ((data.name, bits[1]), (other.name, bits[2])):
        error = values.std(ddof=1) / np.sqrt(len(values))
        print(f"  test images of {name}: {values.mean():.3f} +- {error:.3f} bits/dim")
    found = aucs(*bits)
    print(f"  ROC-AUC: {', '.join(f'{name} {auc:.3f}' for name, auc in found.items())}")
    return data.name, other.name, bits, found


def draw(path, results):
    figure = Figure(figsize=(6 * len(results), 4.2), layout="constrained")
    panels = figure.subplots(1, len(results))
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
    figure.savefig(path, dpi=100)


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--epochs", type=int, default=10)
    parser.add_argument("--images", type=int, default=500, help="of each kind, at most")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--output", default="anomaly_detection.png")
    arguments = parser.parse_args()

    digits, photos, results = load_images("digits"), load_images("photos"), []
    for data, other in ((digits, photos), (photos, digits)):
        flow = learn(data, arguments.epochs, arguments.seed)
        results.append(compare(flow, data, other, arguments.images))
    draw(arguments.output, results)
    print(f"Wrote {arguments.output}.")


if __name__ == "__main__":
    main()
