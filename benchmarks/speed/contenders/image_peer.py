"""A PyTorch image Real NVP from the user's checkout, laid out as chrischute/real-nvp.

The checkout is read and never changed. What current PyTorch does not accept of it any
more, `view` of tensors that are not contiguous, is replaced as the files are read.
"""

from __future__ import annotations

import functools
import importlib.machinery
import importlib.util
import pathlib
import sys
from typing import Any

import numpy as np
import torch

from speed.contenders import Prepared, closest_width, torch_threads


class _Reshaping(importlib.machinery.SourceFileLoader):
    def path_stats(self, path):
        # Else Python takes compiled code that lies beside the file, as it was, and
        # leaves its own there.
        raise OSError("The source is always read.")

    def get_data(self, path):
        data = super().get_data(path)
        return data.replace(b".view(", b".reshape(") if path.endswith(".py") else data


class _Finder(importlib.machinery.PathFinder):
    root = ""

    @classmethod
    def find_spec(cls, fullname, path=None, target=None):
        if fullname.partition(".")[0] not in ("models", "util"):
            return None
        spec = super().find_spec(fullname, path or [cls.root], target)
        if spec is not None and spec.origin:
            places = spec.submodule_search_locations
            spec = importlib.util.spec_from_file_location(
                fullname,
                spec.origin,
                loader=_Reshaping(fullname, spec.origin),
                submodule_search_locations=places,
            )
        return spec


def prepare(
    cell: dict[str, Any], channels_last: bool = False, served: bool = False
) -> Prepared:
    _Finder.root = str(pathlib.Path(cell["image_peer"]).resolve())
    sys.meta_path.insert(0, _Finder)
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
