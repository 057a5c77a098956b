"""Damaged files: the error says so, and nothing is lost."""

import copy
import json

import hypothesis
import numpy as np
import pytest
import small_subjects as small
from hypothesis import strategies as st

from tfp_realnvp.flows.config import from_config, to_config
from tfp_realnvp.gallery.page import run_facts
from tfp_realnvp.runs.checkpoint import load_checkpoint
from tfp_realnvp.runs.run_directory import RunDirectory

VALUES = st.recursive(
    st.one_of(
        st.none(),
        st.booleans(),
        st.integers(-2, 9),
        st.floats(),
        st.sampled_from([10**12, 10**30, "Exp", "Normal", "tfb", "os", "__import__"]),
        st.sampled_from(["digits", "../..", "\0", "float32", "layer", "tensor"]),
        st.text(max_size=3),
    ),
    lambda inner: st.one_of(
        st.lists(inner, max_size=3),
        st.dictionaries(st.text(max_size=3), inner),
        st.fixed_dictionaries({"type": st.text(max_size=6), "of": inner}),
    ),
    max_leaves=4,
)


def some(count, strategy):
    """Runs a test with this many inputs, the same in every run."""
    return lambda test: hypothesis.settings(
        max_examples=count,
        derandomize=True,
        database=None,
        deadline=None,
        suppress_health_check=list(hypothesis.HealthCheck),
        phases=[hypothesis.Phase.generate],
    )(hypothesis.given(strategy)(test))


@st.composite
def changed(draw, config):
    """A copy of nested dicts and lists with something else, or less, at one place."""
    config = node = copy.deepcopy(config)
    for _ in range(draw(st.integers(0, 6))):
        keys = sorted(node) if isinstance(node, dict) else range(len(node))
        inner = [k for k in keys if isinstance(node[k], (dict, list)) and node[k]]
        if not inner:
            break
        node = node[draw(st.sampled_from(inner))]
    key = draw(st.sampled_from(sorted(node) if isinstance(node, dict) else [0]))
    if isinstance(node, dict) and draw(st.integers(0, 3)) == 0:
        del node[key]
    else:
        node[key] = draw(VALUES)
    return config


@st.composite
def damaged(draw, contents):
    """Bytes that are cut off, or of which one is another, or with some between."""
    at = draw(st.integers(0, len(contents) - 1))
    extra = draw(st.binary(max_size=16))
    before, after = contents[:at], contents[at:]
    flipped = bytes([after[0] ^ 255]) + after[1:]
    wholes = [extra, before, before + flipped, before + extra + after]
    return draw(st.sampled_from(wholes))


def load_progress(path):
    model = small.run_model()
    before = small.state(model)
    try:
        assert load_checkpoint(path / "checkpoint.npz", model).step == 3
    except Exception:
        for a, b in zip(before, small.state(model), strict=True):
            np.testing.assert_array_equal(a, b, "half of a checkpoint was loaded")
        raise


def load_model(path):
    for weight in RunDirectory(path).load_model().weights:
        assert np.isfinite(weight.numpy()).all()


def load_facts(path):
    run = RunDirectory(path)
    assert run_facts(run, run.load_config(), "last")


def load_facts_of_unfinished(path):
    summary = (path / "summary.json").rename(path.parent / "summary.json")
    try:
        load_facts(path)
    finally:
        summary.rename(path / "summary.json")


USES = {
    "config.json": (load_facts, 30),
    "checkpoint.npz": (load_progress, 30),
    "model.weights.h5": (load_model, 10),
    "summary.json": (load_facts, 30),
    "history.csv": (load_facts_of_unfinished, 30),
}


def use_with(path, name, contents):
    """Uses a run with a replaced file: it works, or the error names the file."""
    use, _ = USES[name]
    (path / name).write_bytes(contents)
    before = {p.name: p.read_bytes() for p in path.iterdir()}
    try:
        with small.time_limit(30):
            use(path)
    except (ValueError, OSError) as error:
        assert str(path) in str(error) or "config.json" in str(error), error
    assert {p.name: p.read_bytes() for p in path.iterdir()} == before


@pytest.mark.parametrize("name", USES)
def test_damaged_bytes_are_told_and_the_run_stays_as_it_is(name, tmp_path):
    path = small.copy_of_run(tmp_path)

    @some(USES[name][1], damaged((path / name).read_bytes()))
    def check(contents):
        use_with(path, name, contents)

    check()


@pytest.mark.parametrize("name", ["config.json", "summary.json"])
def test_other_values_are_told_and_the_run_stays_as_it_is(name, tmp_path):
    path = small.copy_of_run(tmp_path)

    @some(40, changed(json.loads((path / name).read_text())))
    def check(config):
        use_with(path, name, json.dumps(config).encode())

    check()


def test_a_changed_flow_is_a_flow_or_told():
    @some(60, changed(to_config(small.vectors())))
    def check(config):
        try:
            with small.time_limit(30):
                from_config(config)
        except (ValueError, TypeError) as error:
            assert str(error).strip()

    check()
