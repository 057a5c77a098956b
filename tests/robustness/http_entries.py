"""The HTTP server of `examples/serve`, sent what clients should not send."""

import atexit
import base64
import functools
import json
import math
import pathlib
import tempfile

import numpy as np
import small_subjects as small
from bad_values import FLOATS, INTS, TEXTS
from clear_errors import Entry
from http_server import Server
from hypothesis import strategies as st
from serving_entries import saved_model

just = st.just
ANSWERS = frozenset({200, 400, 404, 405, 408, 413, 422})
LIMITS = {"lanes": 1, "max-batch": 4, "max-images": 6, "max-body": 20_000}

# What JSON can say, and what Python's says besides: NaN and Infinity.
values = st.recursive(
    st.one_of(
        st.none(),
        st.booleans(),
        st.sampled_from(INTS),
        st.sampled_from(FLOATS),
        st.sampled_from(TEXTS),
        st.integers(-3, 300),
        st.text(max_size=3),
    ),
    lambda inner: st.one_of(
        st.lists(inner, max_size=4), st.dictionaries(st.text(max_size=3), inner)
    ),
    max_leaves=8,
)
bodies = st.one_of(
    st.binary(max_size=40),
    values.map(lambda value: json.dumps(value).encode()),
    st.integers(1, 9000).map(lambda depth: b"[" * depth),
    st.integers(1, 4000).map(lambda depth: b'{"a":' * depth),
    st.integers(1, 30_000).map(lambda size: b" " * size),
)


@functools.cache
def _server():
    log = pathlib.Path(tempfile.mkdtemp()) / "log.txt"
    server = Server(saved_model(), log, **LIMITS)
    atexit.register(server.process.kill)
    server.ready()
    return server


class RefusedError(ValueError):
    """What the server said against a request."""


def _sent(method, path, body, **kwargs):
    """Returns the answer to a request, or raises what it was refused with."""
    server = _server()
    status, answer, _ = server.call(method, path, body, **kwargs)
    assert server.process.poll() is None, "the server has ended"
    assert status in ANSWERS, f"status {status}: {answer}"
    if status != 200:
        raise RefusedError(answer["detail"])
    return answer


def _posted(path):
    def call(**fields):
        return _sent("POST", path, json.dumps(fields).encode())

    return call


def _sent_raw(method, path, body):
    return _sent(method, path, body)


def _check(answer, arguments):
    assert all(map(math.isfinite, answer["log_prob"])) and answer["log_prob"]


images = [base64.b64encode(small.images(1)[0].tobytes()).decode()]
good_images = just({"b64": images[0]})
bad_images = st.one_of(
    values,
    values.map(lambda value: {"b64": value}),
    st.binary(max_size=40).map(lambda b: {"b64": base64.b64encode(b).decode()}),
    st.sampled_from([(1, 4, 4, 1), (2, 4, 4, 1), (7, 4, 4, 1), (1, 5, 4, 1)]).map(
        lambda shape: np.full(shape, 300 - shape[0] * 100).tolist()
    ),
)
conditions = st.one_of(
    values, st.lists(st.integers(-1, 3), max_size=2), just([[math.nan] * 3])
)

ENTRIES = {
    "POST /score": Entry(
        _posted("/score"),
        {
            "images": good_images,
            "condition": just([1]),
            "num_draws": just(1),
            "seed": just([0, 1]),
        },
        {
            "images": bad_images,
            "condition": conditions,
            "num_draws": values,
            "seed": values,
        },
        _check,
        names=("body",),
        prepare=_server,
    ),
    "POST /sample": Entry(
        _posted("/sample"),
        {
            "num_samples": just(1),
            "condition": just([1]),
            "seed": just([0, 1]),
            "temperature": just(1.0),
        },
        {
            "num_samples": values,
            "condition": conditions,
            "seed": values,
            "temperature": values,
        },
        _check,
        names=("body",),
        prepare=_server,
    ),
    "HTTP": Entry(
        _sent_raw,
        {
            "method": just("POST"),
            "path": just("/score"),
            "body": just(b"{}"),
        },
        {
            "method": st.sampled_from(["GET", "PUT", "DELETE", "HEADER", "PATCH"]),
            "path": st.sampled_from(["/", "/../x", "/score/", "/sample", "/%00", "/a"]),
            "body": bodies,
        },
        names=("images", "num_samples", "Not Found", "Method Not Allowed", "condition"),
        always_bad=True,
        prepare=_server,
    ),
}
