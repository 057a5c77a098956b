"""Measures how far evaluation by running statistics is from that by batch statistics.

    python benchmarks/statistics_gap.py runs/cifar10 --limit 1000

A gap means that the moving averages do not describe the data under the final weights.
"""

import argparse

import numpy as np
import tensorflow as tf

import tfp_realnvp as nvp
from tfp_realnvp.data import load_images
from tfp_realnvp.training.run_directory import RunDirectory


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("run", help="folder of the run")
    parser.add_argument("--data-dir", help="where the data are now, if elsewhere")
    parser.add_argument("--limit", type=int, default=1000, help="test images to use")
    parser.add_argument("--batch-size", type=int, default=100)
    parser.add_argument("--seed", type=int, default=0, help="of the jitter")
    arguments = parser.parse_args()

    directory = RunDirectory(arguments.run)
    config = directory.load_config()
    flow = directory.load_model().flow
    data = load_images(
        config.dataset,
        image_size=config.image_size,
        data_dir=arguments.data_dir or config.data_dir,
    )
    images = data.test.take(arguments.limit).batch(arguments.batch_size)
    weights = [v.numpy() for v in flow.variables]
    bits = {}
    for statistics, training in (("running", False), ("batch", True)):
        log_prob = tf.function(
            lambda x, training=training: flow.log_prob(
                x, bijector_kwargs={"training": training}
            )
        )
        bits[statistics] = []
        for i, batch in enumerate(images):
            noise = tf.random.stateless_uniform(batch.shape, [arguments.seed, i])
            value = log_prob(tf.cast(batch, flow.dtype) + tf.cast(noise, flow.dtype))
            bits[statistics].append(nvp.bits_per_dim(value, flow.event_shape))
            # Scoring by batch statistics moves the averages; put them back.
            for variable, weight in zip(flow.variables, weights, strict=True):
                variable.assign(weight)
        bits[statistics] = np.concatenate(bits[statistics])
        mean = bits[statistics].mean()
        error = bits[statistics].std() / np.sqrt(len(bits[statistics]))
        print(f"{statistics} statistics: {mean:.4f} +- {error:.4f} bits/dim")
    print(f"gap: {bits['running'].mean() - bits['batch'].mean():+.4f} bits/dim")


if __name__ == "__main__":
    main()
