"""The commands on trained runs, except `score`."""

from __future__ import annotations

import argparse
import json
import math
import pathlib
import time
from typing import cast

import numpy as np

from tfp_realnvp.cli.options import DRAWS, SAMPLES
from tfp_realnvp.evaluation import evaluate_runs
from tfp_realnvp.figures import (
    Subject,
    image_grid,
    sample_images,
    write_figures,
    write_png,
)
from tfp_realnvp.figures.pictures import enlargement
from tfp_realnvp.files import atomic_path, check_output, write_json
from tfp_realnvp.gallery.page import draw_row, gallery_page, run_facts
from tfp_realnvp.health.flow_health import flow_health
from tfp_realnvp.runs import RunConfig, RunDirectory
from tfp_realnvp.serving import export_saved_model, next_version, run_origin
from tfp_realnvp.training import FlowModel


def evaluate(arguments: argparse.Namespace) -> None:
    """Scores runs on a split of their images."""
    output = None if arguments.output is None else pathlib.Path(arguments.output)
    if output is not None:
        check_output(output)
    found = evaluate_runs(
        [RunDirectory(path) for path in arguments.directories],
        split=arguments.split,
        draws=arguments.draws or arguments.importance_samples or DRAWS,
        importance_samples=arguments.importance_samples,
        seed=arguments.seed,
        limit=arguments.limit,
        batch_size=arguments.batch_size,
        weights=arguments.weights,
        data_dir=arguments.data_dir,
    )
    print(found.table, flush=True)
    if output is not None:
        write_json(output, found.values)
    elif len(arguments.directories) > 1:
        print(json.dumps(found.values, indent=2))


def health(arguments: argparse.Namespace) -> None:
    """Checks whether a flow can be trusted."""
    directory, config = _checked_run(arguments.directory, arguments.weights)
    data = config.load_data(arguments.data_dir)
    report = flow_health(
        directory.load_model(arguments.weights),
        getattr(data, arguments.split),
        limit=arguments.limit,
        batch_size=arguments.batch_size or config.step_size,
        seed=arguments.seed,
    )
    print(report, flush=True)
    made_with = {name: vars(arguments)[name] for name in ("split", "weights", "seed")}
    values = {"dataset": data.name, **made_with, **report.to_dict()}
    write_json(directory.path / "health.json", values)


def sample(arguments: argparse.Namespace) -> None:
    """Draws images into one picture."""
    directory, config = _checked_run(arguments.directory, arguments.weights)
    output = pathlib.Path(arguments.output or directory.path / "samples_drawn.png")
    check_output(output)
    condition = _condition(arguments, config)
    images = sample_images(
        directory.load_model(arguments.weights).flow,
        arguments.count,
        seed=arguments.seed,
        temperature=arguments.temperature,
        condition=condition,
    )
    columns = math.ceil(math.sqrt(arguments.count))
    scale = enlargement(images, least=32)
    write_png(output, image_grid(images, columns=columns, scale=scale))
    print(f"Wrote {arguments.count} images to {output}.")


def _condition(arguments: argparse.Namespace, config: RunConfig) -> np.ndarray | None:
    """Returns a condition for each image, or `None` for an unconditional run."""
    wanted = arguments.condition
    if not config.is_conditional:
        if wanted:
            raise ValueError(
                "condition: expected none, since the run was trained without "
                f"--conditional; got {' '.join(wanted)}."
            )
        return None
    data = config.load_data(arguments.data_dir)
    # `load_data` gives a conditional run images with conditions.
    known = cast(np.ndarray, data.test.conditions)
    names = cast(tuple[str, ...], data.condition_names)
    if not wanted:
        return known[np.arange(arguments.count) % len(known)]
    if known.ndim == 1:
        if len(wanted) > 1:
            raise ValueError(f"condition: expected one class, got {' '.join(wanted)}.")
        return np.full([arguments.count], _number(wanted[0], names))
    condition = np.zeros([arguments.count, len(names)], known.dtype)
    for text in wanted:
        name, _, value = text.partition("=")
        try:
            condition[:, _number(name, names)] = float(value or "1")
        except ValueError as error:
            raise ValueError(
                f"condition: expected NAME or NAME=NUMBER, got {text!r}: {error}"
            ) from error
    return condition


def _number(name: str, names: tuple[str, ...]) -> int:
    if name in names:
        return names.index(name)
    if name.isdecimal() and int(name) < len(names):
        return int(name)
    raise ValueError(
        f"condition: expected one of {', '.join(names)}, or a number below "
        f"{len(names)}; got {name!r}."
    )


def figures(arguments: argparse.Namespace) -> None:
    """Draws the paper's figures."""
    directory, config = _checked_run(arguments.directory, arguments.weights)
    output = pathlib.Path(arguments.output or directory.path / "figures")
    if output.exists() and not output.is_dir():
        raise ValueError(f"output: expected a folder, but {output} is a file.")
    data = config.load_data(arguments.data_dir)
    subject = Subject(
        directory.load_model(arguments.weights).flow,
        data,
        count=arguments.count or min(SAMPLES, data.test.count),
        seed=arguments.seed,
        temperature=arguments.temperature,
        factors=tuple(arguments.factors),
        classifier_epochs=arguments.classifier_epochs,
    )
    made_with = {"dataset": data.name, "weights": arguments.weights}
    write_figures(subject, output, only=arguments.only, made_with=made_with)


def gallery(arguments: argparse.Namespace) -> None:
    """Shows runs on a web page; checks all of them before it draws the first."""
    output = pathlib.Path(arguments.output)
    check_output(output)
    checked, rows = [], []
    for path in arguments.directories:
        directory, config = _checked_run(path, arguments.weights)
        # A check only: the data set can be large, and is not kept.
        config.load_data(arguments.data_dir)
        facts = run_facts(directory, config, arguments.weights)
        checked.append((directory, config, facts))
    for number, (directory, config, facts) in enumerate(checked, 1):
        place = f"{number}/{len(checked)}"
        print(f"{place} {directory.path}: drawing.", flush=True)
        begin = time.perf_counter()
        model = directory.load_model(arguments.weights)
        data = config.load_data(arguments.data_dir)
        subject = Subject(
            model.flow,
            data,
            count=min(SAMPLES, data.test.count),
            seed=arguments.seed,
            temperature=arguments.temperature,
        )
        parameters = sum(w.shape.num_elements() for w in model.trainable_variables)
        facts.append(f"{parameters:,} parameters")
        if arguments.temperature != 1:
            facts.append(f"samples at temperature {arguments.temperature:g}")
        # The path of a run may end in a dot.
        title = directory.path.resolve().name
        rows.append(draw_row(subject, title=title, caption=" · ".join(facts)))
        print(f"{place} took {time.perf_counter() - begin:.0f} s.", flush=True)
    with atomic_path(output) as temporary:
        temporary.write_text(gallery_page(rows), encoding="utf-8")
    print(f"Wrote {output}, {output.stat().st_size / 1e6:.1f} MB.")


def export(arguments: argparse.Namespace) -> None:
    """Writes a SavedModel, as a new version."""
    directory, weights = RunDirectory(arguments.directory), arguments.weights
    origin = run_origin(directory, weights)
    versions = pathlib.Path(arguments.output or directory.path / "saved_model")
    print(f"Writing version {next_version(versions).name} or later.", flush=True)
    output = _export(directory.load_model(weights), versions, origin)
    size = sum(path.stat().st_size for path in output.rglob("*") if path.is_file())
    found = origin["bits_per_dim"]
    if found is None or found["value"] is None:
        command = f"tfp-realnvp evaluate {directory.path} --weights {weights}"
        score = f"whose bits/dim `{command}` prints"
    else:
        images = f"{found.get('images') or ''} {found['split']} images".lstrip()
        score = f"{found['value']:.3f} bits/dim on {images} of {origin['dataset']}"
    print(f"Wrote {output} ({size / 2**20:.1f} MiB): {weights} weights, {score}.")
    print(f"Show its signatures with: saved_model_cli show --dir {output} --all")


def _export(model: FlowModel, versions: pathlib.Path, origin: dict) -> pathlib.Path:
    """Writes a new version, or the next if another export has just taken its number."""
    version = next_version(versions)
    try:
        return export_saved_model(model, version, run=origin)
    except OSError:
        if next_version(versions) == version:
            raise
        return _export(model, versions, origin)


def _checked_run(path: str, weights: str) -> tuple[RunDirectory, RunConfig]:
    """Returns the run in a folder; raises an error at once if something is missing."""
    directory = RunDirectory(path)
    config = directory.load_config()
    directory.check_weights(weights)
    return directory, config
