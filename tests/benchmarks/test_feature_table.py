import pytest
from features import probes
from features.__main__ import features_table
from features.ours import SUBJECT as OURS
from features.tfp_real_nvp import SUBJECT as TFP
from harness.tables import filled


def library(first, second, **versions):
    cells = {
        row: {"text": text, "notes": notes}
        for row, (text, *notes) in {"first": first, "second": second}.items()
    }
    return {"cells": cells, "versions": {"tensorflow": "2", **versions}, "python": "3"}


FOUND = {
    "a": library(["yes"], ["no", "why", "more"], a="1"),
    "b": library(["no", "else"], ["no", "more"]),
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
