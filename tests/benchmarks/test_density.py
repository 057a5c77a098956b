import json
import pathlib
import subprocess
import sys

import numpy as np
import pytest
import tensorflow as tf
from density.arms import BASE
from density.changes import CHANGES
from density.report import rendered, report
from jacobian import jacobians

import tfp_realnvp as nvp

ROOT = pathlib.Path(__file__).resolve().parents[2]
# Changes that do not affect a flow made from given weights.
WITHIN = {"centres", "gain 0", "gain 1"}


def small_flow(num_scales=1):
    sizes = {"num_scales": num_scales, "filters": 4, "num_blocks": 1}
    return nvp.image_flow(event_shape=(4, 4, 1), **sizes, seed=0)


def images():
    return np.random.default_rng(0).uniform(0, 256, [3, 4, 4, 1]).astype("float32")


def shuffle_weights(flow):
    """Changes all weights, so that no coupling is the identity."""
    for i, variable in enumerate(flow.trainable_variables):
        noise = tf.random.stateless_normal(variable.shape, (i, 1), stddev=0.1)
        variable.assign(variable + noise)


def test_a_changed_flow_has_the_density_that_its_jacobian_says():
    with CHANGES["scale then shift"]():
        flow = small_flow(num_scales=2)
        shuffle_weights(flow)
        x = tf.constant(images())
        _, expected = np.linalg.slogdet(jacobians(flow.bijector.inverse, x))
        found = flow.bijector.inverse_log_det_jacobian(tf.identity(x))
    np.testing.assert_allclose(found, expected, rtol=1e-4, atol=1e-3)


@pytest.mark.parametrize("name", CHANGES)
def test_a_changed_flow_goes_back_and_all_of_it_can_be_trained(name):
    plain = small_flow()
    shuffle_weights(plain)
    with CHANGES[name]():
        flow, x = small_flow(), tf.constant(images())
        shuffle_weights(flow)
        z = flow.bijector.inverse(tf.identity(x))
        again = flow.bijector.forward(tf.identity(z))
        np.testing.assert_allclose(again, x, rtol=1e-4, atol=1e-2)
        with tf.GradientTape() as tape:
            loss = flow.log_prob(x, bijector_kwargs={"training": True})
        gradients = tape.gradient(loss, flow.trainable_variables)
        is_same = np.allclose(flow.log_prob(x), plain.log_prob(x))
    assert all(gradient is not None for gradient in gradients)
    assert name in WITHIN or not is_same


def test_initial_gains_are_those_of_the_change():
    for gain in (0, 1):
        with CHANGES[f"gain {gain}"]():
            flow = small_flow()
        gains = [float(v) for v in flow.trainable_variables if v.shape == ()]
        assert gains == 4 * [gain]


def test_centres_of_pixels_take_the_place_of_noise_in_training_alone():
    with CHANGES["centres"]():
        model = nvp.FlowModel(small_flow(), seed=0)
    x = images().astype(np.uint8)
    centres = nvp.FlowModel.log_prob_parts(model, x + 0.5, training=True)[0]
    np.testing.assert_allclose(model.log_prob_parts(x, training=True)[0], centres)
    assert not np.allclose(model.log_prob_parts(x)[0], model.log_prob_parts(x + 0.5)[0])


def log(arm, seed, test):
    return {
        "arm": arm,
        "seed": seed,
        "test": test,
        "validation": test + 1,
        "updates_made": 10,
        "training_seconds": 60.4,
        "curve": [[50, 20.0, 5.0], [100, 40.0 - seed, 4.5], [150, 60.0, 4.2]],
        "commit": "0123456789abcdef",
        "parameters": 1000,
    }


def test_the_report_compares_runs_of_the_same_seed():
    scores = {BASE: (4.0, 4.2), "bfloat16": (4.25, 4.25)}
    logs = [
        log(a, s, test) for a, tests in scores.items() for s, test in enumerate(tests)
    ]
    lines = report(logs).splitlines()
    assert lines[2] == (
        f"| {BASE} | 0, 1 | 4.1000 ± 0.1000 |  | 5.1000 ± 0.1000 | 10 | 60 | 0.38 | "
        "1000 |"
    )
    assert lines[3].startswith("| bfloat16 | 0, 1 | 4.2500 ± 0.0000 | +0.1500 ± 0.1000")
    assert lines[5] == "Commit 0123456789ab."


def test_the_tables_of_a_document_are_written_from_the_logs_beside_it(tmp_path):
    document = tmp_path / "results.md"
    (tmp_path / "results").mkdir()
    lines = [json.dumps(log(BASE, seed, 4.0 + seed)) for seed in (0, 1)]
    (tmp_path / "results" / "a.jsonl").write_text("\n".join(lines))
    text = 'Before.\n\n<!-- density a.jsonl ["%s"] -->\nold\n<!-- end -->\n\nAfter.\n'
    document.write_text(text % BASE)
    written = rendered(document)
    assert "| 4.5000 ± 0.5000 |" in written and "old" not in written
    assert written.startswith("Before.") and written.endswith("After.\n")
    document.write_text(text % "bfloat16")
    with pytest.raises(ValueError, match="expected runs of bfloat16; got none of b"):
        rendered(document)


def test_runs_leave_logs_and_are_not_made_twice(tmp_path, data_dir):
    def run(updates):
        command = [sys.executable, "benchmarks/density", "--output", str(tmp_path)]
        command += ["--seeds", "0", "--images", "100", "--data-dir", str(data_dir)]
        command += ["--filters", "4", "--num-blocks", "1", "--batch-size", "8"]
        command += ["--arms", BASE, "--updates", str(updates)]
        return subprocess.run(command, capture_output=True, text=True, cwd=ROOT)

    first = run(50)
    assert first.returncode == 0, first.stderr
    assert "1 of 1: cifar10-plus, seed 0: " in first.stdout
    (path,) = (tmp_path / "runs").glob("*.json")
    found = json.loads(path.read_text(encoding="utf-8"))
    assert found["updates_made"] == 50 and len(found["curve"]) == 1
    assert 4 < found["test"] < 9
    assert "cifar10-plus" in (tmp_path / "results.md").read_text(encoding="utf-8")
    assert "1 runs, 1 of them made before." in run(50).stdout
    assert "expected runs with updates 51, as asked for; got one" in run(51).stderr
