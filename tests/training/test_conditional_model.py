import keras
import numpy as np
import pytest
import tensorflow as tf
import tensorflow_probability as tfp

import tfp_realnvp as nvp

tfb = tfp.bijectors
tfd = tfp.distributions

CENTRES = np.array([[0.0, 0.0], [4.0, 0.0], [0.0, 4.0]])


def data(count=600):
    rng = np.random.default_rng(0)
    labels = rng.integers(0, 3, count)
    x = CENTRES[labels] + rng.normal(scale=0.3, size=(count, 2))
    return x.astype("float32"), labels


def model(**sizes):
    flow = tfd.TransformedDistribution(
        tfd.MultivariateNormalDiag(tf.zeros(2), tf.ones(2)),
        nvp.RealNVPBijector(
            (2,),
            num_couplings=4,
            hidden_units=(16,),
            **{"condition_size": 3, "seed": 0, **sizes},
        ),
    )
    made = nvp.FlowModel(flow)
    made.compile(keras.optimizers.Adam(5e-3))
    return made


def test_a_conditional_flow_learns_which_label_is_where():
    x, labels = data()
    conditional = model()
    history = conditional.fit(
        x, labels, epochs=25, validation_data=(x, labels), verbose=0
    ).history
    assert set(history) == {"loss", "nll", "val_loss", "val_nll"}
    # The entropy of each cluster is 2 * (log(0.3) + 1.419) = 0.43 nats.
    assert history["val_nll"][-1] < 1.5
    for label, centre in enumerate(CENTRES):
        samples = conditional.flow.sample(
            500, seed=(0, 1), bijector_kwargs={"condition": label}
        )
        np.testing.assert_allclose(np.mean(samples, axis=0), centre, atol=0.5)
    by_label = conditional.flow.log_prob(
        x[:, None], bijector_kwargs={"condition": tf.range(3)}
    )
    assert np.mean(np.argmax(by_label, axis=1) == labels) > 0.95


def test_arrays_data_sets_and_vectors_are_the_same_to_it():
    x, labels = data(64)
    arrays = model()
    arrays.fit(x, labels, batch_size=16, shuffle=False, verbose=0)
    expected = arrays.predict(x, labels, verbose=0)
    assert expected.shape == (64,)

    pairs = tf.data.Dataset.from_tensor_slices((x, labels)).batch(16)
    datasets = model()
    datasets.fit(pairs, verbose=0)
    np.testing.assert_allclose(datasets.predict(pairs, verbose=0), expected, rtol=1e-5)

    vectors = model()
    one_hot = np.eye(3, dtype="float32")[labels]
    vectors.fit(x, one_hot, batch_size=16, shuffle=False, verbose=0)
    np.testing.assert_allclose(
        vectors.predict(x, one_hot, verbose=0), expected, rtol=1e-5
    )

    scores = [
        arrays.evaluate(x, labels, verbose=0, return_dict=True)["nll"],
        datasets.evaluate(pairs, verbose=0, return_dict=True)["nll"],
    ]
    np.testing.assert_allclose(scores, -expected.mean(), rtol=1e-5)


def test_conditional_image_flows_train_with_keras():
    rng = np.random.default_rng(0)
    labels = rng.integers(0, 2, 128)
    noise = rng.normal(scale=10, size=(128, 4, 4, 1))
    images = np.where(labels[:, None, None, None], 200, 50) + noise
    images = images.astype("uint8")
    sizes = {"num_scales": 1, "filters": 8, "num_blocks": 1}
    bits = {}
    for condition_size, condition in ((2, labels), (None, None)):
        flow = nvp.image_flow(
            event_shape=(4, 4, 1), condition_size=condition_size, seed=0, **sizes
        )
        made = nvp.FlowModel(flow, seed=0)
        made.compile()
        made.fit(images, condition, epochs=10, verbose=0)
        result = made.evaluate(images, condition, verbose=0, return_dict=True)
        bits[condition_size] = result["bits_per_dim"]
    assert bits[2] < bits[None]


def test_a_conditional_flow_in_a_chain_of_tfp_is_reached():
    flow = model().flow
    chained = tfd.TransformedDistribution(
        flow.distribution, tfb.Chain([tfb.Shift([1.0, 1.0]), flow.bijector])
    )
    made = nvp.FlowModel(chained)
    made.compile()
    x, labels = data(32)
    assert np.isfinite(made.fit(x, labels, verbose=0).history["loss"]).all()


@pytest.mark.parametrize(
    ("condition", "message"),
    [
        (None, "condition: expected the labels or vectors .* condition_size=3"),
        (np.zeros(10, int), "condition: expected one for each of the 64 .* got 10"),
        (np.full(64, 3), r"condition: expected labels in \[0, 3\), got .* 3 to 3"),
        (np.zeros(64), r"got float64 of shape \(64,\)"),
        (np.zeros([64, 2]), r"vectors of shape \(N, 3\), got float64 .* \(64, 2\)"),
        (np.full([64, 3], np.nan), "condition: expected finite numbers"),
        (np.zeros([64, 3], int), r"got int64 of shape \(64, 3\)"),
    ],
)
def test_bad_conditions_are_refused_before_any_training(condition, message):
    made = model()
    x, _ = data(64)
    for method in (made.fit, made.evaluate, made.predict):
        with pytest.raises(ValueError, match=message):
            method(x, condition, verbose=0)
    assert made.optimizer.iterations == 0


def test_bad_data_sets_of_pairs_are_refused_before_any_training():
    x, labels = data(64)
    alone = tf.data.Dataset.from_tensor_slices(x).batch(16)
    pairs = tf.data.Dataset.from_tensor_slices((x, labels)).batch(16)
    made = model()
    with pytest.raises(ValueError, match="x: expected a data set of pairs"):
        made.fit(alone)
    with pytest.raises(ValueError, match="condition: expected None beside a data set"):
        made.fit(pairs, labels)
    with pytest.raises(ValueError, match="condition: expected integer labels"):
        made.fit(pairs.map(lambda x, label: (x, tf.cast(label, tf.float32))))
    unconditional = model(condition_size=None)
    with pytest.raises(ValueError, match="x: expected a data set of batches of x alo"):
        unconditional.fit(pairs)
    with pytest.raises(ValueError, match="condition: expected None"):
        unconditional.fit(x, labels)


def generator_of_pairs():
    x, labels = data(32)
    yield x, labels


def test_pairs_of_a_generator_reach_the_flow():
    history = model().fit(generator_of_pairs(), verbose=0).history
    assert np.isfinite(history["loss"]).all()
    with pytest.raises(ValueError, match="condition: expected None"):
        model(condition_size=None).fit(generator_of_pairs(), verbose=0)
    with pytest.raises(ValueError, match="condition: expected None"):
        model(condition_size=None)(tf.zeros([2, 2]), condition=tf.constant([0, 1]))


def test_bad_validation_data_are_refused_before_any_training():
    x, labels = data(32)
    made = model()
    with pytest.raises(ValueError, match="condition: expected the labels"):
        made.fit(x, labels, validation_data=(x,), verbose=0)
    with pytest.raises(ValueError, match=r"x: expected batches of shape \(N, 2\)"):
        made.fit(x, labels, validation_data=(x[:, :1], labels), verbose=0)
    assert made.optimizer.iterations == 0
