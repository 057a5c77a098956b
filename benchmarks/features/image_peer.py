"""The image flow of the user's checkout, see `torch_checkout`."""

import torch
from models.real_nvp import RealNVP, RealNVPLoss  # the checkout's

from features import READY, Attempt, Flow, Subject
from features import with_torch as tools


def images():
    net = RealNVP(num_scales=2, in_channels=3, mid_channels=4, num_blocks=1).eval()
    loss = RealNVPLoss()

    def log_prob(x):
        torch.manual_seed(0)  # it adds noise to pixels
        z, log_det = net(x)
        # Its loss is a mean; for one event at a time it is that event's.
        pairs = zip(z[:, None], log_det[:, None], strict=True)
        return torch.stack([-loss(*pair) for pair in pairs])

    def sample(count):
        z = torch.randn([count, *tools.IMAGE_SHAPE])
        return torch.sigmoid(net(z, reverse=True)[0])

    def inverse(x):
        # This leaves out the noise that it adds to pixels.
        return net.flows(x, torch.zeros(len(x)), False)

    return Flow(net, log_prob, sample, inverse, tools.named(net, "st_net"))


def larger(flow):
    channels, height, width = tools.IMAGE_SHAPE
    z = torch.randn([2, channels, 2 * height, 2 * width])
    return flow.module(z, reverse=True)[0]


SUBJECT = Subject(
    tools,
    flow=images,
    images=[Attempt(READY, "`RealNVP`", images)],
    larger=[Attempt("yes", "latents of a larger image", larger)],
)
