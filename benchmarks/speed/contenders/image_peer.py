"""A PyTorch image Real NVP from the user's checkout, see `torch_checkout`."""

import functools

import numpy as np
import torch
from torch_checkout import make_step, use_checkout

from speed.contenders import Prepared, closest_width


def prepare(cell, channels_last=False):
    use_checkout(cell["image_peer"])
    from models.real_nvp import RealNVP, RealNVPLoss  # the checkout's

    sizes = cell["sizes"]
    height, width, channels = sizes["event_shape"]

    def make(mid_channels):
        return RealNVP(sizes["num_scales"], channels, mid_channels, sizes["num_blocks"])

    @functools.cache
    def count(mid_channels):
        return sum(p.numel() for p in make(mid_channels).parameters())

    chosen, note = closest_width(count, cell["wanted_parameters"], sizes["filters"])
    torch.manual_seed(0)
    net, loss_fn = make(chosen), RealNVPLoss()
    layout = torch.channels_last if channels_last else torch.contiguous_format
    net = net.to(memory_format=layout)

    def images(batch):
        shape = (batch, height, width, channels)
        pixels = np.random.default_rng(0).integers(0, 256, shape).astype(np.uint8)
        x = torch.from_numpy(pixels).permute(0, 3, 1, 2).float() / 255
        return x.contiguous(memory_format=layout)

    @torch.no_grad()
    def log_prob(x):
        net.eval()
        return loss_fn(*net(x, reverse=False)).item()

    @torch.no_grad()
    def sample(x):
        net.eval()
        z = torch.randn(x.shape).contiguous(memory_format=layout)
        return torch.sigmoid(net(z, reverse=True)[0]).numpy()

    methods = {"train": make_step(net), "log_prob": log_prob, "sample": sample}
    operations = {}
    for operation in cell["operations"]:
        name, _, batch = operation.partition(" ")
        x = images(int(batch or cell["batch"]))
        operations[operation] = functools.partial(methods[name], x)
    return Prepared(operations, count(chosen), notes=[note])
