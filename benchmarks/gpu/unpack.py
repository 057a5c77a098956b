"""Makes a run of the results of the GPU machine."""

import dataclasses
import hashlib
import json

from gpu.pack import load_bridge, prepare, read_about
from tfp_realnvp.evaluation import score_split
from tfp_realnvp.figures import image_grid, sample_images, write_png
from tfp_realnvp.files import write_json
from tfp_realnvp.runs import RunConfig, RunDirectory

_SAMPLES = 64


def unpack(arguments):
    """Writes a run's folder with the trained weights, their score, and samples.

    Returns what is written to evaluation_of_gpu.json.
    """
    about, back = read_about(arguments.pack), arguments.back
    bridge = load_bridge(arguments.bridge)
    report = json.loads((back / "report.json").read_text(encoding="utf-8"))
    paths = sorted(map(str, back.glob("weights-[0-9]*.npz")))
    state, extra = bridge.state_parts.read_parts(paths)
    batch_size = extra["batch_size"]
    updates = about["images"]["train"] // batch_size
    config = dataclasses.replace(
        RunConfig(**about["run"]),
        batch_size=batch_size,
        learning_rate=about["learning_rates"][str(batch_size)],
        epochs=max(1, -(-extra["step"] // updates)),
        data_dir=arguments.data_dir,
    )
    data, model = config.load_data(), prepare(config, bridge).model
    names = about["names"]["weights"]
    if set(names) != set(state):
        raise ValueError(
            "--back: expected the weights of the packed model, got parts of another."
        )
    for weight, name in zip(model.weights, names, strict=True):
        weight.assign(state[name])
    # If this fails there is no folder yet.
    draws, images = arguments.draws, arguments.images
    scores = score_split(model, data.test, draws=draws, limit=images)
    samples = image_grid(sample_images(model.flow, _SAMPLES, seed=0), columns=8)
    directory = RunDirectory.create(arguments.output, config)
    weights = directory.weights("last" if model.average is None else "average")
    model.save_weights(weights)
    write_png(arguments.output / "samples.png", samples)
    found = {
        "step": extra["step"],
        "weights": weights.name,
        "test_bits_per_dim": float(scores.mean()),
        "test_images": scores.shape[0],
        "draws": draws,
        "on_gpu": next(iter(report["evaluations"][-1:]), None),
        "weights_sha256": hashlib.sha256(weights.read_bytes()).hexdigest(),
        "packed": about["machine"],
    }
    write_json(arguments.output / "evaluation_of_gpu.json", found)
    write_json(arguments.output / "report_of_gpu.json", report)
    return found
