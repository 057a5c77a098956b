import sys

import pytest
from features import probes
from features.__main__ import features_table, main
from features.ours import SUBJECT as OURS
from features.tfp_real_nvp import SUBJECT as TFP
from harness.tables import filled

FOUND = {
    "a": {
        "cells": {
            "first": {"text": "yes", "notes": []},
            "second": {"text": "no", "notes": ["why", "more"]},
        },
        "versions": {"tensorflow": "2", "a": "1"},
        "python": "3",
    },
    "b": {
        "cells": {
            "first": {"text": "no", "notes": ["else"]},
            "second": {"text": "no", "notes": ["more"]},
        },
        "versions": {"tensorflow": "2"},
        "python": "3",
    },
}


@pytest.mark.parametrize(
    ("probe", "ours", "tfps"),
    [
        (probes.images, "yes", "from parts"),
        (probes.larger, "yes", "yes"),
        (probes.vectors, "yes", "from parts"),
        (probes.conditions, "yes", "from parts"),
        (probes.log_prob_runs, "1", "2"),
        (probes.sample_and_score_runs, "1", "2"),
        (probes.log_det, "yes", "yes"),
        (probes.keras_weights, "20 of 20", "0 of 16"),
        (probes.unknown_batch, "yes", "yes"),
    ],
)
def test_a_probe_finds_what_ours_and_the_coupling_of_tfp_do(probe, ours, tfps):
    assert probe(OURS).text == ours
    assert probe(TFP).text == tfps


def test_why_an_attempt_failed_is_told_in_a_footnote():
    notes = probes.conditions(TFP).notes
    assert "NotImplementedError: Conditioning not implemented" in notes[0]
    assert notes[1:] == ["around networks that the user writes"]


@pytest.mark.parametrize(
    ("error", "expected"),
    [
        (ValueError("what\nand where"), "`ValueError: what`"),
        (TypeError("in user code:\n\n  File x\n    TypeError: y\n"), "`TypeError: y`"),
        (probes.Unfit("it drew nothing"), "it drew nothing"),
    ],
)
def test_an_exception_is_told_in_one_line(error, expected):
    assert probes.said_by(error) == expected


def test_the_table_numbers_its_footnotes_and_says_none_twice():
    assert features_table(FOUND).splitlines() == [
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


def test_the_marked_block_is_replaced_and_no_other():
    with pytest.raises(ValueError, match="expected a line <!-- features -->"):
        filled("<!-- features -->", "features", str)
    other = "<!-- stages -->\nkept\n<!-- end -->\n"
    block = "<!-- features -->\n\n{}\n\n<!-- end -->\n"
    text = f"{other}{block.format('old')}{other}"
    new = filled(text, "features", lambda _: "new \\1")
    new_block = block.format("new \\1")
    assert new == f"{other}{new_block}{other}"


def test_a_library_that_is_not_there_is_left_out_and_told(
    monkeypatch, capsys, tmp_path
):
    path = tmp_path / "page.md"
    path.write_text("<!-- features -->\n<!-- end -->\n")
    names = ["tfb.RealNVP", "chrischute/real-nvp"]
    monkeypatch.setattr("features.__main__.LIBRARIES", dict.fromkeys(names, ("", ())))
    monkeypatch.setattr(sys, "argv", ["features", "--document", str(path)])

    def probe(name, options):
        if name == "tfb.RealNVP":
            return FOUND["a"]
        raise main.__globals__["ChildError"]("no checkout given")

    monkeypatch.setattr("features.__main__.probe", probe)
    main()
    assert "left out: no checkout given" in capsys.readouterr().out
    written = path.read_text()
    assert features_table({"tfb.RealNVP": FOUND["a"]}) in written
    assert (
        "With tensorflow 2, a 1, Python 3, by `python benchmarks/features`." in written
    )
