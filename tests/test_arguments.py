import decimal

import numpy as np
import pytest
import tensorflow as tf

from tfp_realnvp import arguments


@pytest.mark.parametrize("value", [1, 2**62, np.int64(3), np.int32(3)])
def test_integers_pass(value):
    arguments.check_int("count", value)


@pytest.mark.parametrize(
    "value",
    [
        0,
        -1,
        2**63,
        10**400,
        1.0,
        "1",
        None,
        True,
        np.uint8(1),
        np.int64(2**40),
        np.int32(2**20),
    ],
)
def test_what_is_no_positive_integer_is_refused_in_few_words(value):
    with pytest.raises(ValueError, match="count: expected .*, got ") as caught:
        arguments.check_int("count", value)
    assert len(str(caught.value)) < 300


@pytest.mark.parametrize(
    "value",
    [
        float("nan"),
        float("inf"),
        1e39,
        10**400,
        "1",
        None,
        True,
        1j,
        decimal.Decimal(1),
    ],
)
def test_what_is_no_finite_number_is_refused(value):
    with pytest.raises(ValueError, match="rate: expected a finite number, got "):
        arguments.check_number("rate", value)


def test_shapes_keep_tensors_and_become_python_integers():
    scalar = tf.constant(4)
    shape = arguments.checked_shape(
        "s", [np.int64(2), scalar], expected="a shape", tensors=True
    )
    with pytest.raises(ValueError, match="s: expected a shape, got "):
        arguments.checked_shape("s", [2, scalar], expected="a shape")
    assert type(shape[0]) is int and shape[1] is scalar
    assert arguments.checked_shape("s", tf.TensorShape([2, 3]), expected="a shape") == (
        2,
        3,
    )


@pytest.mark.parametrize(
    "value",
    [3, "34", None, [2, 0], [2.0], [True], tf.TensorShape(None), {2: 3}, [1] * 99],
)
def test_what_is_no_shape_is_refused(value):
    with pytest.raises(ValueError, match="s: expected a shape, got "):
        arguments.checked_shape("s", value, expected="a shape")


@pytest.mark.parametrize(
    "value",
    [[[1], [2, 3]], "a", [None], 1j, np.array(["a"]), np.datetime64("2020-01-01")],
)
def test_what_is_no_array_of_numbers_is_refused(value):
    with pytest.raises(ValueError, match="x: expected an array of numbers, got "):
        arguments.checked_array("x", value)


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
