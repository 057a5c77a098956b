import time

import pytest
import tensorflow as tf

from tfp_realnvp.data import load_images
from tfp_realnvp.data.throughput import pipeline_images_per_second


def slow_batches(count):
    def batches():
        for _ in range(count):
            time.sleep(0.05)
            yield [0] * 10

    return tf.data.Dataset.from_generator(
        batches, output_signature=tf.TensorSpec([10], tf.int32)
    )


@pytest.mark.parametrize("count", [3, 1000])
def test_a_slow_pipeline_is_measured_even_if_it_ends(count):
    rate = pipeline_images_per_second(slow_batches(count), 10, seconds=0.4)
    assert 20 < rate < 201


def test_a_fast_pipeline_is_not_measured_for_longer_than_it_takes_to_know():
    start = time.perf_counter()
    pipeline_images_per_second(slow_batches(1000), 10, seconds=30.0, most=3)
    assert time.perf_counter() - start < 15


def test_the_pipeline_outruns_any_training_on_a_cpu():
    batches = load_images("digits").training_batches(64, seed=0)
    assert pipeline_images_per_second(batches, 64, seconds=0.2) > 2000
