"""Common mistakes: each gets a message that names it, before anything expensive."""

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


def fit(flow, *arguments):
    return small.model(flow).fit(*arguments, verbose=0)


def compiled(**arguments):
    return nvp.FlowModel(small.vectors()).compile(**arguments)


def coupling(network, mask=nvp.channel_mask):
    return nvp.AffineCoupling((4,), network, mask)


def scored(limit):
    return score_split(small.model(small.flow()), SPLIT, limit=limit)


SPLIT = ImageSplit.from_array(PIXELS)
DENSE = keras.layers.Dense(4)
# The word that the message must begin with, and what is done. What flows are made of
# is in `tests/flows/test_refused.py`.
MISTAKES = [
    ("hidden_units", lambda: nvp.MLP(2, hidden_units=64)),
    ("filters", lambda: nvp.ResNet(2, filters=0, num_blocks=1)),
    ("network", lambda: coupling("mlp")),
    ("transform", lambda: nvp.Coupling((4,), DENSE, nvp.channel_mask, 3)),
    ("mask", lambda: coupling(DENSE, np.ones([4]))),
    ("mask", lambda: coupling(DENSE, np.ones([4], bool))),
    ("mask", lambda: coupling(DENSE, np.array([True, False]))),
    ("normalize_by", lambda: nvp.BatchMoments("layer")),
    ("momentum", lambda: nvp.BatchMoments(momentum=1.5)),
    ("x", lambda: nvp.Squeeze().forward(tf.zeros([4, 4]))),
    ("y", lambda: nvp.PixelLogit().inverse(tf.zeros([2], tf.uint8))),
    ("alpha", lambda: nvp.PixelLogit(0.0)),
    ("alpha", lambda: nvp.PixelLogit(0.5)),
    ("preset", lambda: nvp.image_flow("cifar-10")),
    ("base", lambda: nvp.image_flow(event_shape=(4, 4, 1), base=tfd.Normal(0.0, 1.0))),
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
    ("limit", lambda: scored(limit=5)),
    ("flow", lambda: nvp.export_saved_model(small.flow().bijector, "nowhere")),
]


@pytest.mark.parametrize(("name", "call"), MISTAKES)
def test_a_common_mistake_is_named(name, call, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    kinds = (ValueError, TypeError, FileNotFoundError)
    with pytest.raises(kinds, match=rf"^{name}: expected"):
        call()
    assert not any(tmp_path.iterdir())
