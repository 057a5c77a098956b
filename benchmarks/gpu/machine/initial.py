"""Initial weights, made alike wherever NumPy runs, so that they need not travel.

Weights are drawn from the raw numbers of PCG64, which NumPy promises to keep, and all
but one product is exact; `digest_of` shows that both sides have the same bits.
"""

import hashlib
import math

import numpy as np

# Float32 holds integers of so many bits exactly.
_BITS = 24


def draw(seed, number, shape, half_width):
    """Returns numbers that are uniform between -half_width and half_width."""
    raw = np.random.PCG64([seed, number]).random_raw(math.prod(shape))
    whole = (raw >> np.uint64(64 - _BITS)).astype(np.float32)
    middle = np.float32(2 ** (_BITS - 1))
    return ((whole - middle) / middle * np.float32(half_width)).reshape(shape)


def describe(number, value):
    """Returns how a variable is begun with: one value, drawn as widely, or as it is."""
    about = {"number": number, "shape": list(value.shape), "dtype": value.dtype.name}
    first = value.reshape(-1)[0]
    if (value == first).all():
        return {**about, "fill": first.item()}
    if value.dtype == np.float32:
        # As wide as a uniform distribution of that standard deviation.
        return {**about, "half_width": math.sqrt(3) * float(value.std())}
    return {**about, "values": value.reshape(-1).tolist()}


def make(seed, about):
    """Returns what a variable begins with, as `describe` has it."""
    shape, dtype = about["shape"], about["dtype"]
    if "fill" in about:
        return np.full(shape, about["fill"], dtype)
    if "values" in about:
        return np.array(about["values"], dtype).reshape(shape)
    return draw(seed, about["number"], shape, about["half_width"])


def make_all(seed, initial):
    """Returns what all variables begin with, by name."""
    return {name: make(seed, about) for name, about in initial.items()}


def digest_of(state):
    """Returns the SHA-256 of all names and bits."""
    digest = hashlib.sha256()
    for name in sorted(state):
        digest.update(name.encode() + np.ascontiguousarray(state[name]).tobytes())
    return digest.hexdigest()
