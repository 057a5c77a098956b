import json
import pathlib

import pytest
from density.arms import ARMS, BASE, GONE, PEER
from density.report import rendered

DOCS = pathlib.Path(__file__).parents[2] / "docs"
LOGS = sorted((DOCS / "results").glob("*.jsonl"))


def test_the_tables_are_what_the_logs_say():
    path = DOCS / "results.md"
    assert rendered(path) == path.read_text(encoding="utf-8")


@pytest.mark.parametrize("path", LOGS, ids=lambda path: path.stem)
def test_logs_say_where_their_figures_come_from_and_are_of_one_size(path):
    logs = [json.loads(line) for line in path.read_text("utf-8").splitlines()]
    for log in logs:
        assert log["arm"] in {*ARMS, *GONE}
        assert len(log["commit"]) == 40 and len(log["weights_sha256"]) == 64
        assert log["training_seconds"] > 0 and log["date"] and log["packages"]
        assert (log["updates"] is None) != (log["minutes"] is None)
    for name in ("filters", "num_blocks", "updates", "minutes", "images"):
        assert len({log[name] for log in logs}) == 1
    parameters = {log["arm"]: log["parameters"] for log in logs}
    for arm in (BASE, "cifar10"):
        assert 0.95 < parameters[PEER] / parameters[arm] < 1.05
