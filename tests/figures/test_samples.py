import numpy as np
import pytest

from tfp_realnvp.figures import sample_images


def test_samples_follow_their_condition(by_class):
    samples = sample_images(
        by_class, 4, seed=0, temperature=0.0, condition=[0, 0, 1, 2]
    )
    np.testing.assert_array_equal(samples[0], samples[1])
    assert np.any(samples[0] != samples[2])
    assert np.any(samples[2] != samples[3])


def test_a_condition_is_wanted_for_every_sample(by_class):
    with pytest.raises(ValueError, match="condition: expected one for each of 4"):
        sample_images(by_class, 4, condition=[0, 1])


def test_a_conditional_flow_is_not_sampled_without_one(by_class):
    with pytest.raises(ValueError, match="condition: expected integer labels"):
        sample_images(by_class, 4)
