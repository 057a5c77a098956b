"""What TensorFlow is switched to, for a whole process, and flows must stand."""

import subprocess
import sys

PROGRAM = """
import numpy as np
import tensorflow as tf

tf.experimental.numpy.experimental_enable_numpy_behavior()
tf.debugging.enable_check_numerics()

from small_model import new_image_model, vector_model, vectors

images = np.random.default_rng(0).integers(0, 256, [8, 4, 4, 1], np.uint8)
for model, x in (
    (new_image_model(num_scales=2), images),
    (vector_model(run_eagerly=True), vectors(8)),
):
    history = model.fit(x, validation_data=(x,), verbose=0).history
    assert all(np.isfinite(values).all() for values in history.values())
    assert np.isfinite(model.predict(x, verbose=0)).all()
    flow = model.flow
    drawn, log_prob = flow.experimental_sample_and_log_prob(2, seed=(0, 1))
    again = tf.function(flow.log_prob)(tf.identity(drawn))
    np.testing.assert_allclose(log_prob, again, rtol=1e-4)
"""


def test_flows_work_under_numpy_behaviour_and_checked_numerics():
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM],
        capture_output=True,
        text=True,
        env={"PYTHONPATH": ":".join(sys.path), "TF_CPP_MIN_LOG_LEVEL": "2"},
    )
    assert done.returncode == 0, done.stderr
