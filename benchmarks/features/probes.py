"""The rows of the table. Each probe builds and runs flows, and says what came of it."""

from __future__ import annotations

import contextlib
import dataclasses
import functools
import json
import os
import pathlib
import subprocess
import sys
import tempfile
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from features.subject import CONDITION_SIZE, SIDE, SIZE, Attempt, Flow, Subject

NOT_ASKED = "-"


@dataclasses.dataclass
class Cell:
    """What a probe found.

    Attributes:
      text: What the table says.
      notes: What its footnotes say.
    """

    text: str
    notes: list[str] = dataclasses.field(default_factory=list)


class Unfit(Exception):
    """What ran gave no result that counts."""


def said_by(error: Exception) -> str:
    """Returns an exception in a line."""
    if isinstance(error, Unfit):
        return str(error)
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    if lines and lines[0].startswith("in user code"):
        lines = lines[-1:]  # before it, TensorFlow tells the way through its files
    message = " ".join(lines[:1]).removeprefix(f"{type(error).__name__}: ")
    message = message if len(message) <= 120 else message[:117] + "..."
    return f"`{type(error).__name__}: {message.replace('`', '')}`"


def _first(attempts: Sequence[Attempt], check: Callable[[Attempt], Any]) -> Cell:
    """Returns the cell of the first attempt that passes."""
    notes = []
    for attempt in attempts:
        try:
            check(attempt)
        except Exception as error:
            notes.append(f"{attempt.what}: {said_by(error)}")
        else:
            return Cell(attempt.cell, notes + [attempt.note] * bool(attempt.note))
    return Cell("no", notes)


def _check_density(subject: Subject, flow: Flow, shape: Sequence[int]) -> Any:
    """Draws and scores events of a shape, and returns them."""
    x = flow.sample(3)
    if tuple(x.shape) != (3, *shape):
        raise Unfit(f"drew events of {tuple(x.shape[1:])} instead of {tuple(shape)}")
    scores = subject.tools.to_numpy(flow.log_prob(x))
    if scores.shape != (3,) or not np.isfinite(scores).all():
        raise Unfit(f"scored 3 events {scores}")
    return x


def images(subject: Subject) -> Cell:
    return _first(subject.images, functools.partial(_checked_image_flow, subject))


def _checked_image_flow(subject: Subject, attempt: Attempt) -> Flow:
    flow = attempt.make()
    x = _check_density(subject, flow, subject.tools.IMAGE_SHAPE)
    subject.tools.disturb(flow)
    pixels = subject.tools.to_numpy(x[:1]).repeat(2, axis=0)
    pixels[1, 1, 1, 1] += 0.1
    z = subject.tools.to_numpy(flow.inverse(subject.tools.tensor(pixels))[0])
    # If no more latents change than a pixel has channels, each pixel is on its own.
    if (abs(z[1] - z[0]) > 1e-6).sum() <= 3:
        raise Unfit("no pixel depends on another")
    return flow


def vectors(subject: Subject) -> Cell:
    def check(attempt):
        _check_density(subject, attempt.make(), (SIZE,))

    return _first(subject.vectors, check)


def conditions(subject: Subject) -> Cell:
    def check(attempt):
        x, log_prob = attempt.make()
        shape = (len(x), CONDITION_SIZE)
        a, b = (
            subject.tools.to_numpy(log_prob(subject.tools.normal(shape, seed)))
            for seed in (1, 2)
        )
        if np.allclose(a, b):
            raise Unfit("the density does not depend on the condition")

    return _first(subject.conditions, check)


def larger(subject: Subject) -> Cell:
    flows = []
    for attempt in subject.images:
        with contextlib.suppress(Exception):  # told by the row of images
            _checked_image_flow(subject, attempt)
            flows.append(attempt.make())  # that one's weights were moved
    if not flows:
        return Cell(NOT_ASKED)

    def check(attempt):
        x = subject.tools.to_numpy(attempt.make(flows[0]))
        if sorted(x.shape) != sorted((2, 2 * SIDE, 2 * SIDE, 3)):
            raise Unfit(f"drew {x.shape}")
        if not np.isfinite(x).all():
            raise Unfit("drew values that are not finite")

    return _first(subject.larger, check)


def log_prob_runs(subject: Subject) -> Cell:
    flow = subject.flow()
    x = subject.tools.copied(flow.sample(4))
    with subject.tools.counting(flow.networks) as runs:
        flow.log_prob(x)
    return Cell(_per_coupling(runs, flow))


def sample_and_score_runs(subject: Subject) -> Cell:
    flow = subject.flow()
    with subject.tools.counting(flow.networks) as runs:
        flow.log_prob(flow.sample(4))
    text = _per_coupling(runs, flow)
    if flow.joint is None:
        return Cell(text)
    name, draw_and_score = flow.joint
    with subject.tools.counting(flow.networks) as runs:
        draw_and_score(4)
    at_once = _per_coupling(runs, flow)
    if at_once == text:
        return Cell(text)
    return Cell(f"{text}, or {at_once}", [f"{at_once} by {name}"])


def _per_coupling(runs: list[None], flow: Flow) -> str:
    return f"{len(runs) / len(flow.networks):g}"


def keras_weights(subject: Subject) -> Cell:
    if subject.keras_flow is None:
        return Cell(NOT_ASKED)
    return Cell("{} of {}".format(*subject.tools.seen_weights(subject.keras_flow())))


def unknown_batch(subject: Subject) -> Cell:
    if subject.keras_flow is None:
        return Cell(NOT_ASKED)
    try:
        subject.tools.score_batches_unknown_to_the_graph(subject.flow())
    except Exception as error:
        return Cell("no", [said_by(error)])
    return Cell("yes")


def log_det(subject: Subject) -> Cell:
    flow = subject.flow()
    subject.tools.disturb(flow)
    x = flow.sample(1)
    found = float(subject.tools.to_numpy(flow.inverse(x)[1])[0])
    expected = np.linalg.slogdet(subject.tools.jacobian(flow, x).astype(float))[1]
    if abs(expected) < 1e-3:
        raise Unfit(f"a flow that scales nothing, log-determinant {expected:.2g}")
    error = abs(found - expected) / abs(expected)
    if not error < 1e-3:  # NaN neither
        return Cell("no", [f"relative error {error:.1e}"])
    return Cell("yes")


def artifact(subject: Subject) -> Cell:
    flow = subject.flow()
    subject.tools.disturb(flow)
    x = subject.tools.copied(flow.sample(3))

    def attempt(name, save):
        return Attempt(name, name, lambda: _check_artifact(subject, flow, x, save))

    attempts = [attempt(*item) for item in subject.tools.ARTIFACTS.items()]
    return _first(attempts, lambda attempt: attempt.make())


def _check_artifact(subject: Subject, flow: Flow, x: Any, save: Callable) -> None:
    with tempfile.TemporaryDirectory() as name:
        folder = pathlib.Path(name)
        save(flow, x, folder)
        np.save(folder / "x.npy", subject.tools.to_numpy(x))
        script = pathlib.Path(__file__).with_name("rescore.py")
        done = subprocess.run(
            [sys.executable, str(script), str(folder)],
            capture_output=True,
            text=True,
            env={**os.environ, "PYTHONPATH": ""},
        )
        if done.returncode:
            raise Unfit(f"fresh process: {done.stderr.strip().splitlines()[-1]}")
        scores = json.loads(done.stdout.splitlines()[-1])
    expected = subject.tools.to_numpy(flow.log_prob(x))
    if not np.allclose(scores, expected, rtol=1e-3):
        raise Unfit(f"scores {scores} instead of {expected}")


PROBES: dict[str, Callable[[Subject], Cell]] = {
    "Density over images (height, width, channels)": images,
    "Images of another size from the same weights": larger,
    "Density over vectors": vectors,
    "Density given a condition": conditions,
    "Network runs per coupling: `log_prob`": log_prob_runs,
    "Network runs per coupling: `sample`, then `log_prob` of it": sample_and_score_runs,
    "Log-determinant is that of automatic differentiation": log_det,
    "Weights of Keras 3 networks in `trainable_variables`": keras_weights,
    "Traced by `tf.function` for batches of unknown size": unknown_batch,
    "Scores in a new process without the library, from": artifact,
}
