"""Every public entry, given what is mostly wrong, answers rightly or says what is."""

import importlib.util
import itertools
import shutil
import tempfile

import bad_values
import clear_errors
import command_entries
import data_entries
import figure_entries
import flow_entries
import http_entries
import hypothesis
import layer_entries
import pytest
import run_entries
import serving_entries
import training_entries
from hypothesis import strategies as st

TABLES = (
    layer_entries,
    flow_entries,
    data_entries,
    figure_entries,
    training_entries,
    run_entries,
    command_entries,
    serving_entries,
    http_entries,
)
ENTRIES = dict(itertools.chain.from_iterable(table.ENTRIES.items() for table in TABLES))
# What takes longest is given fewer.
FEWER = {"train_classifier": 2, "score_images": 4, "evaluate_runs": 4}
FEWER |= dict.fromkeys([*command_entries.ENTRIES, *serving_entries.SLOW], 4)


# These share an artifact and a server.
SERVED = {name for name in serving_entries.ENTRIES if name.startswith("signature")}
SERVED |= set(http_entries.ENTRIES)


def cases(names):
    """Names as parameters, each in the group that makes what it takes once."""
    parameters = []
    no_server = importlib.util.find_spec("fastapi") is None
    for name in names:
        marks = [pytest.mark.xdist_group("served_entries")] if name in SERVED else []
        if name in http_entries.ENTRIES:
            reason = 'needs pip install ".[serve]"'
            marks.append(pytest.mark.skipif(no_server, reason=reason))
        parameters.append(pytest.param(name, marks=marks))
    return parameters


def judge(entry, arguments):
    folder = tempfile.mkdtemp() if entry.folder else None
    try:
        return clear_errors.outcome(entry, arguments, folder)
    finally:
        if folder is not None:
            shutil.rmtree(folder)


@pytest.mark.parametrize("name", cases(ENTRIES))
def test_an_entry_answers_or_says_what_is_wrong(name):
    entry = ENTRIES[name]

    @hypothesis.settings(
        max_examples=FEWER.get(name, 6),
        derandomize=True,
        database=None,
        deadline=None,
        suppress_health_check=list(hypothesis.HealthCheck),
        phases=[hypothesis.Phase.generate],
    )
    @hypothesis.given(st.data())
    def given(data):
        arguments = data.draw(clear_errors.inputs(entry, bad_values.junk))
        fault = judge(entry, arguments).fault
        assert fault is None, fault

    given()


def _good(entry):
    return {name: strategy for name, strategy in entry.good.items()}


@pytest.mark.parametrize(
    "name", cases(name for name, entry in ENTRIES.items() if not entry.always_bad)
)
def test_what_is_right_is_answered(name):
    entry = ENTRIES[name]

    @hypothesis.settings(max_examples=1, derandomize=True, database=None, deadline=None)
    @hypothesis.given(st.fixed_dictionaries(_good(entry)))
    def given(arguments):
        found = judge(entry, arguments)
        assert (found.kind, found.fault) == ("answer", None)

    given()


class TestTheOracle:
    """It must see what it is there to see."""

    def judged(self, call, **more):
        entry = clear_errors.Entry(call, {"x": st.just(1)}, **more)
        return judge(entry, {"x": 1})

    @pytest.mark.parametrize("error", [KeyError("x"), AttributeError("x"), MemoryError])
    def test_errors_of_internals_are_faults(self, error):
        def call(x):
            raise error

        assert "no clear error" in self.judged(call).fault

    @pytest.mark.parametrize(
        ("message", "fault"),
        [("x: expected 2.", None), ("bad exit", "names no argument"), ("", "without")],
    )
    def test_an_error_must_name_an_argument(self, message, fault):
        def call(x):
            raise ValueError(message)

        found = self.judged(call).fault
        assert (found is None) if fault is None else (fault in found)

    def test_nan_is_no_answer(self):
        found = self.judged(
            lambda x: [float("nan")],
            check=lambda result, arguments: clear_errors.assert_numbers(result),
        )
        assert "NaN is no answer" in found.fault

    def test_files_left_behind_are_faults(self):
        def call(folder, x):
            with open(f"{folder}/half", "w"):
                raise ValueError("x: expected 2.")

        assert "left ['half'] behind" in self.judged(call, folder=True).fault

    def test_what_takes_too_long_is_a_fault(self, monkeypatch):
        monkeypatch.setattr(clear_errors, "SECONDS", 1)

        def call(x):
            while True:
                pass

        assert self.judged(call).kind == "hang"
