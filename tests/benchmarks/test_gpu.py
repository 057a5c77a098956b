import json
import os
import pathlib
import shutil
import subprocess
import sys
import types

import numpy as np
import pytest
import tensorflow as tf
from gpu.__main__ import main
from gpu.exported import (
    STEP_RESULTS,
    Plan,
    learning_rate_at,
    make_evaluation,
    make_step,
    mirrored,
    noise_seed,
)
from gpu.machine.initial import describe, digest_of, draw, make, make_all
from gpu.machine.rates import PEAKS, make_report
from gpu.machine.sheets import read_sheets
from gpu.pack import load_bridge, prepare, read_about, spread
from PIL import Image

from tfp_realnvp.runs import LearningRate, RunConfig
from tfp_realnvp.training import functions
from tfp_realnvp.training.functions import dequantized

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


def images(count=8):
    shape = [count, 4, 4, 1]
    return tf.constant(np.random.default_rng(0).integers(0, 256, shape, np.uint8))


def seed_of(number, seed=5):
    return tf.constant([seed, number])


@pytest.mark.parametrize("schedule", ["constant", "cosine", "trapezoid"])
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


def assert_all_close(found, expected, **tolerance):
    for value, wanted in zip(found, expected, strict=True):
        np.testing.assert_allclose(value, wanted, **tolerance)


def test_steps_and_evaluations_do_what_fit_and_the_average_do():
    model, plan = CONFIG.build_model(), Plan.of(CONFIG.learning_rate, 4)
    step = tf.function(make_step(model, plan, CONFIG, flips=True), autograph=False)

    def results(number):
        return dict(zip(STEP_RESULTS, step(images(), seed_of(number)), strict=True))

    # Otherwise the graphs would round differently from those of `fit`.
    with functions.as_traced():
        found = [results(number) for number in range(4)]

    def pixels(count):
        for i in range(count):
            flipped = tf.cast(mirrored(images(), seed_of(i)), tf.float32)
            yield dequantized(flipped, noise_seed(seed_of(i)))

    expected = CONFIG.build_model()
    spec = tf.TensorSpec([8, 4, 4, 1], tf.float32)
    batches = tf.data.Dataset.from_generator(pixels, args=[4], output_signature=spec)
    rate = LearningRate(CONFIG.learning_rate, 4, "cosine", warmup_steps=2)
    options = {"steps_per_epoch": 1, "epochs": 4, "verbose": 0}
    history = expected.fit(batches, callbacks=[rate], **options).history
    for name in ("loss", "bits_per_dim"):
        np.testing.assert_allclose([f[name] for f in found], history[name], rtol=1e-6)
    assert_all_close(model.weights, expected.weights, rtol=1e-5, atol=1e-6)
    averages = (m.average.variables for m in (model, expected))
    assert_all_close(*averages, rtol=1e-5, atol=1e-6)

    x = dequantized(tf.cast(images(), tf.float32), noise_seed(seed_of(-1)))
    plain = model.to_units(model(x))
    with model.averaged_weights():
        averaged = model.to_units(model(x))
    assert not np.allclose(plain, averaged, rtol=1e-3)
    for of_average, wanted in ((True, averaged), (False, plain)):
        scores = make_evaluation(model, of_average=of_average)(images(), seed_of(-1))
        np.testing.assert_allclose(scores, wanted, rtol=1e-5)

    first = model.trainable_variables[0]
    first.assign(first * np.nan)
    refused = results(9)
    assert refused["is_finite"] == 0 and refused["loss"] == 0


def test_images_are_mirrored_or_as_they_were():
    pixels = images(400).numpy()
    found = mirrored(tf.constant(pixels), seed_of(3)).numpy()
    is_same = (found == pixels).all(axis=(1, 2, 3))
    is_mirrored = (found == pixels[:, :, ::-1]).all(axis=(1, 2, 3))
    assert (is_same ^ is_mirrored).all()
    assert 150 < is_mirrored.sum() < 250


def test_weights_are_drawn_alike_everywhere_and_as_wide_as_they_were():
    expected = [-0.07737734913825989, -0.10367703437805176, -0.12000131607055664]
    np.testing.assert_array_equal(draw(1, 2, [3], 0.75), np.float32(expected))
    for value in (np.ones([2, 3], np.int64), np.arange(3), np.asarray(0.5)):
        about = json.loads(json.dumps(describe(0, value)))
        np.testing.assert_array_equal(make(0, about), value, strict=True)
    value = np.float32(0.3 * np.random.default_rng(0).standard_normal([200, 100]))
    initial = {name: describe(i, value) for i, name in enumerate("ab")}
    state, again = (make_all(7, initial) for _ in range(2))
    assert state["a"].shape == value.shape and abs(state["a"].std() - 0.3) < 0.01
    assert not np.array_equal(state["a"], state["b"])
    assert digest_of(state) == digest_of(again)
    state["b"][0, 0] = np.nextafter(state["b"][0, 0], np.float32(1))
    assert digest_of(state) != digest_of(again)


def test_a_sheet_holds_images_row_by_row(tmp_path):
    images = np.random.default_rng(0).integers(0, 256, [8, 32, 32, 3], np.uint8)
    paths = []
    for number, part in enumerate(np.split(images, 2)):
        rows = part.reshape(2, 2, 32, 32, 3).transpose(0, 2, 1, 3, 4)
        paths.append(tmp_path / f"{number}.webp")
        Image.fromarray(rows.reshape(64, 64, 3)).save(paths[-1], lossless=True)
    np.testing.assert_array_equal(read_sheets(paths, 5), images[:5])


def test_the_report_tells_speed_and_shares():
    speeds = [{"images_per_second": speed} for speed in (100, 640, 700)]
    log = {"device": "cpu", "chunks": speeds}
    about = {"training_flops": 10**9, "network_dtype": "float32"}
    report = make_report(log, about, [])
    assert report["operations_per_second"] == 640e9
    for name in ("share_of_peak", "share_of_bare_convolutions", "times_the_peer"):
        assert report[name] is None
    log["operations_per_second_of_bare_convolutions"] = 1280e9
    log["device"] = "NVIDIA H100 80GB HBM3"
    peer = [{"images_per_second": 160}, {"error": "RuntimeError"}]
    report = make_report(log, about, peer)
    assert report["share_of_bare_convolutions"] == 0.5
    assert report["times_the_peer"] == 4
    assert report["share_of_peak"] == {
        name: pytest.approx(640e9 / PEAKS["H100"][name]) for name in ("float32", "tf32")
    }


def test_no_folder_is_larger_than_a_transfer(tmp_path):
    folders = tmp_path / "folders"
    (folders / "1").mkdir(parents=True)
    (folders / "1" / "programs.zip").write_bytes(bytes(1000))
    paths = [tmp_path / f"train_{number}.webp" for number in range(4)]
    for path in paths:
        path.write_bytes(bytes(1000))
    spread({p: p.name for p in paths}, folders, limit=2500)
    found = sorted(p.relative_to(folders).as_posix() for p in folders.rglob("*.webp"))
    wanted = ["1/train_0", "2/train_1", "2/train_2", "3/train_3"]
    assert found == [f"{name}.webp" for name in wanted]


CALL = pathlib.Path(__file__).parents[2] / "benchmarks" / "gpu" / "machine" / "call.py"
# In the place of train.py.
TRAIN = """
import json, pathlib, time
folder = pathlib.Path(__file__).parent
while not (folder / "go.json").exists():
    time.sleep(0.05)
(folder / "out-1").mkdir()
(folder / "out-1" / "report.json").write_text((folder / "go.json").read_text())
(folder / "latest").write_text("out-1")
"""


def call(folder, *options):
    command = [sys.executable, str(CALL), "--folder", str(folder), *map(str, options)]
    return subprocess.run(command, capture_output=True, text=True)


def test_training_outlives_the_call_that_starts_it_and_failures_are_told(tmp_path):
    options = ["--train-seconds", 30, "--wait", 30, "--output", tmp_path / "back"]
    ends = {
        "finished": '(folder / "finished").touch()',
        "failed": 'raise RuntimeError("out of memory")',
    }
    for state, end in ends.items():
        brought, there = tmp_path / f"1 {state}", tmp_path / f"there {state}"
        brought.mkdir()
        (brought / "train.py").write_text(TRAIN + end)
        first = call(there, "--bring", brought)
        assert first.returncode == 0 and "training goes on" in first.stdout
        pid = (there / "pid").read_text()
        second = call(there, *options)
        assert state in second.stdout
        assert second.returncode == int(state == "failed")
        assert ("out of memory" in second.stdout) == (state == "failed")
        assert (there / "pid").read_text() == pid
        report = json.loads((tmp_path / "back" / "report.json").read_text())
        assert {"end", "peer_seconds"} == set(report)


BRIDGE, JAX, SHEETS, DATA = (
    f"TFP_REALNVP_{name}" for name in ("GPU_BRIDGE", "JAX_PYTHON", "SHEETS", "DATA_DIR")
)
SMALL = ["--filters", 4, "--num-blocks", 1]


def needs(*names):
    return pytest.mark.skipif(
        not all(name in os.environ for name in names),
        reason=f"needs {', '.join(names)}: see benchmarks/gpu/README.md; takes minutes",
    )


def by_fit(packed, bridge):
    """Returns losses of `fit` with TensorFlow's own kernels, and the averages.

    It is given real-valued pixels: XLA draws other noise than TensorFlow.
    """
    about = read_about(packed)
    config, steps, (size,) = RunConfig(**about["run"]), 40, about["batch_sizes"]
    model = prepare(config, bridge).model
    sheet = pathlib.Path(os.environ[SHEETS], "train_0.webp")
    pixels = read_sheets([sheet], about["images"]["train"])

    @tf.function(jit_compile=True, autograph=False)
    def noisy(image, seed):
        image = tf.cast(mirrored(image, seed), tf.float32)
        return dequantized(image, noise_seed(seed))

    def batches():
        for number in range(steps):
            chosen = bridge.batch_order.batch_indices(len(pixels), size, number, 0)
            yield noisy(tf.constant(pixels[chosen]), seed_of(number, seed=0))

    spec = tf.TensorSpec([size, 32, 32, 3], tf.float32)
    data = tf.data.Dataset.from_generator(batches, output_signature=spec)
    rate, warmup = about["learning_rates"][str(size)], config.warmup_steps
    callbacks = [LearningRate(rate, steps, config.schedule, warmup_steps=warmup)]
    options = {"steps_per_epoch": 1, "epochs": steps, "verbose": 0}
    history = model.fit(data, callbacks=callbacks, **options)
    averages = [variable.numpy() for variable in model.average.variables[1:]]
    return np.array(history.history["loss"]), averages


@needs(BRIDGE, JAX, SHEETS, DATA)
def test_plan_a_trains_in_jax_as_in_tensorflow(monkeypatch, tmp_path):
    packed, there, back, run = (tmp_path / n for n in ("pack", "there", "back", "run"))
    monkeypatch.setenv("JAX_PLATFORMS", "cpu")
    monkeypatch.delenv("PYTHONPATH", raising=False)

    def command(name, *options):
        given = ["--bridge", os.environ[BRIDGE], *map(str, options)]
        monkeypatch.setattr(sys, "argv", ["gpu", name, *given])
        main()

    def call_there(script, *options):
        command = [os.environ[JAX], script, "--folder", there, *options]
        subprocess.run([str(word) for word in command], check=True)

    steps = ["--batch-size", 16, "--images", 160, "--steps", 40]
    exact = ["--network-dtype", "float32"]
    sheets = ["--sheets", os.environ[SHEETS]]
    command("pack", *sheets, *steps, *exact, *SMALL, "--output", packed)
    call_there(packed / "1" / "call.py", "--bring", packed / "1")
    wait = ["--train-seconds", 1, "--wait", 900, "--output", back]
    call_there(there / "call.py", *wait)
    report = json.loads((back / "report.json").read_text(encoding="utf-8"))
    print(report["seconds"], report["training_seconds"])
    bridge = load_bridge(pathlib.Path(os.environ[BRIDGE]))
    losses, averages = by_fit(packed, bridge)
    found = [chunk["loss"] for chunk in report["chunks"]]
    np.testing.assert_allclose(found, losses.reshape(2, -1).mean(axis=1), rtol=1e-5)
    state, extra = bridge.state_parts.read_parts(sorted(map(str, back.glob("w*.npz"))))
    assert extra["step"] == 40
    names = read_about(packed)["names"]["weights"]
    for name, average in zip(names, averages, strict=True):
        np.testing.assert_allclose(state[name], average, rtol=1e-2, atol=1e-3)
    data = ["--data-dir", os.environ[DATA], "--images", 160]
    command("unpack", *data, "--pack", packed, "--back", back, "--output", run)
    score = json.loads((run / "evaluation_of_gpu.json").read_text(encoding="utf-8"))
    on_gpu = report["evaluations"][-1]["test_bits_per_dim"]
    assert score["test_bits_per_dim"] == pytest.approx(on_gpu, abs=0.01)
    # The next quarter of an hour, with the cache of the first compilation.
    for name in ("finished", "latest"):
        (there / name).unlink()
    shutil.copy(back / "weights-000.npz", there / "start-000.npz")
    call_there(there / "call.py", *wait)
    again = json.loads((back / "report.json").read_text(encoding="utf-8"))
    assert again["start"]["step"] == 40
    first, last = again["chunks"][0], report["chunks"][-1]
    assert first["bits_per_dim"] < last["bits_per_dim"]


@needs(SHEETS, BRIDGE)
def test_plan_b_finds_no_difference_between_a_cpu_and_itself(tmp_path):
    sheet = pathlib.Path(os.environ[SHEETS], "train_0.webp")
    with Image.open(sheet) as image:
        image.crop((0, 0, 3200, 320)).save(tmp_path / "images.webp", lossless=True)
    native = CALL.with_name("native.py")
    small = ["--filters", 4, "--num-blocks", 1, 1, "--batch-sizes", 8]
    device = ["--device", "CPU:0", "--images", tmp_path / "images.webp"]
    options = [*device, *small, "--output", tmp_path, "--seconds", 3000]
    subprocess.run(list(map(str, [sys.executable, native, *options])), check=True)
    lines = (tmp_path / "native.jsonl").read_text(encoding="utf-8").splitlines()
    found = [json.loads(line) for line in lines]
    assert [line for line in found if "error" in line] == []
    assert {line["status"] for line in found if "item" in line} == {0}
    for line in found:
        if line.get("what") == "compare_losses":
            assert line["largest_relative_difference"] < 1e-3
    kinds = {"compare_losses": 6, "compare_values": 2, "time_fit": 6}
    for what, count in kinds.items():
        assert sum(line.get("what") == what for line in found) == count
