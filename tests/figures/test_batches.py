import numpy as np
import pytest

from tfp_realnvp.data import progress
from tfp_realnvp.figures.batches import map_batches


def test_all_arrays_are_cut_alike_and_what_is_none_stays_none():
    sizes = []

    def function(x, nothing, y):
        assert nothing is None
        sizes.append(len(x))
        return x + y

    x = np.arange(5)
    result = map_batches(function, x, None, 10 * x, batch_size=2)
    np.testing.assert_array_equal(result, 11 * x)
    assert sizes == [2, 2, 1]


def test_what_takes_long_says_how_far_it_is(capsys, monkeypatch):
    monkeypatch.setattr(progress, "_IN_A_FILE", 0.0)
    map_batches(lambda x: x, np.arange(4), batch_size=3)
    assert capsys.readouterr().out == "3 of 4 images\n"


def test_an_empty_batch_is_refused():
    with pytest.raises(ValueError, match="batch_size: expected a positive int, got 0"):
        map_batches(lambda x: x, np.arange(4), batch_size=0)
