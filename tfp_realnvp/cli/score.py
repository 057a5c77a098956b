"""`tfp-realnvp score`."""

from __future__ import annotations

import argparse
import importlib.util
import pathlib
from typing import Any

from tfp_realnvp.evaluation import ImageScores, score_images
from tfp_realnvp.figures import write_png
from tfp_realnvp.files import atomic_path, write_json
from tfp_realnvp.gallery.scores_page import scores_page, scores_sheet
from tfp_realnvp.runs import RunDirectory

_LISTED = 10
_LEVELS = (0.01, 0.05)


def score(arguments: argparse.Namespace) -> None:
    """Scores new images, and writes a table, pictures and a summary into a folder."""
    output = pathlib.Path(arguments.output)
    if output.exists() and not output.is_dir():
        raise ValueError(f"output: expected a folder, but {output} is a file.")
    output.mkdir(parents=True, exist_ok=True)
    scores = score_images(
        arguments.directory,
        arguments.paths,
        normal=arguments.normal,
        draws=arguments.draws,
        seed=arguments.seed,
        batch_size=arguments.batch_size,
        weights=arguments.weights,
        data_dir=arguments.data_dir,
        skip_damaged=arguments.skip_damaged,
        output=output / "scores.csv",
    )
    written = ["scores.csv"]
    if importlib.util.find_spec("pyarrow"):
        import pyarrow
        import pyarrow.parquet

        with atomic_path(output / "scores.parquet") as temporary:
            pyarrow.parquet.write_table(pyarrow.table(scores.columns), temporary)
        written.append("scores.parquet")
    summary = _summary(arguments, scores)
    told = _told(summary)
    if scores.pictures:
        write_png(output / "contact_sheet.png", scores_sheet(scores))
        name = RunDirectory(arguments.directory).path.resolve().name
        page = scores_page(scores, title=f"Scored by {name}", summary=" ".join(told))
        with atomic_path(output / "scores.html") as temporary:
            temporary.write_text(page, encoding="utf-8")
        written += ["contact_sheet.png", "scores.html"]
    write_json(output / "scores.json", summary)
    print("\n".join([*told, f"Wrote {', '.join(written)}, scores.json to {output}."]))


def _summary(arguments: argparse.Namespace, scores: ImageScores) -> dict[str, Any]:
    columns, order, reference = scores.columns, scores.order(), scores.reference
    errors = zip(columns["file"], columns["error"], strict=True)
    p, bits = (columns[name][order] for name in ("typicality", "bits_per_dim"))
    return {
        "run": str(arguments.directory),
        "weights": arguments.weights,
        "draws": arguments.draws,
        "noise_seed": arguments.seed,
        "images": len(order),
        "not_scored": {name: error for name, error in errors if error},
        "bits_per_dim": float(bits.mean()) if len(bits) else None,
        "reference": {
            "split": "validation",
            "images": len(reference),
            "bits_per_dim": float(reference.mean()),
            "smallest_p": 2 / (len(reference) + 1),
        },
        "strange": {str(level): int((p <= level).sum()) for level in _LEVELS},
        "roc_auc": {
            name: {"value": value, "standard_error": error}
            for name, (value, error) in scores.roc_auc().items()
        },
        "strangest": columns["file"][order[:_LISTED]].tolist(),
    }


def _told(summary: dict[str, Any]) -> list[str]:
    """Returns the summary in sentences."""
    count, reference = summary["images"], summary["reference"]
    missing = f", {len(summary['not_scored']):,} not" if summary["not_scored"] else ""
    lines = [f"{count:,} images scored{missing}."]
    if not count:
        return lines
    lines[0] += (
        f" {summary['bits_per_dim']:.3f} bits/dim on average; "
        f"{reference['bits_per_dim']:.3f} for {reference['images']:,} validation "
        "images of the run, which it was not trained on."
    )
    lines += [
        f"p <= {level}: {found:,} images; {float(level) * count:,.0f} expected if all "
        "are like the run's own."
        for level, found in summary["strange"].items()
        if float(level) >= reference["smallest_p"]
    ]
    if reference["smallest_p"] > min(_LEVELS):
        lines.append(
            f"With {reference['images']:,} validation images no p is below "
            f"{reference['smallest_p']:.2g}."
        )
    found = ", ".join(
        f"{name} {auc['value']:.3f} ± {auc['standard_error']:.3f}"
        for name, auc in summary["roc_auc"].items()
    )
    return [*lines, f"ROC-AUC, others against normal: {found}."] if found else lines
