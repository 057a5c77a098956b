"""A PyTorch image Real NVP from the user's checkout, see `torch_checkout`."""

from __future__ import annotations

import functools
from typing import Any

import numpy as np
import torch
from torch_checkout import use_checkout

from speed.contenders import Prepared, closest_width, torch_threads


def prepare(
    cell: dict[str, Any], channels_last: bool = False, served: bool = False
) -> Prepared:
    use_checkout(cell["image_peer"])
    from models.real_nvp import RealNVP, RealNVPLoss  # noqa: I001, the checkout's
    import util  # the checkout's

    sizes = cell["sizes"]
    height, width, channels = sizes["event_shape"]

    def make(mid_channels):
        return RealNVP(sizes["num_scales"], channels, mid_channels, sizes["num_blocks"])

    @functools.cache
    def count(mid_channels):
        return sum(p.numel() for p in make(mid_channels).parameters())

    start = sizes["filters"]
    wanted = cell.get("wanted_parameters") or count(start)
    chosen, note = closest_width(count, wanted, start)
    torch.manual_seed(0)
    net, loss_fn = make(chosen), RealNVPLoss()
    layout = torch.channels_last if channels_last else torch.contiguous_format
    net = net.to(memory_format=layout)
    groups = util.get_param_groups(net, 5e-5, norm_suffix="weight_g")
    optimizer = torch.optim.Adam(groups, lr=1e-3)

    def images(batch):
        shape = (batch, height, width, channels)
        pixels = np.random.default_rng(0).integers(0, 256, shape).astype(np.uint8)
        x = torch.from_numpy(pixels).permute(0, 3, 1, 2).float() / 255
        return x.contiguous(memory_format=layout)

    def train(x):
        net.train()
        optimizer.zero_grad()
        loss = loss_fn(*net(x, reverse=False))
        value = loss.item()
        loss.backward()
        util.clip_grad_norm(optimizer, 100.0)
        optimizer.step()
        return value

    def log_prob(x):
        net.eval()
        with torch.no_grad():
            return loss_fn(*net(x, reverse=False)).item()

    def sample(x):
        net.eval()
        with torch.no_grad():
            z = torch.randn(x.shape).contiguous(memory_format=layout)
            return torch.sigmoid(net(z, reverse=True)[0]).numpy()

    if served:
        operations = {
            f"{method.__name__} {batch}": functools.partial(method, images(batch))
            for batch in cell["batches"]
            for method in (log_prob, sample)
        }
    else:
        x = images(cell["batch"])
        operations = {
            method.__name__: functools.partial(method, x)
            for method in (train, log_prob, sample)
        }
    return Prepared(operations, count(chosen), torch_threads(), notes=[note])
