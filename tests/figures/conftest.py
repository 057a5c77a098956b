import numpy as np
import pytest

import tfp_realnvp as nvp

SHAPE = (8, 8, 1)


def moved(flow, seed=0):
    """Moves the weights of a flow away from the identity it begins near."""
    rng = np.random.default_rng(seed)
    for variable in flow.trainable_variables:
        variable.assign_add(0.2 * rng.normal(size=variable.shape))
    return flow


@pytest.fixture(scope="session")
def flow():
    """An unconditional flow of three scales."""
    return moved(
        nvp.image_flow(event_shape=SHAPE, num_scales=3, filters=4, num_blocks=1, seed=0)
    )


@pytest.fixture(scope="session")
def by_class():
    """A flow of two scales and three classes."""
    return moved(
        nvp.image_flow(
            event_shape=SHAPE, filters=4, num_blocks=1, condition_size=3, seed=0
        )
    )


@pytest.fixture(scope="session")
def images():
    """Eight images of noise around eight levels of grey."""
    rng = np.random.default_rng(0)
    levels = np.linspace(40, 200, 8)[:, None, None, None]
    return rng.normal(levels, 15, [8, *SHAPE]).clip(0, 255).astype(np.uint8)


@pytest.fixture(scope="session")
def labels():
    """Their classes."""
    return np.arange(8) % 3
