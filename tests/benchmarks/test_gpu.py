import json
import os
import pathlib
import sys
import types

import numpy as np
import pytest
import tensorflow as tf
from gpu.bridge import HERE, THERE
from gpu.command import main
from gpu.exported import (
    STEP_RESULTS,
    Plan,
    extra_variables,
    learning_rate_at,
    make_evaluation,
    make_step,
    mirrored,
    names_of,
    noise_seed,
)
from gpu.machine.report import PEAKS, make_report
from gpu.pack import MIB, _spread

from tfp_realnvp.runs.learning_rate import SCHEDULES, LearningRate
from tfp_realnvp.runs.run_config import RunConfig
from tfp_realnvp.training.log_prob_parts import jittered


def seeded_batches(count):
    """Yields what steps are given, as real-valued pixels."""
    for i in range(count):
        pixels = tf.cast(mirrored(images(), seed_of(i)), tf.float32)
        yield jittered(pixels, noise_seed(seed_of(i)))


def images(count=8):
    shape = [count, 4, 4, 1]
    return tf.constant(np.random.default_rng(0).integers(0, 256, shape, np.uint8))


def seed_of(number, seed=5):
    return tf.constant([seed, number])


def weights_of(model):
    return [weight.numpy() for weight in model.weights]


@pytest.mark.parametrize("schedule", SCHEDULES)
@pytest.mark.parametrize("warmup_steps", [0, 7])
def test_the_learning_rate_is_that_of_a_run(schedule, warmup_steps):
    callback = LearningRate(2e-3, 50, schedule, warmup_steps=warmup_steps)
    plan = Plan.of(2e-3, 50)
    for step in (0, 3, 6, 7, 25, 40, 49, 50, 60):
        optimizer = types.SimpleNamespace()
        callback.set_model(types.SimpleNamespace(step=step, optimizer=optimizer))
        callback.on_train_batch_begin(0)
        found = learning_rate_at(tf.constant(step), plan, schedule, warmup_steps)
        np.testing.assert_allclose(found, optimizer.learning_rate, rtol=1e-14)


CONFIG = RunConfig(
    dataset="cifar10",
    flow={"event_shape": [4, 4, 1], "num_scales": 1, "filters": 4, "num_blocks": 1},
    batch_size=8,
    epochs=1,
    learning_rate=1e-2,
    seed=0,
    warmup_steps=2,
    average_decay=0.9,
)


class Trainer:
    """A model and its traced step, which can be set back to the start."""

    def __init__(self):
        self.model = CONFIG.build_model()
        self.plan = Plan.of(CONFIG.learning_rate, 4)
        step = make_step(self.model, self.plan, CONFIG, flips=True)
        self._step = tf.function(step, autograph=False)
        self._variables = [
            *self.model.variables,
            *self.model.optimizer.variables,
            *extra_variables(self.model, self.plan),
        ]
        self._start = [tf.convert_to_tensor(v).numpy() for v in self._variables]

    def reset(self):
        for variable, value in zip(self._variables, self._start, strict=True):
            variable.assign(value)

    def step(self, seed):
        return dict(zip(STEP_RESULTS, self._step(images(), seed), strict=True))


@pytest.fixture(scope="module")
def traced():
    return Trainer()


@pytest.fixture
def trainer(traced):
    traced.reset()
    return traced


def test_a_step_does_what_fit_does(trainer):
    found = [trainer.step(seed_of(i)) for i in range(4)]
    expected = CONFIG.build_model()
    spec = tf.TensorSpec([8, 4, 4, 1], tf.float32)
    batches = tf.data.Dataset.from_generator(
        seeded_batches, args=[4], output_signature=spec
    )
    rate = LearningRate(CONFIG.learning_rate, 4, "cosine", warmup_steps=2)
    history = expected.fit(
        batches, steps_per_epoch=1, epochs=4, callbacks=[rate], verbose=0
    ).history
    for name in ("loss", "bits_per_dim"):
        np.testing.assert_allclose([f[name] for f in found], history[name], rtol=1e-6)
    assert found[0]["loss"] > found[0]["bits_per_dim"]
    model = trainer.model
    for values, wanted in (
        (model.weights, expected.weights),
        (model.average.variables, expected.average.variables),
    ):
        for value, want in zip(values, wanted, strict=True):
            np.testing.assert_allclose(value, want, rtol=1e-5, atol=1e-6)


def test_a_step_depends_on_its_seed_and_number_alone(trainer):
    trainer.plan.learning_rate.assign(0)
    first, other, of_seed, again = (
        float(trainer.step(seed)["bits_per_dim"])
        for seed in (seed_of(0), seed_of(1), seed_of(0, seed=6), seed_of(0))
    )
    assert first == again
    assert len({first, other, of_seed}) == 3


def test_a_step_that_is_not_finite_changes_no_weight(trainer):
    trainer.step(seed_of(0))
    first = trainer.model.trainable_variables[0]
    first.assign(first * np.nan)
    model = trainer.model

    def state():
        variables = [*model.average.variables, *model.optimizer.variables[2:]]
        return [*weights_of(model), *(v.numpy() for v in variables)]

    before = state()
    found = trainer.step(seed_of(1))
    assert found["is_finite"] == 0 and found["loss"] == 0
    for value, wanted in zip(state(), before, strict=True):
        np.testing.assert_array_equal(value, wanted)


def test_images_are_mirrored_or_as_they_were():
    pixels = images(400).numpy()
    found = mirrored(tf.constant(pixels), seed_of(3)).numpy()
    is_same = (found == pixels).all(axis=(1, 2, 3))
    is_mirrored = (found == pixels[:, :, ::-1]).all(axis=(1, 2, 3))
    assert (is_same ^ is_mirrored).all()
    assert 150 < is_mirrored.sum() < 250


def test_an_evaluation_is_by_the_average_and_leaves_the_weights(trainer):
    for i in range(4):
        trainer.step(seed_of(i))
    model, before = trainer.model, weights_of(trainer.model)
    found = make_evaluation(model, of_average=True)(images(), seed_of(-1))
    pixels = jittered(tf.cast(images(), tf.float32), noise_seed(seed_of(-1)))
    plain = model.to_units(model(pixels))
    with model.averaged_weights():
        expected = model.to_units(model(pixels))
    np.testing.assert_allclose(found, expected, rtol=1e-5)
    assert not np.allclose(plain, expected, rtol=1e-3)
    found = make_evaluation(model, of_average=False)(images(), seed_of(-1))
    np.testing.assert_allclose(found, plain, rtol=1e-5)
    for value, wanted in zip(weights_of(model), before, strict=True):
        np.testing.assert_array_equal(value, wanted)


def test_names_are_given_in_the_order_of_the_weights(trainer):
    model, plan = trainer.model, trainer.plan
    everything = [
        *(weight.value for weight in model.weights),
        *(getattr(v, "_value", v) for v in extra_variables(model, plan)),
    ]
    variables = {f"variable {i}": v for i, v in enumerate(everything)}
    names = names_of(model, plan, variables)
    assert variables[names["learning_rate"]] is plan.learning_rate
    assert variables[names["steps"]] is plan.steps
    averages = model.average.variables[1:]
    for which, values in (
        ("weights", [weight.value for weight in model.weights]),
        ("average", averages),
    ):
        for name, value in zip(names[which], values, strict=True):
            assert variables[name] is value


def log(first_step, chunks, evals=()):
    return {
        "device": "NVIDIA H100 80GB HBM3",
        "jax": "0",
        "first_step": first_step,
        "compile_s": 1.0,
        "evals": list(evals),
        "chunks": [
            {
                "step": step,
                "seconds": seconds,
                "examples_per_s": 640 / seconds,
                "bits_per_dim": 4.0,
                "gradient_norm": 1.0,
                "learning_rate": 1e-3,
                "is_finite": is_finite,
            }
            for step, seconds, is_finite in chunks
        ],
    }


def test_the_report_adds_up_the_calls():
    evaluated = {"step": 30, "bits_per_dim": 3.5, "examples": 10_000}
    about = {"cost": {"training_flops": 10**9}, "run": {"flow": {}}}
    report = make_report(
        [
            log(0, [(10, 2.0, 1.0), (20, 1.0, 0.9)]),
            log(20, [(30, 1.0, 1)], [evaluated]),
        ],
        about,
        {"batch_size": 64, "chunk": 10, "steps": 30},
        {"batch_size": 64, "images_per_second": 160.0},
    )
    assert report["step"] == 30 and report["training_seconds"] == 4
    assert report["refused_steps"] == 1
    assert report["evaluations"] == [
        {"step": 30, "seconds": 4.0, "test_bits_per_dim": 3.5, "images": 10_000}
    ]
    assert report["images_per_second"] == 640
    assert report["operations_per_second"] == 640e9
    assert report["share_of_peak"] == {
        name: pytest.approx(640e9 / PEAKS["H100"][name]) for name in ("float32", "tf32")
    }
    assert report["times_the_peer"] == 4


def test_no_share_is_told_of_a_device_whose_peak_is_not_known():
    about = {"cost": {"training_flops": 1}, "run": {"flow": {}}}
    plan = {"batch_size": 64, "chunk": 10}
    logs = [{**log(0, [(10, 1.0, 1.0)]), "device": "cpu"}]
    assert make_report(logs, about, plan, None)["share_of_peak"] is None


def test_no_folder_is_larger_than_a_transfer(tmp_path):
    stage = tmp_path / "stage"
    (stage / "peer").mkdir(parents=True)
    (stage / "peer" / "net.py").write_bytes(bytes(MIB // 2))
    for name in ("run.py", *(f"data-00{i}.npz" for i in range(5)), "initial-000.npz"):
        (stage / name).write_bytes(bytes(MIB))
    names = {path.name for path in stage.rglob("*") if path.is_file()}
    folders = _spread(stage, tmp_path / "folders", transfer_mib=3)
    found = [path for path in folders.rglob("*") if path.is_file()]
    assert {path.name for path in found} == names and len(found) == len(names)
    assert (folders / "1" / "peer" / "net.py").exists()
    sizes = [
        sum(path.stat().st_size for path in found if path.is_relative_to(folder))
        for folder in folders.iterdir()
    ]
    assert len(sizes) == 3 and max(sizes) <= 3 * MIB


@pytest.fixture
def bridge(tmp_path):
    """A folder with empty files of the bridge's names."""
    folder = tmp_path / "bridge"
    folder.mkdir()
    for name in {*HERE, *THERE}:
        (folder / name).touch()
    return folder


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        (["--bridge", "."], "--bridge: expected a folder with batch_order.py"),
        (["--output", "bridge"], "--output: expected a new folder, got bridge"),
        (["--preset", "nope"], "got 'nope'"),
        (["--preset", "digits"], "--preset: expected one of cifar10"),
        (["--batch-size", "64", "64"], "--batch-size: expected different numbers"),
        (["--batch-size", "0"], "--batch-size: expected different numbers"),
        (["--images", "10"], "--batch-size: expected different numbers from 1 to 10"),
        (["--images", "0"], "--images: expected a positive number, got 0"),
        (["--filters", "0"], "--filters: expected a positive number, got 0"),
        (["--transfer-mib", "65"], "--transfer-mib: expected 28"),
        (["--image-peer", "."], "without models/real_nvp/real_nvp.py"),
        (["--learning-rate", "-1"], "learning_rate: expected"),
        (["--seed", "-1"], "seed: expected"),
        (["--network-dtype", "int8"], "network_dtype: expected"),
        (["--data-dir", "none"], "none"),
    ],
)
def test_bad_options_are_refused_before_anything_is_packed(
    options, expected, bridge, monkeypatch, tmp_path
):
    monkeypatch.chdir(tmp_path)
    given = ["pack", "--bridge", "bridge", "--output", "out", *options]
    monkeypatch.setattr(sys, "argv", ["gpu", *given])
    with pytest.raises(SystemExit) as exit:
        main()
    assert expected in str(exit.value)
    assert list(tmp_path.iterdir()) == [bridge]


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        (["unpack", "--back", "."], "--pack: expected a folder that `pack` wrote"),
        (["unpack", "--back", ".", "--draws", "0"], "--draws: expected a positive"),
        (["unpack", "--back", ".", "--pack", "packed"], "--back: expected a folder"),
        (["prove", "--jax-python", "x", "--pack", "packed", "--steps", "3"], "an even"),
    ],
)
def test_bad_options_are_refused_before_anything_is_unpacked(
    options, expected, bridge, monkeypatch, tmp_path
):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "packed" / "1").mkdir(parents=True)
    (tmp_path / "packed" / "1" / "pack.json").touch()
    command, *rest = options
    given = [command, "--bridge", "bridge", "--output", "out", "--pack", ".", *rest]
    monkeypatch.setattr(sys, "argv", ["gpu", *given])
    with pytest.raises(SystemExit) as exit:
        main()
    assert expected in str(exit.value)
    assert not (tmp_path / "out").exists()


NEEDED = ("TFP_REALNVP_GPU_BRIDGE", "TFP_REALNVP_JAX_PYTHON", "TFP_REALNVP_DATA_DIR")


@pytest.mark.skipif(
    not all(name in os.environ for name in NEEDED),
    reason=f"needs {', '.join(NEEDED)}: see benchmarks/gpu/README.md; takes minutes",
)
def test_what_is_packed_trains_in_jax_as_in_tensorflow(monkeypatch, tmp_path):
    bridge, jax_python, data_dir = (os.environ[name] for name in NEEDED)
    common = ["--bridge", bridge, "--data-dir", data_dir]
    small = ["--filters", "4", "--num-blocks", "1", "--images", "160"]
    packed, output = tmp_path / "packed", tmp_path / "proof"

    def run(command, *options):
        monkeypatch.setattr(sys, "argv", ["gpu", command, *common, *map(str, options)])
        main()

    run("pack", "--output", packed, "--batch-size", 16, *small)
    proof = ["--pack", packed, "--output", output, "--steps", 20]
    run("prove", *proof, "--jax-python", jax_python)
    found = json.loads(pathlib.Path(output, "proof.json").read_text(encoding="utf-8"))
    losses = found["loss_in_jax"]
    np.testing.assert_allclose(losses, found["loss_of_fit"], rtol=1e-5)
    assert np.mean(losses[-3:]) < np.mean(losses[:3]) - 0.05
    assert found["resumed_is_the_same"]
    expected = pytest.approx(found["test_in_jax"], rel=1e-5)
    assert found["test_of_fit"] == expected
    assert found["test_of_imported"] == expected
    assert found["test_of_imported_by_score_images"] == pytest.approx(
        found["test_in_jax"], abs=0.01
    )
