import pytest
import tensorflow as tf
from health_subjects import IMAGES, image_model


@pytest.fixture(scope="module")
def fitted_model():
    """Statistics are those of the data, weights those a flow begins with."""
    model = image_model(momentum=0.0)
    model(tf.constant(IMAGES), training=True)
    return model


@pytest.fixture
def model(fitted_model):
    """The fitted model, which gets back what a test spoils."""
    values = [weight.numpy() for weight in fitted_model.weights]
    yield fitted_model
    for weight, value in zip(fitted_model.weights, values, strict=True):
        weight.assign(value)
