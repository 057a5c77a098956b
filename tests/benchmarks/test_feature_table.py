import pytest
from features import IMAGE_PEER, LIBRARIES, command
from features.ours import SUBJECT as OURS
from features.probes import (
    Unfit,
    conditions,
    images,
    keras_weights,
    larger,
    log_det,
    log_prob_runs,
    said_by,
    sample_and_score_runs,
    unknown_batch,
    vectors,
)
from features.table import BEGIN, END, replaced, table, versions_line, write_document
from features.tfp_real_nvp import SUBJECT as TFP

FOUND = {
    "a": {
        "cells": {
            "first": {"text": "yes", "notes": []},
            "second": {"text": "no", "notes": ["why", "more"]},
        },
        "versions": {"tensorflow": "2", "a": "1"},
    },
    "b": {
        "cells": {
            "first": {"text": "no", "notes": ["else"]},
            "second": {"text": "no", "notes": ["more"]},
        },
        "versions": {"tensorflow": "2"},
    },
}


@pytest.mark.parametrize(
    ("probe", "ours", "tfps"),
    [
        (images, "yes", "from parts"),
        (larger, "yes", "yes"),
        (vectors, "yes", "from parts"),
        (conditions, "yes", "from parts"),
        (log_prob_runs, "1", "2"),
        (sample_and_score_runs, "1", "2"),
        (log_det, "yes", "yes"),
        (keras_weights, "20 of 20", "0 of 16"),
        (unknown_batch, "yes", "yes"),
    ],
)
def test_a_probe_finds_what_ours_and_the_coupling_of_tfp_do(probe, ours, tfps):
    assert probe(OURS).text == ours
    assert probe(TFP).text == tfps


def test_why_an_attempt_failed_is_told_in_a_footnote():
    notes = conditions(TFP).notes
    assert "NotImplementedError: Conditioning not implemented" in notes[0]
    assert notes[1:] == ["around networks that the user writes"]


def test_an_exception_is_told_in_one_line():
    assert said_by(ValueError("what\nand where")) == "`ValueError: what`"
    traced = TypeError("in user code:\n\n  File x\n    TypeError: not this\n")
    assert said_by(traced) == "`TypeError: not this`"
    assert said_by(Unfit("it drew nothing")) == "it drew nothing"
    assert len(said_by(ValueError(500 * "x"))) < 150


def test_the_table_numbers_its_footnotes_and_says_none_twice():
    assert table(FOUND).splitlines() == [
        "|  | a | b |",
        "| --- | --- | --- |",
        "| first | yes | no <sup>1</sup> |",
        "| second | no <sup>2, 3</sup> | no <sup>3</sup> |",
        "",
        "<details><summary>Notes</summary>",
        "",
        "<sup>1</sup> else  ",
        "<sup>2</sup> why  ",
        "<sup>3</sup> more",
        "",
        "</details>",
    ]
    assert versions_line(FOUND) == "tensorflow 2, a 1"


def test_the_marked_block_is_replaced_and_no_other(tmp_path):
    path = tmp_path / "page.md"
    other = f"<!-- stages -->\nkept\n{END}\n"
    path.write_text(f"{other}{BEGIN}\n\nold\n\n{END}\n{other}")
    write_document(path, "new \\1")
    assert path.read_text() == f"{other}{BEGIN}\n\nnew \\1\n\n{END}\n{other}"


@pytest.mark.parametrize("text", ["", BEGIN, f"{END}\n{BEGIN}\n"])
def test_a_document_without_the_marks_is_refused(text):
    with pytest.raises(ValueError, match=f"expected a line {BEGIN}"):
        replaced(text, "new")


def test_the_command_refuses_such_a_document_before_it_runs_probes(
    tmp_path, monkeypatch, capsys
):
    monkeypatch.setattr(command, "probe", pytest.fail)
    path = tmp_path / "page.md"
    path.write_text("no marks")
    with pytest.raises(SystemExit):
        command.main(["--document", str(path)])
    assert f"--document {path}: document: expected a line" in capsys.readouterr().err


def test_libraries_that_are_not_there_are_left_out_and_told(monkeypatch, capsys):
    find_spec = command.importlib.util.find_spec
    monkeypatch.setattr(
        command.importlib.util,
        "find_spec",
        lambda name: None if name == "nflows" else name == "torch" or find_spec(name),
    )
    names = ["tfp_realnvp", "nflows", IMAGE_PEER]
    assert command.present(names, None) == ["tfp_realnvp"]
    assert capsys.readouterr().out.splitlines() == [
        "nflows is left out: nflows not installed.",
        f"{IMAGE_PEER} is left out: no checkout given with --image-peer.",
    ]


def test_the_command_writes_the_table_of_what_is_there(tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(command, "present", lambda names, image_peer: ["a", "b"])
    monkeypatch.setattr(command, "probe", lambda name, image_peer: FOUND[name])
    path = tmp_path / "page.md"
    path.write_text(f"{BEGIN}\n{END}\n")
    command.main(["--document", str(path)])
    printed = capsys.readouterr().out
    assert "a, 1 of 2:" in printed
    for text in (printed, path.read_text()):
        assert table(FOUND) in text
        assert "With tensorflow 2, a 1, Python 3." in text
        assert "by `python benchmarks/features`." in text


def test_every_library_names_what_it_needs():
    assert all(library.imports and library.packages for library in LIBRARIES.values())
