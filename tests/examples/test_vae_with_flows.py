import numpy as np
import pytest
from example import is_png, load_example, run_main

vae_with_flows = load_example("vae_with_flows")


@pytest.mark.parametrize("flows", [False, True])
def test_bound_rises_far_above_the_likelihood_of_independent_pixels(flows):
    ink, test = vae_with_flows.load_ink(seed=0)
    vae = vae_with_flows.VAE(flows, seed=0)
    before = [v.numpy() for v in vae.trainable_variables]
    vae_with_flows.train(vae, ink, test, steps=400, seed=0)
    p = np.clip(ink.mean(axis=0), 1e-3, 1 - 1e-3)
    of_pixels = (test * np.log(p) + (1 - test) * np.log(1 - p)).sum(axis=1).mean()
    assert vae_with_flows.held_out_elbo(vae, test).mean() > of_pixels + 3
    for variable, value in zip(vae.trainable_variables, before, strict=True):
        assert np.any(variable.numpy() != value), variable.name


def test_flow_of_the_posterior_sees_the_image():
    ink, _ = vae_with_flows.load_ink(seed=0)
    vae = vae_with_flows.VAE(flows=True, seed=0)
    noise = np.random.default_rng(0)
    for variable in vae.flow.trainable_variables:
        variable.assign_add(0.1 * noise.normal(size=variable.shape))
    # Now the base of the posterior is the same for all images.
    for variable in vae.moments.trainable_variables:
        variable.assign(0 * variable)
    one, log_density = vae.encode(ink[:2], seed=(0, 0))
    other, other_log_density = vae.encode(ink[1::-1], seed=(0, 0))
    assert np.all(one != other)
    assert np.all(log_density != other_log_density)


def test_vae_example_writes_its_picture(tmp_path, monkeypatch, capsys):
    run_main("vae_with_flows", monkeypatch, tmp_path / "vae.png", steps=200)
    assert "gain: test ELBO" in capsys.readouterr().out
    assert is_png(tmp_path / "vae.png")
