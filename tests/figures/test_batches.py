import numpy as np
import pytest

from tfp_realnvp.figures import batches
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


def test_a_bar_is_shown_only_for_what_takes_long(capsys, monkeypatch):
    map_batches(lambda x: x, np.arange(4), batch_size=1)
    assert capsys.readouterr().out == ""
    monkeypatch.setattr(batches, "_PATIENCE", -1.0)
    map_batches(lambda x: x, np.arange(4), batch_size=1)
    assert "4/4" in capsys.readouterr().out


def test_an_empty_batch_is_refused():
    with pytest.raises(ValueError, match="batch_size: expected a positive int, got 0"):
        map_batches(lambda x: x, np.arange(4), batch_size=0)
