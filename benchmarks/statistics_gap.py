"""Measures how far evaluation by running statistics is from that by batch statistics.

    python benchmarks/statistics_gap.py runs/cifar10 --limit 1000

A gap means that the moving averages do not describe the data under the final weights.
"""

import argparse

import numpy as np

from tfp_realnvp.data import load_images
from tfp_realnvp.health.measures import StatisticsGap
from tfp_realnvp.runs.run_directory import RunDirectory


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
    data = load_images(
        config.dataset,
        image_size=config.image_size,
        data_dir=arguments.data_dir or config.data_dir,
    )
    gap = StatisticsGap(directory.load_model())
    images = data.test_batches(arguments.batch_size, limit=arguments.limit)
    scores = [
        gap.scores(batch, seed=(arguments.seed, i)) for i, batch in enumerate(images)
    ]
    running, batch = (np.concatenate(values) for values in zip(*scores, strict=True))
    for statistics, bits in (("running", running), ("batch", batch)):
        error = bits.std() / np.sqrt(len(bits))
        print(f"{statistics} statistics: {bits.mean():.4f} +- {error:.4f} bits/dim")
    print(f"gap: {running.mean() - batch.mean():+.4f} bits/dim")


if __name__ == "__main__":
    main()
