"""Imports a PyTorch image Real NVP from a checkout laid out as chrischute/real-nvp.

The checkout is read and never changed. Current PyTorch no longer accepts its `view` of
tensors that are not contiguous; these calls are replaced as the files are read.
"""

import contextlib
import importlib.machinery
import pathlib
import sys

# Files that a checkout must have.
FILES = ("models/real_nvp/real_nvp.py", "util/norm_util.py")


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
            spec.loader = _Reshaping(fullname, spec.origin)
        return spec


def use_checkout(path):
    """Makes `import models` and `import util` find the checkout's modules."""
    _Finder.root = str(pathlib.Path(path).resolve())
    sys.meta_path.insert(0, _Finder)


def check_checkout(path):
    """Exits with an error if --image-peer names no such checkout."""
    missing = [name for name in FILES if not (path / name).is_file()]
    if missing:
        raise SystemExit(
            "--image-peer: expected a checkout laid out as chrischute/real-nvp, got "
            f"{path} without {', '.join(missing)}."
        )


def make_step(net, run=None, context=contextlib.nullcontext):
    """Returns a function that trains the flow on a batch, as its `train.py` does.

    Its defaults are Adam at 1e-3, clipping at 100, weight decay of 5e-5 on magnitudes.
    `run` is the same flow compiled, `context` the context manager of forward passes.
    """
    import torch
    import util  # the checkout's
    from models.real_nvp import RealNVPLoss  # the checkout's

    loss_fn = RealNVPLoss()
    groups = util.get_param_groups(net, 5e-5, norm_suffix="weight_g")
    optimizer = torch.optim.Adam(groups, lr=1e-3)

    def step(x):
        net.train()
        optimizer.zero_grad()
        with context():
            loss = loss_fn(*(run or net)(x, reverse=False))
        # Its loop reads the loss of every step.
        value = loss.item()
        loss.backward()
        util.clip_grad_norm(optimizer, 100.0)
        optimizer.step()
        return value

    return step
