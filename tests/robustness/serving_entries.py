"""Exports, what they say of themselves, health reports, and an artifact's functions."""

import functools
import pathlib
import tempfile

import small_subjects as small
import tensorflow as tf
from bad_configs import JSON
from bad_values import arrays, junk
from clear_errors import Entry, assert_numbers
from command_entries import command
from hypothesis import strategies as st
from run_entries import on_file

import tfp_realnvp as nvp
from tfp_realnvp.runs.run_directory import RunDirectory
from tfp_realnvp.serving import next_version, run_origin

just = st.just


@functools.cache
def saved_model():
    """Folder of an artifact of a conditional flow over images."""
    directory = pathlib.Path(tempfile.mkdtemp()) / "flow"
    return nvp.export_saved_model(small.by_class(), directory)


@functools.cache
def _signatures():
    return tf.saved_model.load(saved_model()).signatures


def _called(name):
    def call(**arguments):
        return _signatures()[name](**arguments)

    return call


def signature(name, *names):
    """A function of the artifact; what is no tensor TensorFlow itself refuses."""
    event = (2, *small.EVENT)
    good = {
        "x": just(tf.fill(event, 7.0)),
        "images": just(tf.zeros(event, tf.uint8)),
        "latents": just(tf.zeros(event)),
        "condition": just(tf.zeros([2, 3])),
        "num_samples": just(tf.constant(2)),
        "num_draws": just(tf.constant(2)),
        "seed": just(tf.constant([0, 1])),
        "temperature": just(tf.constant(1.0)),
    }
    # What of the right dtype has the wrong values or sizes gets past TensorFlow.
    floats = arrays(dtypes=["float32"]).map(tf.constant)
    bad = {
        "x": st.one_of(floats, junk),
        "images": st.one_of(arrays(dtypes=["uint8"]).map(tf.constant), junk),
        "latents": st.one_of(floats, junk),
        "condition": st.one_of(floats, junk),
        "num_samples": st.integers(-(2**31), 1).map(tf.constant),
        "num_draws": st.integers(-(2**31), 3).map(tf.constant),
        "seed": arrays(shapes=[(2,), (3,), ()], dtypes=["int32", "int64"]),
        "temperature": st.floats(width=32).map(tf.constant),
    }
    renamed = {name: "x" if name == "images" else name for name in names}
    return Entry(
        _called(name),
        {ours: good[name] for name, ours in renamed.items()},
        {ours: bad[name] for name, ours in renamed.items()},
        lambda result, arguments: assert_numbers(result),
        # TensorFlow compares dtypes before the artifact sees anything.
        names=("samples", "log_prob", "Binding inputs", "was expected to be a"),
        by_tfp=True,
        prepare=_signatures,
    )


def _export(folder, **arguments):
    directory = pathlib.Path(folder) / "flow"
    return nvp.export_saved_model(directory=directory, **arguments)


def _export_to(directory):
    return nvp.export_saved_model(small.vectors(), directory)


def _health(**arguments):
    report = nvp.flow_health(**arguments)
    assert report.verdict in str(report) and isinstance(report.to_dict(), dict)
    return report.gap


def _origin(path):
    return run_origin(RunDirectory(path), "last")


def _run_origin(weights):
    return run_origin(RunDirectory(small.run_path()), weights)


RUN = {"run": str(small.run_path()), "weights": "last"}

ENTRIES = {
    "signature serving_default": signature("serving_default", "x", "condition"),
    "signature score_images": signature(
        "score_images", "images", "num_draws", "seed", "condition"
    ),
    "signature sample": signature(
        "sample", "num_samples", "seed", "temperature", "condition"
    ),
    "signature encode": signature("encode", "x", "condition"),
    "signature decode": signature("decode", "latents", "condition"),
    "export_saved_model": Entry(
        _export,
        {"flow": just(small.vectors()), "overwrite": just(True), "run": just(None)},
        {"run": st.one_of(junk, JSON, st.dictionaries(st.text(max_size=2), junk))},
        folder=True,
        always_bad=True,
    ),
    "export_saved_model to": Entry(
        _export_to,
        {"directory": just("")},
        # What is a path would be written to.
        {"directory": junk.filter(lambda value: not isinstance(value, str))},
        always_bad=True,
    ),
    # The system names the path itself.
    "next_version": Entry(
        next_version, {"directory": just("new")}, names=("File name too long",)
    ),
    "run_origin": Entry(_run_origin, {"weights": just("best")}),
    "summary.json": on_file(
        "summary.json", _origin, JSON.map(str), good="{}", names=("run",)
    ),
    "flow_health": Entry(
        _health,
        {
            "model": just(small.flow()),
            "data": just(small.images(4)),
            "condition": just(None),
            "limit": just(4),
            "batch_size": just(2),
            "seed": just(0),
        },
        check=lambda result, arguments: assert_numbers(result),
    ),
    "tfp-realnvp export": command(
        "export", {**RUN, "output": "models"}, positional="run"
    ),
    "tfp-realnvp health": command(
        "health",
        {
            **RUN,
            "split": "test",
            "limit": "2",
            "batch_size": "2",
            "seed": "0",
            "data_dir": None,
        },
        positional="run",
    ),
}
# Making a right one takes seconds.
SLOW = ("export_saved_model", "tfp-realnvp export", "tfp-realnvp health", "flow_health")
