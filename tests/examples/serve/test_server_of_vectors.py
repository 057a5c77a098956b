from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
from served import LABELS, VECTORS, signature

# The servers are started once.
pytestmark = pytest.mark.xdist_group("serve")


@pytest.mark.parametrize("condition", [LABELS, np.eye(3)[LABELS].tolist()])
def test_vectors_are_scored_under_labels_and_vectors(vectors, artifacts, condition):
    status, found, _ = vectors.post("/score", x=VECTORS.tolist(), condition=condition)
    expected = signature(
        artifacts / "conditional" / "1",
        "serving_default",
        x=np.float32(VECTORS),
        condition=np.float32(np.eye(3)[LABELS]),
    )
    assert (status, list(found)) == (200, ["log_prob"])
    np.testing.assert_allclose(found["log_prob"], expected["log_prob"], rtol=1e-5)


def test_vectors_are_sampled_under_a_condition(vectors):
    fields = {"num_samples": 6, "seed": [0, 1], "condition": LABELS}
    status, found, _ = vectors.post("/sample", **fields)
    assert (status, sorted(found)) == (200, ["log_prob", "samples", "seed"])
    rescored = vectors.post("/score", x=found["samples"], condition=LABELS)[1]
    np.testing.assert_allclose(rescored["log_prob"], found["log_prob"], rtol=1e-4)


@pytest.mark.parametrize(
    ("message", "fields"),
    [
        ("condition: Field required", {}),
        ("condition: expected 6, one for each", {"condition": [0]}),
        ("condition[5]: ", {"condition": [0, 0, 0, 0, 0, 3]}),
        ("condition[0]: ", {"condition": [[0, 1]] * 6}),
        ("condition: expected numbers of float32", {"condition": [[0, 0, 1e39]] * 6}),
        ("x: expected numbers of float32", {"x": [[0, 1e39]] * 6, "condition": LABELS}),
        ("x[0]: ", {"x": [[0, 1, 2]] * 6, "condition": LABELS}),
        ("x[0][1]: ", {"x": [[0, None]] * 6, "condition": LABELS}),
    ],
)
def test_bad_vectors_and_conditions_are_refused(vectors, message, fields):
    status, found, _ = vectors.post("/score", **{"x": VECTORS.tolist(), **fields})
    assert status == 422
    assert found["detail"].startswith(message)


def test_what_has_no_finite_density_is_refused_and_hurts_no_other(vectors):
    def score(x):
        return vectors.post("/score", x=[x], condition=[0])

    good, far = VECTORS[0].tolist(), [1e30, -1e30]
    (alone,) = score(good)[1]["log_prob"]
    with ThreadPoolExecutor(16) as pool:
        answers = list(pool.map(score, [good, far] * 16))
    for status, found, _ in answers[::2]:
        assert status == 200
        assert found["log_prob"] == pytest.approx([alone], rel=1e-5)
    for status, found, _ in answers[1::2]:
        assert status == 422
        assert "log_prob" in found["detail"]
