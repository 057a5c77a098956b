"""nflows."""

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
    return _flow(
        SimpleRealNVP(features, hidden_features=8, num_layers=4, num_blocks_per_layer=1)
    )


def _couplings(features, make_network):
    mask = torch.ones(features)
    mask[::2] = -1
    return [AffineCouplingTransform(mask * (-1) ** i, make_network) for i in range(4)]


def images():
    def make_network(ins, outs):
        return ConvResidualNet(ins, outs, hidden_channels=4, num_blocks=1)

    transforms = [SqueezeTransform(), *_couplings(CHANNELS, make_network)]
    return _flow(NFlow(CompositeTransform(transforms), _image_base(SIDE)))


def _image_base(side):
    return StandardNormal([CHANNELS, side // 2, side // 2])


def conditional(flow):
    x = tools.normal([4, SIZE])
    return x, lambda c: flow.log_prob(x, context=c)


def with_context():
    def make_network(ins, outs):
        return ResidualNet(
            ins, outs, hidden_features=8, context_features=CONDITION_SIZE, num_blocks=1
        )

    transform = CompositeTransform(_couplings(SIZE, make_network))
    return NFlow(transform, StandardNormal([SIZE]))


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
    conditions=[
        Attempt(PARTS, "context_features", lambda: conditional(with_context()))
    ],
    larger=[Attempt("yes", "the transform over a larger base", larger)],
)
