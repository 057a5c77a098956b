import decimal
import functools

import numpy as np
import pytest
import tensorflow as tf

from tfp_realnvp import arguments

shape = functools.partial(arguments.checked_shape, expected="a shape")
NUMBERS = "an array of numbers"
REFUSED = [
    (arguments.check_int, ".*", [0, -1, 2**63, 10**400, 1.0, "1", None, True]),
    (arguments.check_int, ".*", [np.uint8(1), np.int64(2**40), np.int32(2**20)]),
    (arguments.check_number, "a finite number", [np.nan, np.inf, 1e39, 10**400]),
    (arguments.check_number, "a finite number", ["1", None, True, 1j]),
    (arguments.check_number, "a finite number", [decimal.Decimal(1)]),
    (shape, "a shape", [3, "34", None, [2, 0], [2.0], [True], {2: 3}, [1] * 99]),
    (shape, "a shape", [tf.TensorShape(None), [2, tf.constant(4)]]),
    (arguments.checked_array, NUMBERS, [[[1], [2, 3]], "a", [None], 1j]),
    (arguments.checked_array, NUMBERS, [np.array(["a"]), np.datetime64("2020-01-01")]),
]


@pytest.mark.parametrize(("check", "expected", "values"), REFUSED)
def test_what_is_not_wanted_is_refused_in_few_words(check, expected, values):
    for value in values:
        message = f"count: expected {expected}, got "
        with pytest.raises(ValueError, match=message) as caught:
            check("count", value)
        assert len(str(caught.value)) < 300, value


def test_what_is_wanted_passes():
    for value in (1, 2**62, np.int64(3), np.int32(3)):
        arguments.check_int("count", value)
    scalar = tf.constant(4)
    first, second = shape("s", [np.int64(2), scalar], tensors=True)
    assert type(first) is int and second is scalar
    assert shape("s", tf.TensorShape([2, 3])) == (2, 3)


def test_what_is_named_in_an_error_is_short_whatever_it_is():
    class Hostile:
        def __repr__(self):
            raise RuntimeError

    values = [Hostile(), "x" * 10**6, list(range(10**5)), np.zeros([9, 9]), 10**5000]
    for value in values:
        assert 0 < len(arguments.shortened(value)) < 300


def test_memory_is_asked_for_what_is_large_alone(monkeypatch):
    monkeypatch.setattr(arguments, "available_bytes", lambda: 1)
    arguments.check_fits("count", 3, 2**20, "images")
    with pytest.raises(ValueError, match="count: expected images that fit in memory"):
        arguments.check_fits("count", 3, 2**40, "images")
    monkeypatch.setattr(arguments, "available_bytes", lambda: None)
    arguments.check_fits("count", 3, 2**40, "images")


@pytest.mark.parametrize(("limit", "left"), [("1000", 1000 - 700 + 500), ("max", None)])
def test_a_container_can_have_less_memory_and_gives_up_cached_files(
    limit, left, monkeypatch, tmp_path
):
    monkeypatch.setattr(arguments, "_CONTROL_GROUP", tmp_path)
    of_machine = arguments.available_bytes()
    (tmp_path / "memory.max").write_text(f"{limit}\n")
    (tmp_path / "memory.current").write_text("700\n")
    statistics = "anon 200\ninactive_file 400\nactive_file 100\n"
    (tmp_path / "memory.stat").write_text(statistics)
    if left is None:
        assert arguments.available_bytes() == pytest.approx(of_machine, rel=0.5)
    else:
        assert arguments.available_bytes() == left
