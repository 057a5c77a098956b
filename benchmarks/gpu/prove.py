"""Shows on a CPU that what was packed trains as `fit` does, and comes back."""

from __future__ import annotations

import json
import os
import pathlib
import shutil
import subprocess
from collections.abc import Mapping
from typing import Any

import numpy as np
import tensorflow as tf

from gpu.bridge import Bridge
from gpu.exported import make_evaluation, mirrored, noise_seed
from gpu.pack import EVALUATION_BATCH, packed_files, prepare, read_about
from gpu.unpack import unpack
from tfp_realnvp.runs.learning_rate import LearningRate
from tfp_realnvp.runs.run_config import RunConfig
from tfp_realnvp.runs.run_directory import RunDirectory
from tfp_realnvp.training.log_prob_parts import jittered

SEED = 0


def prove(
    packed: pathlib.Path,
    bridge: Bridge,
    output: pathlib.Path,
    *,
    jax_python: str,
    steps: int,
    data_dir: str | None,
) -> dict[str, Any]:
    """Trains what was packed in TensorFlow and in JAX, and compares.

    Args:
      packed: Folder that `pack` wrote, of small sizes.
      bridge: Modules of the bridge.
      output: Folder to work in, a new one.
      jax_python: Python with JAX and without TensorFlow.
      steps: How many, an even number.
      data_dir: Folder of prepared TFDS data, or `None`.

    Returns:
      `dict` of differences; see the keys.
    """
    about = read_about(packed)
    there, back = output / "there", output / "back"
    for folder in sorted(packed.iterdir()):
        shutil.copytree(folder, there, dirs_exist_ok=True)
    batch = about["batch_sizes"][0]

    def run(script, *options):
        command = [jax_python, there / script, *options]
        environment = {**os.environ, "JAX_PLATFORMS": "cpu"}
        environment.pop("PYTHONPATH", None)
        subprocess.run([str(word) for word in command], env=environment, check=True)

    train = (
        *("run.py", "train", "--output", back, "--batch-size", batch),
        *("--steps", steps, "--chunk", 1, "--call-seconds", 10_000, "--seed", SEED),
    )
    run(*train)
    whole, extra = _state_of(there / "out", bridge)
    log = _log_of(there / "out")
    # The same in two parts.
    (there / "out").rename(there / "whole")
    shutil.rmtree(there / "logs")
    run(
        *("train_on_gpu.py", there, "--steps", steps // 2, "--chunk", 1),
        *("--batch-size", batch, "--seed", SEED, "--out", there / "out"),
        *("--compile-cache", there / "cache"),
    )
    run(*train)
    resumed, _ = _state_of(there / "out", bridge)
    run("run.py", "fetch", "--output", back)
    ours, weights, test = _by_fit(packed, bridge, about, steps)
    found = unpack(
        packed,
        back,
        bridge,
        output / "run",
        data_dir=data_dir,
        images=about["images"]["test"],
        draws=1,
    )
    model = RunDirectory(output / "run").load_model(found["weights"].split(",")[0])
    theirs = np.array([chunk["loss"] for chunk in log["chunks"]])
    names = about["names"]["average"] or about["names"]["weights"]
    return {
        "steps": extra["step"],
        "batch_size": batch,
        "loss_of_fit": ours.tolist(),
        "loss_in_jax": theirs.tolist(),
        "largest_relative_difference_of_loss": float(np.max(np.abs(theirs / ours - 1))),
        "relative_difference_of_weights": _difference(
            [whole[name] for name in names], weights
        ),
        "resumed_is_the_same": all(
            np.array_equal(whole[name], resumed[name]) for name in whole
        ),
        "test_in_jax": log["evals"][-1]["bits_per_dim"],
        "test_of_fit": test,
        "test_of_imported": _test(model, bridge, packed, of_average=False),
        "test_of_imported_by_score_images": found["test_bits_per_dim"],
    }


def _state_of(
    folder: pathlib.Path, bridge: Bridge
) -> tuple[dict[str, np.ndarray], dict[str, Any]]:
    paths = sorted(folder.glob("trained-[0-9]*.npz"))
    return bridge.state_parts.read_parts([str(path) for path in paths])


def _log_of(folder: pathlib.Path) -> dict[str, Any]:
    return json.loads((folder / "trained-log.json").read_text(encoding="utf-8"))


def _by_fit(
    packed: pathlib.Path, bridge: Bridge, about: Mapping[str, Any], steps: int
) -> tuple[np.ndarray, list[np.ndarray], float]:
    """Returns loss of all steps, the weights after them, and test bits/dim.

    `fit` trains with TensorFlow's own kernels. It is given real-valued pixels: XLA
    draws other noise than TensorFlow.
    """
    config = RunConfig(**about["run"])
    model, _, _ = prepare(config, bridge)
    images, size = _images(packed, bridge)["train/image"], about["batch_sizes"][0]

    @tf.function(jit_compile=True, autograph=False)
    def pixels(image, seed):
        if about["flips"]:
            image = mirrored(image, seed)
        return jittered(tf.cast(image, tf.float32), noise_seed(seed))

    def batches():
        for number in range(steps):
            chosen = bridge.batch_order.batch_indices(len(images), size, number, SEED)
            yield pixels(tf.constant(images[chosen]), tf.constant([SEED, number]))

    spec = tf.TensorSpec([size, *images.shape[1:]], tf.float32)
    rate = LearningRate(
        config.learning_rate,
        steps,
        config.schedule,
        warmup_steps=config.warmup_steps,
    )
    # What is logged at the end of an epoch is its mean.
    history = model.fit(
        tf.data.Dataset.from_generator(batches, output_signature=spec),
        steps_per_epoch=1,
        epochs=steps,
        callbacks=[rate],
        verbose=0,
    )
    of_average = model.average is not None
    test = _test(model, bridge, packed, of_average=of_average)
    weights = model.average.variables[1:] if of_average else model.weights
    values = [weight.numpy() for weight in weights]
    return np.array(history.history["loss"]), values, test


def _test(
    model: Any, bridge: Bridge, packed: pathlib.Path, *, of_average: bool
) -> float:
    """Returns bits/dim of the test images, with the noise they get in JAX."""
    images = _images(packed, bridge)["eval/image"]
    # XLA, for the same noise as in JAX.
    evaluate = tf.function(
        make_evaluation(model, of_average=of_average),
        autograph=False,
        jit_compile=True,
    )
    scores = []
    for number, start in enumerate(range(0, len(images), EVALUATION_BATCH)):
        part = np.arange(start, start + EVALUATION_BATCH)
        batch = images[np.minimum(part, len(images) - 1)]
        found = evaluate(tf.constant(batch), tf.constant([SEED, -1 - number]))
        scores.append(found.numpy()[: len(images) - start])
    return float(np.concatenate(scores).mean(dtype=np.float64))


def _difference(found: list[np.ndarray], expected: list[np.ndarray]) -> float:
    """Returns the norm of all differences by that of all values."""
    found, expected = (
        np.concatenate([np.ravel(value) for value in values], dtype=np.float64)
        for values in (found, expected)
    )
    return float(np.linalg.norm(found - expected) / np.linalg.norm(expected))


def _images(packed: pathlib.Path, bridge: Bridge) -> dict[str, np.ndarray]:
    paths = packed_files(packed, "data-[0-9]*.npz")
    return bridge.state_parts.read_parts([str(path) for path in paths])[0]
