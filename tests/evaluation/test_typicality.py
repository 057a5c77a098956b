import numpy as np
import pytest
from sklearn.metrics import roc_auc_score

from tfp_realnvp.evaluation.typicality import roc_auc, typicality


def test_p_values_of_images_like_the_reference_are_right():
    random = np.random.default_rng(0)
    # A new reference each time, for the promise is one over both.
    draws = random.normal(size=[20_000, 20])
    p = np.array([typicality(x[:1], x[1:])[0] for x in draws])
    for level in (0.1, 0.2, 0.5):
        assert abs(np.mean(p <= level) - level) < 0.015


@pytest.mark.parametrize(
    ("score", "expected"),
    [(-9, 0.2), (10, 0.2), (9, 0.4), (5, 1), (0.5, 0.4), (np.nan, np.nan)],
)
def test_scores_are_strange_on_either_side(score, expected):
    reference = np.random.default_rng(0).permutation(9) + 1.0
    reference[reference == 1] = 0
    np.testing.assert_allclose(typicality(np.array([score]), reference), expected)


def test_the_area_under_the_curve_is_that_of_scikit_learn():
    random = np.random.default_rng(0)
    normal, other = random.integers(0, 9, 40), random.integers(2, 12, 30)
    found, error = roc_auc(normal, other)
    is_other = np.repeat([0, 1], [40, 30])
    assert found == pytest.approx(roc_auc_score(is_other, np.append(normal, other)))
    again = [
        roc_auc(random.choice(normal, 40), random.choice(other, 30))[0]
        for _ in range(2000)
    ]
    assert error == pytest.approx(np.std(again), rel=0.1)
    assert roc_auc(normal, other + 100) == (1.0, 0.0)
