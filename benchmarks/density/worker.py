"""Trains one flow in a process of its own, and writes the log of it.

The task comes as JSON in the first argument, the file to write is the second.
"""

from __future__ import annotations

import datetime
import importlib
import json
import os
import pathlib
import sys
import time

from speed.machine import commit_of

from density.arms import ARMS
from density.task import Task
from tfp_realnvp.files import write_json


def main() -> None:
    task = Task(**json.loads(sys.argv[1]))
    arm = ARMS[task.arm]
    trainer = importlib.import_module(f"density.{arm.trainer}")
    date = datetime.datetime.now(datetime.timezone.utc).isoformat("T", "seconds")
    begin = time.monotonic()
    trained = trainer.train(task, arm)
    log = {
        **vars(task),
        "trainer": arm.trainer,
        "changes": arm.changes,
        "date": date,
        "commit": commit_of(pathlib.Path(__file__).parent),
        "image_peer_commit": task.image_peer and commit_of(task.image_peer),
        "load_average_at_end": os.getloadavg()[0],
        "seconds": time.monotonic() - begin,
        **trained,
    }
    write_json(pathlib.Path(sys.argv[2]), log)


if __name__ == "__main__":
    main()
