"""normflows."""

import normflows as nf
import torch
from speed.contenders.torch_vectors import MAKERS

from features import CONDITION_SIZE, PARTS, SIZE, Attempt, Flow, Subject
from features import with_torch as tools

LEVELS = 2


def vectors():
    flow, *_ = MAKERS["normflows"](SIZE, couplings=4, layers=1, width=8)
    return _flow(flow, flow.log_prob, flow.inverse_and_log_det)


def _flow(flow, log_prob, inverse):
    networks = tools.named(flow, "param_map")
    joint = "the scores that `sample` returns", flow.sample
    return Flow(flow, log_prob, lambda n: flow.sample(n)[0], inverse, networks, joint)


def _bases(channels, height, width):
    shapes = []
    for i in range(LEVELS):
        down, wider = 2 ** (LEVELS - i), 2 ** (LEVELS + (i == 0) - i)
        shapes.append((channels * wider, height // down, width // down))
    return [nf.distributions.DiagGaussian(s, trainable=False) for s in shapes]


def images():
    levels = []
    for i in range(LEVELS):
        channels = tools.IMAGE_SHAPE[0] * 2 ** (LEVELS + 1 - i)
        blocks = [nf.flows.GlowBlock(channels, 4) for _ in range(2)]
        levels.append([*blocks, nf.flows.Squeeze()])
    merges = [nf.flows.Merge() for _ in range(LEVELS - 1)]
    bases = _bases(*tools.IMAGE_SHAPE)
    flow = nf.MultiscaleFlow(bases, levels, merges, class_cond=False)
    # Its normalizations are initialized by the first batch.
    flow.log_prob(tools.normal([16, *tools.IMAGE_SHAPE]), None)

    def inverse(x):
        z, log_det = flow.inverse_and_log_det(x)
        return torch.cat([part.flatten(1) for part in z], 1), log_det

    return _flow(flow, lambda x: flow.log_prob(x, None), inverse)


def conditional():
    options = {"num_blocks": 1, "num_hidden_channels": 8, "reverse_mask": False}
    options["num_context_channels"] = CONDITION_SIZE
    make = nf.flows.CoupledRationalQuadraticSpline
    base = nf.distributions.DiagGaussian(SIZE, trainable=False)
    members = [make(SIZE, **options) for _ in range(4)]
    flow = nf.ConditionalNormalizingFlow(base, members)
    x = tools.normal([4, SIZE])
    return x, lambda c: flow.log_prob(x, context=c)


def larger(flow):
    channels, height, width = tools.IMAGE_SHAPE
    bases = _bases(channels, 2 * height, 2 * width)
    parts = flow.module.flows, flow.module.merges
    return nf.MultiscaleFlow(bases, *parts, class_cond=False).sample(2)[0]


SUBJECT = Subject(
    tools,
    flow=vectors,
    images=[Attempt(PARTS, "`MultiscaleFlow` of `GlowBlock`s", images)],
    vectors=[Attempt(PARTS, "`NormalizingFlow`", vectors)],
    conditions=[Attempt(PARTS, "splines", conditional, "with spline couplings")],
    larger=[Attempt("yes", "the same blocks over a larger base", larger)],
)
