import numpy as np
import pytest

import tfp_realnvp as nvp

SHAPE = (8, 8, 1)


def moved(**sizes):
    """A flow whose weights are moved away from the identity, where it starts."""
    flow = nvp.image_flow(event_shape=SHAPE, filters=4, num_blocks=1, seed=0, **sizes)
    rng = np.random.default_rng(0)
    for variable in flow.trainable_variables:
        variable.assign_add(0.2 * rng.normal(size=variable.shape))
    return flow


@pytest.fixture(scope="session")
def flow():
    """An unconditional flow of three scales."""
    return moved(num_scales=3)


@pytest.fixture(scope="session")
def by_class():
    """A flow of two scales and three classes."""
    return moved(condition_size=3)


@pytest.fixture(scope="session")
def images():
    """Eight images of noise around eight levels of grey."""
    levels = np.linspace(40, 200, 8)[:, None, None, None]
    noisy = np.random.default_rng(0).normal(levels, 15, [8, *SHAPE])
    return noisy.clip(0, 255).astype(np.uint8)


@pytest.fixture(scope="session")
def labels():
    """Their classes."""
    return np.arange(8) % 3
