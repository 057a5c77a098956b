"""nflows."""

import functools

import torch
from nflows.distributions.normal import StandardNormal
from nflows.flows.base import Flow as NFlow
from nflows.flows.realnvp import SimpleRealNVP
from nflows.nn.nets import ConvResidualNet, ResidualNet
from nflows.transforms.base import CompositeTransform
from nflows.transforms.coupling import AffineCouplingTransform
from nflows.transforms.reshape import SqueezeTransform

from features import CONDITION_SIZE, PARTS, READY, SIDE, SIZE, Attempt, Flow, Subject
from features import with_torch as tools

CHANNELS = 4 * 3  # squeezed


def _flow(flow):
    return Flow(
        flow,
        flow.log_prob,
        flow.sample,
        flow._transform,
        tools.named(flow, "transform_net"),
        ("`sample_and_log_prob`", flow.sample_and_log_prob),
    )


def ready(features=SIZE):
    sizes = {"hidden_features": 8, "num_layers": 4, "num_blocks_per_layer": 1}
    return _flow(SimpleRealNVP(features, **sizes))


def _couplings(features, make_network):
    mask = torch.ones(features)
    mask[::2] = -1
    return [AffineCouplingTransform(mask * (-1) ** i, make_network) for i in range(4)]


def images():
    sizes = {"hidden_channels": 4, "num_blocks": 1}
    make_network = functools.partial(ConvResidualNet, **sizes)
    transforms = [SqueezeTransform(), *_couplings(CHANNELS, make_network)]
    return _flow(NFlow(CompositeTransform(transforms), _image_base(SIDE)))


def _image_base(side):
    return StandardNormal([CHANNELS, side // 2, side // 2])


def conditional():
    sizes = {"hidden_features": 8, "num_blocks": 1, "context_features": CONDITION_SIZE}
    make_network = functools.partial(ResidualNet, **sizes)
    transform = CompositeTransform(_couplings(SIZE, make_network))
    flow = NFlow(transform, StandardNormal([SIZE]))
    x = tools.normal([4, SIZE])
    return x, lambda condition: flow.log_prob(x, context=condition)


def larger(flow):
    return NFlow(flow.module._transform, _image_base(2 * SIDE)).sample(2)


SUBJECT = Subject(
    tools,
    flow=ready,
    images=[
        Attempt(READY, "`SimpleRealNVP`", lambda: ready(tools.IMAGE_SHAPE)),
        Attempt(PARTS, "couplings of channels", images),
    ],
    vectors=[Attempt(READY, "`SimpleRealNVP`", ready)],
    conditions=[Attempt(PARTS, "context_features", conditional)],
    larger=[Attempt("yes", "the transform over a larger base", larger)],
)
