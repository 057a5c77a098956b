"""Samples Neal's funnel by plain HMC and by HMC in the latents of a Real NVP.

python examples/funnel_neutra.py --steps 2000 --draws 1000

The second is NeuTra (Hoffman et al., 2019, https://arxiv.org/abs/1903.03704). Costs are
counted in gradients of the target: in real problems, unlike here, these dominate.
"""

import argparse

import keras
import numpy as np
import tensorflow as tf
import tensorflow_probability as tfp
from matplotlib.figure import Figure

import tfp_realnvp as nvp

tfb, tfd = tfp.bijectors, tfp.distributions

SIZE = 10
CHAINS = 16
VI_SAMPLE_SIZE = 256
# Each sampler is judged at its best of these. With 1, 32 or 64 leapfrog steps and
# acceptance rates of 0.65, 0.9 or 0.97, too, plain HMC stays below 0.003 effective
# samples per gradient.
LEAPFROG_STEPS = (2, 4, 8, 16)
ACCEPTANCE = 0.8


def funnel_log_prob(x):
    neck, others = x[..., 0], x[..., 1:]
    given_neck = tfd.Normal(0.0, tf.exp(neck / 2)[..., tf.newaxis])
    log_prob = tf.reduce_sum(given_neck.log_prob(others), axis=-1)
    return tfd.Normal(0.0, 3.0).log_prob(neck) + log_prob


def fit_flow(steps, seed):
    """Returns a flow fitted to the funnel by variational inference."""
    base = tfd.Independent(tfd.Normal(tf.zeros([SIZE]), 1.0), 1)
    bijector = nvp.RealNVPBijector(
        (SIZE,), num_couplings=8, hidden_units=(32, 32), seed=seed
    )
    flow = tfd.TransformedDistribution(base, bijector)

    def trace(state):
        # TFP compiles only the steps of its loop, so a plain print works here.
        if (state.step + 1) % 250 == 0:
            print(f"VI: step {state.step + 1}, ELBO {-state.loss:.3f}", flush=True)
        return state.loss

    decay = keras.optimizers.schedules.CosineDecay(5e-3, steps)
    tfp.vi.fit_surrogate_posterior(
        funnel_log_prob,
        flow,
        # Gradients from deep in the neck outweigh all others.
        keras.optimizers.Adam(decay, global_clipnorm=10.0),
        num_steps=steps,
        sample_size=VI_SAMPLE_SIZE,
        trace_fn=trace,
        seed=(seed, 0),
    )
    return flow


def sampler(bijector, draws):
    """Returns a function that runs HMC in the latent space of `bijector`."""

    @tf.function(autograph=False, jit_compile=True)
    def sample(start, leapfrog_steps, seed):
        kernel = tfp.mcmc.HamiltonianMonteCarlo(funnel_log_prob, 0.1, leapfrog_steps)
        kernel = tfp.mcmc.TransformedTransitionKernel(kernel, bijector)
        kernel = tfp.mcmc.DualAveragingStepSizeAdaptation(
            kernel, int(0.8 * draws), target_accept_prob=ACCEPTANCE
        )
        chains = tfp.mcmc.sample_chain(
            draws, start, None, kernel, num_burnin_steps=draws, trace_fn=None, seed=seed
        )
        return chains, tfp.mcmc.effective_sample_size(
            chains, filter_beyond_positive_pairs=True, cross_chain_dims=1
        )

    return sample


def compare(flow, draws, seed):
    """Returns each sampler's chains, and effective samples per gradient by dimension.

    They are those of the run that is best in its worst dimension.
    """
    # Both start from draws of the flow: neither has to find the funnel.
    start, best = flow.sample(CHAINS, seed=(seed, 1)), {}
    for name, bijector in {"HMC": tfb.Identity(), "NeuTra": flow.bijector}.items():
        sample, runs = sampler(bijector, draws), []
        for steps in LEAPFROG_STEPS:
            # A Python number of steps would be compiled anew for each value.
            chains, sizes = sample(start, tf.constant(steps), tf.constant((seed, 2)))
            runs.append((chains.numpy(), sizes.numpy() / (draws * CHAINS * steps)))
            neck, rates = runs[-1][0][..., 0], runs[-1][1]
            print(
                f"{name}, {steps} leapfrog steps: effective samples per gradient "
                f"{rates.min():.5f}, of the neck {rates[0]:.5f} "
                f"(mean {neck.mean():.2f}, sd {neck.std():.2f}; exact: 0, 3)",
                flush=True,
            )
        best[name] = max(runs, key=lambda run: run[1].min())
    return best


def draw(runs, path):
    figure = Figure(figsize=(10, 4), layout="constrained")
    neck = np.linspace(-10, 10)
    for panel, (name, (chains, _)) in zip(
        figure.subplots(1, 2, sharey=True), runs.items(), strict=True
    ):
        panel.scatter(chains[::4, :, 1], chains[::4, :, 0], s=2, label="draws")
        for sign in (-2, 2):
            panel.plot(sign * np.exp(neck / 2), neck, "k", lw=0.8)
        panel.set(title=f"{name}, and 2 sd of the funnel", xlim=(-30, 30))
        panel.set(xlabel="$x_1$", ylim=(-10, 10), ylabel="neck")
    figure.savefig(path, dpi=120)


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--steps", type=int, default=2000)
    parser.add_argument("--draws", type=int, default=1000)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--output", default="funnel_neutra.png")
    arguments = parser.parse_args()

    flow = fit_flow(arguments.steps, arguments.seed)
    runs = compare(flow, arguments.draws, arguments.seed)
    plain, neutra = runs["HMC"][1], runs["NeuTra"][1]
    spent = arguments.steps * VI_SAMPLE_SIZE
    print(
        f"NeuTra over HMC, each at its best: {neutra.min() / plain.min():.1f} times "
        f"the effective samples per gradient, {neutra[0] / plain[0]:.1f} of the neck\n"
        f"The fit took {spent:,} gradients; with as many, HMC draws about "
        f"{spent * plain.min():.0f} effective samples"
    )
    draw(runs, arguments.output)
    print(f"Wrote {arguments.output}.")


if __name__ == "__main__":
    main()
