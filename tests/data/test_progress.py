import sys

import pytest

from tfp_realnvp.data import progress
from tfp_realnvp.data.progress import ProgressBar, ProgressLine


def test_what_is_quick_says_nothing(capsys):
    ProgressBar(9).update(3)
    ProgressBar(9).update(9)
    assert capsys.readouterr().out == ""


@pytest.mark.parametrize(
    ("is_terminal", "shown"),
    [
        (True, "\r1 of 3 images\r2 of 3 images\r             \rdone\n"),
        (False, "1 of 3 images\n2 of 3 images\ndone\n"),
    ],
)
def test_a_terminal_has_one_line_and_a_file_plain_ones(
    is_terminal, shown, capsys, monkeypatch
):
    monkeypatch.setattr(progress, "_ON_A_TERMINAL", 0.0)
    monkeypatch.setattr(progress, "_IN_A_FILE", 0.0)
    monkeypatch.setattr(sys.stdout, "isatty", lambda: is_terminal)
    monkeypatch.setenv("TERM", "xterm")
    bar = ProgressBar(3)
    for done in (1, 2, 3):
        bar.update(done)
    ProgressLine().end("done")
    assert capsys.readouterr().out == shown
