"""Vector flows in PyTorch: couplings of normflows, nflows and zuko."""

from __future__ import annotations

import functools

import numpy as np
import torch

from speed.contenders import Prepared, closest_width


def prepare(cell, library):
    sizes, batch = cell["sizes"], cell["batch"]
    size, hidden_units = sizes["size"], sizes["hidden_units"]
    layers, couplings = len(hidden_units), sizes["num_couplings"]
    make = functools.partial(MAKERS[library], size, couplings, layers)
    count = functools.cache(lambda width: count_parameters(make(width)[0]))
    width, note = closest_width(count, cell["wanted_parameters"], hidden_units[0])
    torch.manual_seed(0)
    flow, log_prob_of, sample_of = make(width)
    optimizer = torch.optim.Adam(flow.parameters(), lr=1e-3)
    events = np.random.default_rng(0).normal(size=(batch, size)).astype(np.float32)
    x = torch.from_numpy(events)

    def train():
        flow.train()
        optimizer.zero_grad()
        loss = -log_prob_of(x).mean()
        loss.backward()
        optimizer.step()
        return loss.item()

    @torch.no_grad()
    def log_prob():
        flow.eval()
        return log_prob_of(x).numpy()

    @torch.no_grad()
    def sample():
        flow.eval()
        return sample_of(batch).numpy()

    operations = {"train": train, "log_prob": log_prob, "sample": sample}
    return Prepared(operations, count(width), notes=[note])


def count_parameters(flow):
    return sum(p.numel() for p in flow.parameters() if p.requires_grad)


def _normflows(size, couplings, layers, width):
    import normflows as nf

    flows, kept = [], (size + 1) // 2
    for _ in range(couplings):
        widths = [kept, *([width] * layers), 2 * (size - kept)]
        network = nf.nets.MLP(widths, init_zeros=True)
        flows.append(nf.flows.AffineCouplingBlock(network))
        flows.append(nf.flows.Permute(size, mode="swap"))
    base = nf.distributions.DiagGaussian(size, trainable=False)
    flow = nf.NormalizingFlow(base, flows)
    return flow, flow.log_prob, lambda count: flow.sample(count)[0]


def _nflows(size, couplings, layers, width):
    from nflows.distributions.normal import StandardNormal
    from nflows.flows.base import Flow
    from nflows.nn.nets import MLP
    from nflows.transforms.base import CompositeTransform
    from nflows.transforms.coupling import AffineCouplingTransform

    class Network(MLP):
        # The coupling passes a context, which the package's own MLP does not take.
        def forward(self, inputs, context=None):
            return super().forward(inputs)

    def make_network(ins, outs):
        return Network([ins], [outs], [width] * layers)

    mask = torch.ones(size)
    mask[::2] = -1
    transforms = [
        AffineCouplingTransform(mask * (-1) ** i, make_network)
        for i in range(couplings)
    ]
    flow = Flow(CompositeTransform(transforms), StandardNormal([size]))
    return flow, flow.log_prob, flow.sample


def _zuko(size, couplings, layers, width):
    import zuko

    options = {"transforms": couplings, "hidden_features": [width] * layers}
    flow = zuko.flows.RealNVP(size, **options)
    return flow, lambda x: flow().log_prob(x), lambda count: flow().sample((count,))


MAKERS = {"normflows": _normflows, "nflows": _nflows, "zuko": _zuko}
