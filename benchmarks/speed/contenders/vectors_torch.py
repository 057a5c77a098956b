"""Vector flows in PyTorch: affine couplings of normflows, nflows and zuko."""

from __future__ import annotations

import functools
from typing import Any

import numpy as np
import torch

from speed.contenders import Prepared, closest_width, torch_threads


def prepare(cell: dict[str, Any], route: str) -> Prepared:
    sizes, batch = cell["sizes"], cell["batch"]
    size, couplings, hidden_units = (
        sizes["size"],
        sizes["num_couplings"],
        sizes["hidden_units"],
    )
    make = functools.partial(MAKERS[route], size, couplings, len(hidden_units))

    @functools.cache
    def count(width):
        return sum(p.numel() for p in make(width)[0].parameters() if p.requires_grad)

    wanted = cell.get("wanted_parameters") or count(hidden_units[0])
    width, note = closest_width(count, wanted, hidden_units[0])
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

    def log_prob():
        flow.eval()
        with torch.no_grad():
            return log_prob_of(x).numpy()

    def sample():
        flow.eval()
        with torch.no_grad():
            return sample_of(batch).numpy()

    operations = {"train": train, "log_prob": log_prob, "sample": sample}
    return Prepared(operations, count(width), torch_threads(), notes=[note])


def _normflows(size, couplings, num_hidden, width):
    import normflows as nf

    flows = []
    for _ in range(couplings):
        kept = (size + 1) // 2
        layers = [kept, *([width] * num_hidden), 2 * (size - kept)]
        network = nf.nets.MLP(layers, init_zeros=True)
        flows += [
            nf.flows.AffineCouplingBlock(network),
            nf.flows.Permute(size, mode="swap"),
        ]
    base = nf.distributions.DiagGaussian(size, trainable=False)
    flow = nf.NormalizingFlow(base, flows)
    return flow, flow.log_prob, lambda count: flow.sample(count)[0]


def _nflows(size, couplings, num_hidden, width):
    from nflows.distributions.normal import StandardNormal
    from nflows.flows.base import Flow
    from nflows.nn.nets import MLP
    from nflows.transforms.base import CompositeTransform
    from nflows.transforms.coupling import AffineCouplingTransform

    class Network(MLP):
        # The coupling hands on a context, which the package's own MLP does not take.
        def forward(self, inputs, context=None):
            return super().forward(inputs)

    def make_network(ins, outs):
        return Network([ins], [outs], [width] * num_hidden)

    mask = torch.ones(size)
    mask[::2] = -1
    transforms = [
        AffineCouplingTransform(mask * (-1) ** i, make_network)
        for i in range(couplings)
    ]
    flow = Flow(CompositeTransform(transforms), StandardNormal([size]))
    return flow, flow.log_prob, flow.sample


def _zuko(size, couplings, num_hidden, width):
    import zuko

    hidden = [width] * num_hidden
    flow = zuko.flows.RealNVP(size, transforms=couplings, hidden_features=hidden)
    return flow, lambda x: flow().log_prob(x), lambda count: flow().sample((count,))


MAKERS = {"normflows": _normflows, "nflows": _nflows, "zuko": _zuko}
