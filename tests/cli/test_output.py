import contextlib
import io
import os
import signal
import subprocess
import sys
import time

import pytest

from tfp_realnvp.cli import commands, main
from tfp_realnvp.cli.main import Output
from tfp_realnvp.files import atomic_path

HELP = [sys.executable, "-m", "tfp_realnvp", "train", "--help"]


def test_what_a_terminal_cannot_show_is_shown_in_plainer_words():
    raw = io.BytesIO()
    stream = io.TextIOWrapper(raw, encoding="ascii")
    with contextlib.redirect_stdout(Output(stream)):
        print("4.071 ± 0.012 of folder:fotos_für_uns", flush=True)
    assert raw.getvalue() == b"4.071 +/- 0.012 of folder:fotos_f\\xfcr_uns\n"


@pytest.mark.parametrize("how", ["reader gone", "closed", "closed at the start"])
def test_output_that_nobody_reads_ends_nothing(how):
    reader, writer = os.pipe()
    os.close(reader)
    stream = None if how == "closed at the start" else os.fdopen(writer, "w")
    if how == "closed":
        stream.detach().detach()
    output = Output(stream)
    assert not output.isatty()
    with contextlib.redirect_stdout(output):
        for _ in range(3):
            print("a line", flush=True)
    output.close()


@pytest.mark.skipif(not os.path.exists("/dev/full"), reason="needs /dev/full")
def test_a_disk_that_is_full_ends_nothing_and_is_told_at_the_end():
    with open("/dev/full", "w") as full:
        done = subprocess.run(HELP, stdout=full, stderr=subprocess.PIPE, text=True)
    assert done.returncode == 1
    assert done.stderr.startswith("tfp-realnvp: error: standard output: [Errno 28]")


def test_help_for_a_reader_that_has_gone_is_no_error():
    pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE}
    process = subprocess.Popen(HELP, **pipes)
    process.stdout.close()
    assert process.stderr.read() == b""
    assert process.wait() == 0


def test_a_command_that_is_terminated_leaves_nothing_half_written(
    tmp_path, monkeypatch, capsys
):
    def run(arguments):
        with atomic_path(tmp_path / "model.weights.h5") as temporary:
            temporary.write_bytes(b"half")
            os.kill(os.getpid(), signal.SIGTERM)
            time.sleep(10)

    before = signal.getsignal(signal.SIGTERM)
    monkeypatch.setattr(commands, "export", run)
    assert main(["export", "run"]) == 143
    assert capsys.readouterr().err == "tfp-realnvp export: terminated.\n"
    assert not list(tmp_path.iterdir())
    assert signal.getsignal(signal.SIGTERM) is before
