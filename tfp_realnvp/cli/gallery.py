"""`tfp-realnvp gallery`."""

from __future__ import annotations

import argparse
import pathlib
import time

from tfp_realnvp.cli.parser import SAMPLES
from tfp_realnvp.figures import Subject
from tfp_realnvp.files import atomic_path, check_output
from tfp_realnvp.gallery.caption import run_facts
from tfp_realnvp.gallery.page import Row, draw_row, gallery_page
from tfp_realnvp.runs.run_directory import RunDirectory


def run(arguments: argparse.Namespace) -> None:
    """Draws the gallery as the arguments say."""
    output = pathlib.Path(arguments.output)
    check_output(output)
    directories = [RunDirectory(path) for path in arguments.directories]
    checked = [_check(directory, arguments) for directory in directories]
    rows: list[Row] = []
    for directory, facts in zip(directories, checked, strict=True):
        place = f"{len(rows) + 1}/{len(directories)}"
        print(f"{place} {directory.path}: drawing.", flush=True)
        begin = time.perf_counter()
        rows.append(_draw(directory, facts, arguments))
        print(f"{place} took {time.perf_counter() - begin:.0f} s.", flush=True)
    with atomic_path(output) as temporary:
        temporary.write_text(gallery_page(rows), encoding="utf-8")
    print(f"Wrote {output}, {output.stat().st_size / 1e6:.1f} MB.")


def _check(directory: RunDirectory, arguments: argparse.Namespace) -> list[str]:
    """Returns facts of a run; what is missing to draw it raises."""
    config = directory.load_config()
    directory.check_weights(arguments.weights)
    # The data set, which can be large, is let go.
    config.load_data(arguments.data_dir)
    return run_facts(directory, config, arguments.weights)


def _draw(
    directory: RunDirectory, facts: list[str], arguments: argparse.Namespace
) -> Row:
    model = directory.load_model(arguments.weights)
    data = directory.load_config().load_data(arguments.data_dir)
    subject = Subject(
        model.flow,
        data,
        count=min(SAMPLES, data.test.count),
        seed=arguments.seed,
        temperature=arguments.temperature,
    )
    parameters = sum(w.shape.num_elements() for w in model.trainable_variables)
    facts = [*facts, f"{parameters:,} parameters"]
    if arguments.temperature != 1:
        facts.append(f"samples at temperature {arguments.temperature:g}")
    # A run may be named by a path that ends in a dot.
    title = directory.path.resolve().name
    return draw_row(subject, title=title, caption=" · ".join(facts))
