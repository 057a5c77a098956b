"""The tools of the probes for flows in PyTorch."""

import warnings

import torch

from features import DISTURBANCE, SIDE

IMAGE_SHAPE = (3, SIDE, SIDE)
tensor = torch.from_numpy


def named(module, name):
    """Returns the networks that the module's couplings have as this attribute."""
    return [getattr(m, name) for m in module.modules() if hasattr(m, name)]


def seed():
    torch.manual_seed(0)


def normal(shape, seed=0):
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


def copied(x):
    return x.detach().clone()


def to_numpy(x):
    return x.detach().numpy()


def count_calls(networks):
    """Returns a counter of these networks' runs from now on."""
    runs = []
    for network in networks:
        network.register_forward_hook(lambda *_: runs.append(None))
    return lambda: len(runs)


def disturb(flow):
    """Adds noise to all weights, so that no coupling is the identity."""
    with torch.no_grad():
        for seed, weight in enumerate(flow.module.parameters()):
            weight += DISTURBANCE * normal(weight.shape, seed)


def jacobian(flow, x):
    rows = torch.autograd.functional.jacobian(
        lambda x: flow.inverse(x)[0].flatten(), x.detach()
    )
    return rows.reshape(len(rows), -1).numpy()


class _Scores(torch.nn.Module):
    def __init__(self, flow):
        super().__init__()
        self.module = flow.module
        self.log_prob = flow.log_prob

    def forward(self, x):
        return self.log_prob(x)


def _exported(flow, x, folder):
    program = torch.export.export(_Scores(flow).eval(), (x,))
    torch.export.save(program, folder / "flow.pt2")


def _traced(flow, x, folder):
    with warnings.catch_warnings():
        # Shapes become constants, which is what is asked for.
        warnings.simplefilter("ignore")
        traced = torch.jit.trace(_Scores(flow).eval(), (x,))
    traced.save(str(folder / "flow.pt"))


ARTIFACTS = {"torch.export": _exported, "torch.jit.trace": _traced}
