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
        (np.full(64, 3), r"condition: expected labels in \[0, 3\), got .* 3 to 3"),
        (np.zeros(64), r"got float64 of shape \(64,\)"),
        (np.full([64, 3], np.nan), "condition: expected finite numbers"),
        (np.zeros([64, 3], int), r"got int64 of shape \(64, 3\)"),
    ],
)
def test_bad_conditions_are_refused_before_any_training(condition, message):
    made = model()
    x, labels = data(64)
    for method in (made.fit, made.evaluate, made.predict):
        with pytest.raises(ValueError, match=message):
            method(x, condition, verbose=0)
    with pytest.raises(ValueError, match=message):
        made.fit(x, labels, validation_data=(x, condition), verbose=0)
    assert made.optimizer.iterations == 0


def test_bad_data_sets_of_pairs_are_refused_before_any_training():
    x, labels = data(64)
    alone = tf.data.Dataset.from_tensor_slices(x).batch(16)
    pairs = tf.data.Dataset.from_tensor_slices((x, labels)).batch(16)
    made = model()
    with pytest.raises(ValueError, match="condition: expected the labels"):
        made.fit(alone)
    with pytest.raises(ValueError, match="condition: expected None beside a data set"):
        made.fit(pairs, labels)
    with pytest.raises(ValueError, match="condition: expected integer labels"):
        made.fit(pairs.map(lambda x, label: (x, tf.cast(label, tf.float32))))
    unconditional = model(condition_size=None)
    for given in ((pairs,), (x, labels), ((pair for pair in [(x, labels)]),)):
        with pytest.raises(ValueError, match="condition: expected None"):
            unconditional.fit(*given)
    with pytest.raises(ValueError, match="condition: expected None"):
        unconditional(tf.zeros([2, 2]), condition=tf.constant([0, 1]))
