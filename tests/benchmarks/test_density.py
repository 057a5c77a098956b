import json
import pathlib
import subprocess
import sys

import numpy as np
import pytest
import tensorflow as tf
from density.arms import ARMS, BASE, PEER
from density.changes import CHANGES, PlainConv2D, WithoutSkips
from density.command import main
from density.document import rendered, write_tables
from density.report import by_seed, in_words, report
from density.variational import Dequantizer, VariationalModel
from jacobian import jacobians
from scipy.stats import norm

import tfp_realnvp as nvp
from tfp_realnvp.nets import ResNet, WeightNormConv2D
from tfp_realnvp.training import flow_layer
from tfp_realnvp.training.dequantization import dequantized

ROOT = pathlib.Path(__file__).resolve().parents[2]


# What does not change the flow made from given weights.
WITHIN = {"centres", "gain 0", "gain 1", "variational dequantization"}


def small_flow(num_scales=1):
    sizes = {"num_scales": num_scales, "filters": 4, "num_blocks": 1}
    return nvp.image_flow(event_shape=(4, 4, 1), **sizes, seed=0)


def images():
    return np.random.default_rng(0).uniform(0, 256, [3, 4, 4, 1]).astype("float32")


def shuffle_weights(flow):
    """Moves all weights, so that no coupling is the identity."""
    for i, variable in enumerate(flow.trainable_variables):
        noise = tf.random.stateless_normal(variable.shape, (i, 1), stddev=0.1)
        variable.assign(variable + noise)


@pytest.mark.parametrize("name", ["scale then shift", "act norm", "mixture couplings"])
def test_a_changed_flow_has_the_density_that_its_jacobian_says(name):
    with CHANGES[name]():
        flow = small_flow(num_scales=2)
        shuffle_weights(flow)
        x = tf.constant(images())
        flow.log_prob(x)
        _, expected = np.linalg.slogdet(jacobians(flow.bijector.inverse, x))
        found = flow.bijector.inverse_log_det_jacobian(tf.identity(x))
    np.testing.assert_allclose(found, expected, rtol=1e-4, atol=1e-3)


@pytest.mark.parametrize("name", CHANGES)
def test_a_changed_flow_goes_back_and_all_of_it_can_be_trained(name):
    with CHANGES[name]():
        flow = small_flow()
        shuffle_weights(flow)
        x = tf.constant(images())
        z = flow.bijector.inverse(tf.identity(x))
        if name != "mixture couplings":
            again = flow.bijector.forward(tf.identity(z))
            np.testing.assert_allclose(again, x, rtol=1e-4, atol=1e-2)
        with tf.GradientTape() as tape:
            loss = flow.log_prob(x, bijector_kwargs={"training": True})
        gradients = tape.gradient(loss, flow.trainable_variables)
    assert all(gradient is not None for gradient in gradients)


def test_mixtures_give_no_way_back():
    with CHANGES["mixture couplings"](), pytest.raises(NotImplementedError):
        small_flow().sample()


@pytest.mark.parametrize("name", sorted(set(CHANGES) - WITHIN))
def test_a_change_changes_the_density(name):
    plain = small_flow()
    shuffle_weights(plain)
    expected = plain.log_prob(images())
    with CHANGES[name]():
        changed = small_flow()
        shuffle_weights(changed)
        assert not np.allclose(changed.log_prob(images()), expected)


@pytest.mark.parametrize("gain", [0, 1])
def test_initial_gains_are_those_of_the_change(gain):
    with CHANGES[f"gain {gain}"]():
        flow = small_flow()
    gains = [v for v in flow.trainable_variables if "gain" in v.name or v.shape == ()]
    assert len(gains) == 4
    assert {float(value) for value in gains} == {gain}


def test_centres_of_pixels_take_the_place_of_noise_only_inside_of_the_change():
    x, seed = tf.constant(images()), tf.constant([0, 1])
    with CHANGES["centres"]():
        np.testing.assert_array_equal(flow_layer.dequantized(x, seed), x + 0.5)
    assert flow_layer.dequantized is dequantized


def test_a_plain_convolution_starts_as_the_normalized_one():
    x = tf.random.stateless_normal([2, 4, 4, 3], (0, 1))
    arguments = {"initial_magnitude": 0.3, "direction_initializer": "ones"}
    plain, normalized = PlainConv2D(5, **arguments), WeightNormConv2D(5, **arguments)
    np.testing.assert_allclose(plain(x), normalized(x), rtol=1e-5)
    plain.direction.assign(2 * plain.direction)
    np.testing.assert_allclose(plain(x), 2 * normalized(x), rtol=1e-5)


def test_networks_without_skips_have_no_weights_of_them():
    def count(network):
        network = network(6, filters=4, num_blocks=2, seed=0)
        network.build((None, 4, 4, 3), (None, 4, 4, 1))
        return network.count_params()

    # Two 1x1 convolutions of 4 to 4 maps, with their magnitudes.
    assert count(ResNet) - count(WithoutSkips) == 2 * (16 + 4)


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
    logs = [
        log(BASE, 0, 4.0),
        log(BASE, 1, 4.2),
        log("bfloat16", 0, 4.25),
        log("bfloat16", 1, 4.25),
    ]
    lines = report(logs).splitlines()
    assert lines[2] == (
        f"| {BASE} | 0, 1 | 4.1000 ± 0.1000 |  | 5.1000 ± 0.1000 | 10 | 60 | 0.38 | "
        "1000 |"
    )
    assert lines[3].startswith("| bfloat16 | 0, 1 | 4.2500 ± 0.0000 | +0.1500 ± 0.1000")
    assert lines[5] == "Commit 0123456789ab."
    assert by_seed(logs, BASE, "test") == {0: 4.0, 1: 4.2}
    assert in_words([]) == "-" and in_words([-1.0], sign=True) == "-1.0000"


def test_the_tables_of_a_document_are_written_from_the_logs_beside_it(tmp_path):
    document = tmp_path / "results.md"
    (tmp_path / "results").mkdir()
    lines = [json.dumps(log(BASE, seed, 4.0 + seed)) for seed in (0, 1)]
    (tmp_path / "results" / "a.jsonl").write_text("\n".join(lines))
    text = 'Before.\n\n<!-- density a.jsonl ["%s"] -->\nold\n<!-- end -->\n\nAfter.\n'
    document.write_text(text % BASE)
    write_tables(document)
    written = document.read_text()
    assert "| 4.5000 ± 0.5000 |" in written and "old" not in written
    assert written.startswith("Before.") and written.endswith("After.\n")
    assert rendered(document) == written
    document.write_text(text % "bfloat16")
    with pytest.raises(ValueError, match="expected runs of bfloat16; got none of b"):
        rendered(document)


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        ([], "--output: expected a folder, got none"),
        (["--output", "x"], "--updates: expected either this or --minutes"),
        (["--output", "x", "--updates", "0"], "--updates: expected a positive number"),
        (["--output", "x", "--updates", "1", "--images", "150"], "expected hundreds"),
        (["--output", "x", "--updates", "1", "--arms", "y"], "--arms: expected of"),
        (["--output", "x", "--updates", "1"], "--image-peer: expected a checkout"),
        (
            ["--output", "x", "--updates", "1", "--image-peer", "."],
            "without models/real_nvp/real_nvp.py",
        ),
    ],
)
def test_bad_options_are_refused_before_anything_is_trained(
    options, expected, monkeypatch, capsys, tmp_path
):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "argv", ["density", *options])
    with pytest.raises(SystemExit) as exit:
        main()
    assert exit.value.code == 2
    assert expected in capsys.readouterr().err
    assert not list(tmp_path.iterdir())


def test_every_arm_is_one_that_can_be_trained():
    for arm in ARMS.values():
        assert arm.trainer in ("ours", "peer")
        assert arm.preset in nvp.PRESETS
        assert set(arm.changes) <= set(CHANGES)
    assert ARMS[PEER].trainer == "peer"


def test_runs_leave_logs_and_are_not_made_twice(tmp_path, data_dir):
    def run(*options):
        command = [
            sys.executable,
            "benchmarks/density",
            *("--output", str(tmp_path), "--seeds", "0", "--images", "100"),
            *("--data-dir", str(data_dir)),
            *("--filters", "4", "--num-blocks", "1", "--batch-size", "8"),
            *("--arms", BASE, *options),
        ]
        return subprocess.run(command, capture_output=True, text=True, cwd=ROOT)

    first = run("--updates", "50")
    assert first.returncode == 0, first.stderr
    assert "1 of 1: cifar10-plus, seed 0: " in first.stdout
    (path,) = (tmp_path / "runs").glob("*.json")
    found = json.loads(path.read_text(encoding="utf-8"))
    assert found["updates_made"] == 50 and len(found["curve"]) == 1
    assert 4 < found["test"] < 9
    assert "cifar10-plus" in (tmp_path / "results.md").read_text(encoding="utf-8")
    assert "1 runs, 1 of them made before." in run("--updates", "50").stdout
    other = run("--updates", "51")
    assert other.returncode == 1
    assert "expected runs with updates 51, as asked for; got one with 50" in (
        other.stderr
    )


def test_learned_noise_has_the_density_that_its_jacobian_says():
    dequantizer = Dequantizer(filters=4, seed=0)
    dequantizer.build((None, 4, 4, 3))
    shuffle_weights(dequantizer)
    x = tf.repeat(tf.constant(images()), 3, axis=-1)
    noise = tf.random.stateless_normal(x.shape, (0, 1))
    jitter, log_q = dequantizer(x, noise)

    def jitter_of(noise):
        return dequantizer(tf.repeat(x, len(noise) // len(x), axis=0), noise)[0]

    _, log_det = np.linalg.slogdet(jacobians(jitter_of, noise))
    log_normal = norm.logpdf(noise.numpy()).sum(axis=(1, 2, 3))
    np.testing.assert_allclose(log_q, log_normal - log_det, rtol=1e-4)
    assert tf.reduce_min(jitter) > 0 and tf.reduce_max(jitter) < 1
    # It is the image's own.
    assert not np.allclose(dequantizer(x + 30, noise)[0], jitter)


def test_a_model_with_learned_noise_learns_it_too():
    with CHANGES["variational dequantization"]():
        model = nvp.FlowModel(
            nvp.image_flow(
                event_shape=(4, 4, 3), num_scales=1, filters=4, num_blocks=1
            ),
            seed=0,
        )
    assert isinstance(model, VariationalModel)
    model.compile()
    before = [v.numpy() for v in model.dequantizer.trainable_variables]
    x = np.random.default_rng(0).integers(0, 256, [8, 4, 4, 3]).astype("uint8")
    model.fit(x, batch_size=4, epochs=2, verbose=0)
    after = [v.numpy() for v in model.dequantizer.trainable_variables]
    assert (
        sum(not np.array_equal(*pair) for pair in zip(before, after, strict=True)) > 10
    )
    assert model.evaluate(x, verbose=0) == model.evaluate(x, verbose=0)
