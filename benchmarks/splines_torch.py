"""The PyTorch half of `splines.py`, run by its `--torch-python`."""

import argparse
import json
import pathlib

import torch
from splines import BATCH, BINS, BOUND, LAYERS, closest_width, load, trained


def zuko_nsf(size, couplings, width, passes=None):
    import zuko

    flow = zuko.flows.NSF(
        size,
        bins=BINS,
        transforms=couplings,
        hidden_features=[width] * LAYERS,
        passes=passes,
    )
    return flow, lambda x: flow().log_prob(x), lambda: flow().sample((BATCH,))


def nflows(size, couplings, width):
    from nflows.distributions.normal import StandardNormal
    from nflows.flows.base import Flow
    from nflows.nn.nets import MLP
    from nflows.transforms.base import CompositeTransform
    from nflows.transforms.coupling import (
        PiecewiseRationalQuadraticCouplingTransform as Spline,
    )

    class Network(MLP):
        def forward(self, inputs, context=None):
            return super().forward(inputs)

    mask = torch.ones(size)
    mask[::2] = -1
    transforms = [
        Spline(
            mask * (-1) ** i,
            lambda ins, outs: Network([ins], [outs], [width] * LAYERS),
            num_bins=BINS,
            tails="linear",
            tail_bound=BOUND,
        )
        for i in range(couplings)
    ]
    flow = Flow(CompositeTransform(transforms), StandardNormal([size]))
    return flow, flow.log_prob, lambda: flow.sample(BATCH)


def normflows(size, couplings, width):
    import normflows as nf

    flows = [
        nf.flows.CoupledRationalQuadraticSpline(
            size,
            num_blocks=LAYERS - 1,
            num_hidden_channels=width,
            num_bins=BINS,
            tail_bound=BOUND,
            reverse_mask=bool(i % 2),
        )
        for i in range(couplings)
    ]
    base = nf.distributions.DiagGaussian(size, trainable=False)
    flow = nf.NormalizingFlow(base, flows)
    return flow, flow.log_prob, lambda: flow.sample(BATCH)[0]


MAKERS = {
    "zuko NSF": zuko_nsf,
    "zuko NSF coupling": lambda *sizes: zuko_nsf(*sizes, passes=2),
    "nflows": nflows,
    "normflows": normflows,
}


def run(options):
    make = MAKERS[options["arm"]]
    sizes = load(options["data"])[0].shape[1], options["couplings"]

    def count(width):
        return sum(p.numel() for p in make(*sizes, width)[0].parameters())

    width = closest_width(count, options["parameters"])
    torch.manual_seed(options["seed"])
    flow, log_prob_of, sample_of = make(*sizes, width)
    optimizer = torch.optim.Adam(flow.parameters(), lr=options["learning_rate"])
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, options["steps"])

    def update(batch, step):
        optimizer.zero_grad()
        loss = -log_prob_of(torch.from_numpy(batch)).mean()
        loss.backward()
        torch.nn.utils.clip_grad_norm_(flow.parameters(), 100.0)
        optimizer.step()
        if step:
            schedule.step()
        return loss.item()

    @torch.no_grad()
    def log_prob(points):
        return log_prob_of(torch.from_numpy(points)).numpy()

    @torch.no_grad()
    def sample():
        return sample_of().numpy()

    found = trained(
        options["data"], options["steps"], options["seed"], update, log_prob, sample
    )
    return {**found, "parameters": count(width), "width": width}


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--arm", required=True)
    parser.add_argument("--to", required=True)
    arguments = parser.parse_args()
    found = run(json.loads(arguments.arm))
    pathlib.Path(arguments.to).write_text(json.dumps(found))
