"""Values that nobody should pass, and some that one may, as hypothesis strategies."""

import decimal
import fractions

import numpy as np
import tensorflow as tf
from hypothesis import strategies as st


class Hostile:
    """An object that fails whatever it is asked."""

    def __repr__(self):
        raise RuntimeError("no repr")

    def __len__(self):
        raise RuntimeError("no len")

    def __array__(self, dtype=None, copy=None):
        raise RuntimeError("no array")

    def __bool__(self):
        raise RuntimeError("no bool")


def _deep():
    nested = []
    for _ in range(80):
        nested = [nested]
    return nested


INTS = (0, -1, 1, 2, 3, 7, 10**12, 2**63, 10**30, 10**400, -(10**30))
FLOATS = (0.0, -0.0, 0.5, 1.0, 2.0, -1.5, 1e-320, 1e308, -1e308)
FLOATS += (float("nan"), float("inf"), -float("inf"))
TEXTS = (
    "",
    "\0",
    "nan",
    "float32",
    "no such thing",
    "../..",
    "x" * 5000,
    "\udcff",
    "é",
)

scalars = st.one_of(
    st.none(),
    st.booleans(),
    st.sampled_from(INTS),
    st.sampled_from(FLOATS),
    st.sampled_from(TEXTS),
    st.text(max_size=4),
    st.floats(),
    st.integers(-5, 5),
    st.complex_numbers(max_magnitude=1e3),
    st.binary(max_size=4),
)

_NUMPY_SCALARS = (
    np.float32("nan"),
    np.float64("inf"),
    np.int64(-1),
    np.uint8(3),
    np.bool_(True),
    np.str_("a"),
    np.datetime64("2020-01-01"),
    np.complex64(1j),
)
_OBJECTS = (
    Hostile,
    object,
    lambda: np.float32,
    lambda: len,
    lambda: decimal.Decimal("0.5"),
    lambda: fractions.Fraction(1, 3),
    lambda: (i for i in range(3)),
    lambda: range(3),
    lambda: slice(2),
    lambda: {"x": 1},
    lambda: {1, 2},
    lambda: [[1.0], [2.0, 3.0]],
    lambda: [[1, [2, 3]]],
    lambda: [None],
    lambda: ["a"],
    lambda: [0] * 2000,
    lambda: [[]],
    lambda: (),
    lambda: (0, 0),
    lambda: (4, 4),
    lambda: (4, 4, 1),
    lambda: (10**9, 10**9, 3),
    lambda: (10**30,),
    lambda: (-4, 4, 1),
    lambda: (2.5, 2, 1),
    lambda: (4, 4, True),
    _deep,
    lambda: tf.ragged.constant([[1.0], [2.0, 3.0]]),
    lambda: tf.sparse.from_dense([[1.0, 0.0]]),
    lambda: tf.constant(["a", "b"]),
    lambda: tf.constant([1.0, float("nan")]),
    lambda: tf.Variable([1.0, 2.0]),
    lambda: tf.TensorShape(None),
    lambda: tf.data.Dataset.range(3),
    lambda: tf.data.Dataset.from_tensors(tf.zeros([2, 3])),
    lambda: tf.float32,
)
_DTYPES = [
    "float16",
    "float32",
    "float64",
    "int8",
    "int32",
    "int64",
    "uint8",
    "uint64",
    "bool",
    "complex64",
    "object",
    "U2",
    "S2",
]
SHAPES = (
    (),
    (0,),
    (1,),
    (2,),
    (3,),
    (2, 2),
    (2, 0),
    (0, 4, 4, 1),
    (1, 4, 4, 1),
    (2, 4, 4, 1),
    (4, 4, 4, 1),
    (2, 4, 4, 3),
    (2, 4, 5, 1),
    (2, 6, 6, 1),
    (2, 0, 4, 1),
    (4, 4, 1),
    (1, 2, 4, 4, 1),
    (2, 3),
)
_FILLS = (0, 1, 0.5, -1, 255, 256, 1e30, float("nan"), float("inf"))


def _array(dtype, shape, fill):
    with np.errstate(all="ignore"):
        if dtype == "object":
            return np.full(shape, None, object)
        if dtype[0] in "US":
            return np.full(shape, "a", dtype)
        if not np.isfinite(fill) and dtype[0] in "iub":
            fill = 0
        return np.full(shape, fill).astype(dtype)


def arrays(shapes=SHAPES, dtypes=_DTYPES, fills=_FILLS):
    return st.builds(
        _array, st.sampled_from(dtypes), st.sampled_from(shapes), st.sampled_from(fills)
    )


tensors = st.builds(
    tf.constant,
    arrays(dtypes=["float32", "float64", "int32", "uint8", "bool", "complex64"]),
)
objects = st.sampled_from(_OBJECTS).map(lambda make: make())
lists = st.recursive(scalars, lambda inner: st.lists(inner, max_size=4), max_leaves=8)

# What an argument can be given that is mostly wrong for it.
junk = st.one_of(
    scalars, st.sampled_from(_NUMPY_SCALARS), objects, arrays(), tensors, lists
)
