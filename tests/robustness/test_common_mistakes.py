"""What people get wrong: a message that names it, before anything expensive."""

import keras
import numpy as np
import pytest
import small_subjects as small
import tensorflow as tf
import tensorflow_probability as tfp

import tfp_realnvp as nvp
from tfp_realnvp import figures
from tfp_realnvp.data import ImageSplit, load_images
from tfp_realnvp.evaluation import score_split
from tfp_realnvp.runs.run_directory import RunDirectory

tfd = tfp.distributions

PIXELS = np.zeros([4, 4, 4, 1], np.uint8)
VECTORS = np.zeros([4, 3], np.float32)


def dense(units):
    return keras.layers.Dense(units)


def fit(flow, *arguments, **kwargs):
    return small.model(flow).fit(*arguments, verbose=0, **kwargs)


def compiled(**arguments):
    return nvp.FlowModel(small.vectors()).compile(**arguments)


# The word that the message must begin with, and what is done.
MISTAKES = [
    ("hidden_units", lambda: nvp.MLP(2, hidden_units=64)),
    ("filters", lambda: nvp.ResNet(2, filters=0, num_blocks=1)),
    ("network", lambda: nvp.AffineCoupling((4,), "mlp", nvp.channel_mask)),
    (
        "network",
        lambda: nvp.AffineCoupling((4,), dense(4), nvp.channel_mask).forward(
            tf.zeros([1, 4])
        ),
    ),
    ("mask", lambda: nvp.AffineCoupling((4,), dense(4), np.ones([4]))),
    ("mask", lambda: nvp.AffineCoupling((4,), dense(4), np.ones([4], bool))),
    ("mask", lambda: nvp.AffineCoupling((4,), dense(4), np.array([True, False]))),
    ("y", lambda: nvp.PixelLogit().inverse(tf.zeros([2], tf.uint8))),
    ("alpha", lambda: nvp.PixelLogit(0.5)),
    ("condition", lambda: small.vectors(3).bijector.forward(VECTORS)),
    (
        "condition",
        lambda: small.vectors(3).bijector.forward(VECTORS, condition=[0, 1, 2, 3]),
    ),
    (
        "condition",
        lambda: small.vectors().bijector.forward(VECTORS, condition=[0, 1, 2, 0]),
    ),
    ("event_shape", lambda: nvp.RealNVPBijector((8, 8))),
    ("event_shape", lambda: nvp.RealNVPBijector((1,))),
    ("event_shape", lambda: nvp.image_flow()),
    ("num_scales", lambda: nvp.RealNVPBijector((6, 6, 1), num_scales=3)),
    ("num_scale", lambda: nvp.RealNVPBijector((8, 8, 1), num_scale=2)),
    ("preset", lambda: nvp.image_flow("cifar-10")),
    ("base", lambda: nvp.image_flow(event_shape=(4, 4, 1), base=tfd.Normal(0.0, 1.0))),
    ("value", lambda: small.flow().log_prob(PIXELS)),
    ("value", lambda: small.flow().log_prob(np.zeros([1, 8, 8, 1], np.float32))),
    ("flow", lambda: nvp.FlowModel(nvp.RealNVPBijector((3,)))),
    ("x", lambda: fit(small.flow(), PIXELS[:, :2])),
    ("x", lambda: fit(small.flow(), PIXELS.astype(int) - 1)),
    ("x", lambda: fit(small.flow(), PIXELS + 300.0)),
    ("x", lambda: fit(small.vectors(), VECTORS[:, :2])),
    ("condition", lambda: fit(small.vectors(), VECTORS, [0, 1, 2, 0])),
    ("condition", lambda: fit(small.vectors(3), VECTORS)),
    ("condition", lambda: fit(small.vectors(3), VECTORS, [0, 1, 2, 3])),
    ("loss", lambda: compiled(loss="mse")),
    ("average_decay", lambda: compiled(average_decay=1.0)),
    ("on_non_finite", lambda: compiled(on_non_finite="ignore")),
    ("dataset", lambda: load_images("mnist")),
    ("image_size", lambda: load_images("digits", image_size=16)),
    ("conditional", lambda: load_images("photos", conditional=True)),
    ("array", lambda: ImageSplit.from_array(PIXELS / 255)),
    ("conditions", lambda: ImageSplit.from_array(PIXELS, np.array([0, 1]))),
    ("batch_size", lambda: load_images("digits").training_batches(10**6, seed=0)),
    ("images", lambda: figures.encode_images(small.flow(), PIXELS[0])),
    ("images", lambda: figures.encode_images(small.flow(), PIXELS.astype(np.int64))),
    ("latents", lambda: figures.decode_latents(small.flow(), PIXELS[..., 0])),
    ("temperature", lambda: figures.sample_images(small.flow(), 1, temperature=-1)),
    ("factor", lambda: figures.extrapolated_samples(small.flow(), 1, factor=1.5)),
    ("a, b", lambda: figures.psnr(PIXELS, PIXELS / 255)),
    ("run", lambda: RunDirectory("nothing").load_config()),
    ("weights", lambda: RunDirectory("nothing").weights("newest")),
    (
        "limit",
        lambda: score_split(
            small.model(small.flow()), ImageSplit.from_array(PIXELS), limit=5
        ),
    ),
    ("flow", lambda: nvp.export_saved_model(small.flow().bijector, "nowhere")),
]


@pytest.mark.parametrize(("name", "call"), MISTAKES)
def test_a_common_mistake_is_named(name, call, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    kinds = (ValueError, TypeError, FileNotFoundError)
    with pytest.raises(kinds, match=rf"^{name}: expected"):
        call()
    assert not any(tmp_path.iterdir())
