"""The commands, with arguments as a shell would hand them on.

What takes minutes is left out: the steps of `train`, the pictures of `gallery`. All
that the commands do before and around it is done.
"""

import contextlib
import io
import json
import pathlib
import unittest.mock

import small_subjects as small
from bad_values import INTS, TEXTS
from clear_errors import Entry, given
from hypothesis import strategies as st

from tfp_realnvp.cli import main
from tfp_realnvp.gallery import Row
from tfp_realnvp.runs.checkpoint import Progress

just = st.just
# argparse gives these to `int` and `float`.
words = st.one_of(
    st.sampled_from([str(i) for i in INTS if abs(i) < 10**100]),
    st.sampled_from([t for t in TEXTS if "\0" not in t]),
    st.sampled_from(["1e3", "inf", "-inf", "nan", "0.5", "--help", "-1", "--", "None"]),
    st.text(st.characters(exclude_characters="\0", codec="utf-8"), max_size=4),
)


class ShellError(ValueError):
    """What a command said as it failed."""


def command(name, good, *, positional=None, patches=(), flags=(), paths=("output",)):
    """A command whose options are given by name; `None` leaves one out."""

    def call(folder, **options):
        argv = [name]
        if positional is not None:
            argv.append(options.pop("run"))
        for option, value in options.items():
            if value is None or (option in flags and value != "yes"):
                continue
            argv.append(f"--{option.replace('_', '-')}")
            if option in paths:
                value = str(pathlib.Path(folder) / value)
            if option not in flags:
                argv += value if isinstance(value, list) else [value]
        error, output = io.StringIO(), io.StringIO()
        with contextlib.ExitStack() as stack:
            stack.enter_context(contextlib.redirect_stderr(error))
            stack.enter_context(contextlib.redirect_stdout(output))
            for target, double in patches:
                stack.enter_context(unittest.mock.patch(target, double))
            try:
                status = main(argv)
            except SystemExit as end:
                status = end.code or 0
        said = error.getvalue()
        assert status in (0, 1, 2), f"exit status {status}"
        assert "Traceback" not in said, said
        if status:
            # Paths can hold what Python, but no terminal, takes for the end of a line.
            *_, last = said.strip().split("\n")
            assert last.startswith(f"tfp-realnvp {name}: error:") or (
                last.startswith("tfp-realnvp: error:")
            ), said
            raise ShellError(last)
        return status

    return Entry(
        call,
        given(good),
        dict.fromkeys(good, words),
        names=(
            "argument",
            "arguments",
            "dataset",
            "preset",
            "path",
            "File name too long",
            *(option.replace("_", "-") for option in good),
        ),
        folder=True,
        always_bad=True,
    )


def _no_steps(model, config, data, directory, **kwargs):
    return Progress(data="none")


def _row(*args, **kwargs):
    return Row("t", "c", {"samples": "not drawn"})


def _nothing(*args, **kwargs):
    return None


RUN = {"run": str(small.run_path())}
TRAIN = {
    "dataset": "digits",
    "data_dir": None,
    "image_size": None,
    "preset": None,
    "num_scales": "1",
    "filters": "2",
    "num_blocks": "1",
    "precision": "float32",
    "memory": "stored",
    "batch_size": "64",
    "accumulate": "1",
    "epochs": "1",
    "minutes": None,
    "learning_rate": "0.001",
    "schedule": None,
    "warmup_steps": "10",
    "seed": None,
    "seeds": None,
    "average_decay": None,
    "on_non_finite": "stop",
    "max_skipped_in_a_row": "3",
    "strategy": "none",
    "name": "run",
    "checkpoint_steps": "500",
    "runs": "runs",
}
TRAINS = [
    ("tfp_realnvp.cli.train.train_model", _no_steps),
    ("tfp_realnvp.cli.train.evaluate_run", _nothing),
    ("tfp_realnvp.cli.train.write_report", _nothing),
    ("tfp_realnvp.cli.train.evaluate_runs", lambda *a, **k: _Found()),
]


class _Found:
    values: dict = json.loads("{}")
    table = ""


ENTRIES = {
    "tfp-realnvp train": command("train", TRAIN, patches=TRAINS, paths=("runs",)),
    "tfp-realnvp sample": command(
        "sample",
        {
            **RUN,
            "count": "2",
            "temperature": "1.0",
            "seed": "0",
            "condition": None,
            "data_dir": None,
            "output": "samples.png",
        },
        positional="run",
    ),
    "tfp-realnvp evaluate": command(
        "evaluate",
        {
            **RUN,
            "split": "test",
            "limit": "2",
            "draws": "1",
            "importance_samples": None,
            "seed": "0",
            "batch_size": "2",
            "weights": "last",
            "data_dir": None,
            "output": "found.json",
        },
        positional="run",
    ),
    "tfp-realnvp figures": command(
        "figures",
        {
            **RUN,
            "only": "samples",
            "count": "2",
            "seed": "0",
            "temperature": "1.0",
            "factors": ["1"],
            "weights": "last",
            "data_dir": None,
            "classifier_epochs": "1",
            "output": "figures",
        },
        positional="run",
    ),
    "tfp-realnvp gallery": command(
        "gallery",
        {
            **RUN,
            "seed": "0",
            "temperature": "1.0",
            "weights": "last",
            "data_dir": None,
            "output": "gallery.html",
        },
        positional="run",
        patches=[("tfp_realnvp.cli.commands.draw_row", _row)],
    ),
}
