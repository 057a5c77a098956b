"""`tfp-realnvp export`."""

from __future__ import annotations

import argparse
import pathlib

from tfp_realnvp.runs.run_directory import RunDirectory
from tfp_realnvp.serving import export_saved_model, next_version, run_origin


def run(arguments: argparse.Namespace) -> None:
    """Exports as the arguments say."""
    directory = RunDirectory(arguments.directory)
    origin = run_origin(directory, arguments.weights)
    versions = pathlib.Path(arguments.output or directory.path / "saved_model")
    version = next_version(versions)
    print(f"Writing version {version.name}.", flush=True)
    model = directory.load_model(arguments.weights)
    output = export_saved_model(model, version, run=origin)
    size = sum(path.stat().st_size for path in output.rglob("*") if path.is_file())
    print(f"Wrote {output} ({size / 2**20:.1f} MiB): {_score(origin, directory)}")
    print(f"Show its signatures with: saved_model_cli show --dir {output} --all")


def _score(origin: dict, directory: RunDirectory) -> str:
    weights, found = origin["weights"], origin["bits_per_dim"]
    if found is None or found["value"] is None:
        command = f"tfp-realnvp evaluate {directory.path} --weights {weights}"
        return f"{weights} weights; what their bits/dim are, `{command}` can tell."
    count = f"{found['images']} " if found.get("images") else ""
    images = f"{count}{found['split']} images of {origin['dataset']}"
    return f"{weights} weights, {found['value']:.3f} bits/dim on {images}."
