"""normflows."""

from __future__ import annotations

import normflows as nf
import torch

from features import with_torch as tools
from features.subject import CONDITION_SIZE, PARTS, SIZE, Attempt, Flow, Subject

LEVELS = 2


def _affine() -> list[torch.nn.Module]:
    members = []
    for _ in range(4):
        network = nf.nets.MLP([SIZE // 2, 8, SIZE])
        members += [
            nf.flows.AffineCouplingBlock(network),
            nf.flows.Permute(SIZE, mode="swap"),
        ]
    return members


def vectors() -> Flow:
    flow = nf.NormalizingFlow(nf.distributions.DiagGaussian(SIZE), _affine())
    return Flow(
        flow,
        flow.log_prob,
        lambda count: flow.sample(count)[0],
        flow.inverse_and_log_det,
        tools.named(flow, "param_map"),
        ("the scores that `sample` returns", flow.sample),
    )


def _bases(shape: tuple[int, int, int]) -> list[torch.nn.Module]:
    channels, height, width = shape
    shapes = []
    for i in range(LEVELS):
        down, wider = 2 ** (LEVELS - i), 2 ** (LEVELS + (i == 0) - i)
        shapes.append((channels * wider, height // down, width // down))
    return [nf.distributions.DiagGaussian(s, trainable=False) for s in shapes]


def images() -> Flow:
    channels = tools.IMAGE_SHAPE[0]
    levels = [
        [
            nf.flows.GlowBlock(channels * 2 ** (LEVELS + 1 - i), 4),
            nf.flows.GlowBlock(channels * 2 ** (LEVELS + 1 - i), 4),
            nf.flows.Squeeze(),
        ]
        for i in range(LEVELS)
    ]
    merges = [nf.flows.Merge() for _ in range(LEVELS - 1)]
    flow = nf.MultiscaleFlow(
        _bases(tools.IMAGE_SHAPE), levels, merges, class_cond=False
    )
    # Its normalizations take their first values from the first batch.
    flow.log_prob(tools.normal([16, *tools.IMAGE_SHAPE]), None)

    def inverse(x):
        z, log_det = flow.inverse_and_log_det(x)
        return torch.cat([part.flatten(1) for part in z], 1), log_det

    return Flow(
        flow,
        lambda x: flow.log_prob(x, None),
        lambda count: flow.sample(count)[0],
        inverse,
        tools.named(flow, "param_map"),
        ("the scores that `sample` returns", flow.sample),
    )


def conditional(members: list[torch.nn.Module]):
    base = nf.distributions.DiagGaussian(SIZE, trainable=False)
    flow = nf.ConditionalNormalizingFlow(base, members)
    x = tools.normal([4, SIZE])
    return x, lambda c: flow.log_prob(x, context=c)


def _splines() -> list[torch.nn.Module]:
    return [
        nf.flows.CoupledRationalQuadraticSpline(
            SIZE,
            num_blocks=1,
            num_hidden_channels=8,
            num_context_channels=CONDITION_SIZE,
            reverse_mask=bool(i % 2),
        )
        for i in range(4)
    ]


def larger(flow: Flow) -> torch.Tensor:
    channels, height, width = tools.IMAGE_SHAPE
    bases = _bases((channels, 2 * height, 2 * width))
    module = flow.module
    return nf.MultiscaleFlow(
        bases, module.flows, module.merges, class_cond=False
    ).sample(2)[0]


SUBJECT = Subject(
    tools,
    flow=vectors,
    images=[Attempt(PARTS, "`MultiscaleFlow` of `GlowBlock`s", images)],
    vectors=[Attempt(PARTS, "`NormalizingFlow`", vectors)],
    conditions=[
        Attempt(PARTS, "affine couplings", lambda: conditional(_affine())),
        Attempt(
            PARTS, "splines", lambda: conditional(_splines()), "with spline couplings"
        ),
    ],
    larger=[Attempt("yes", "the same blocks over a larger base", larger)],
)
