"""Times training of the PyTorch flow on the GPU machine, as its own `train.py` does it.

Images lie on the device and are not mirrored; all else is the checkout's default.
"""

from __future__ import annotations

import argparse
import json
import pathlib
import sys
import time

import torch

STEPS = 10


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    add = parser.add_argument
    add("folder", type=pathlib.Path)
    for name in ("batch-size", "num-scales", "filters", "num-blocks"):
        add(f"--{name}", type=int, required=True)
    add("--seconds", type=float, required=True)
    arguments = parser.parse_args()
    sys.path.insert(0, str(arguments.folder))
    device = "cuda" if torch.cuda.is_available() else "cpu"
    step, parameters = prepare(arguments, device)
    # The checkout's default, and what its --benchmark sets.
    found = {}
    for benchmark in (False, True):
        torch.backends.cudnn.benchmark = benchmark
        seconds = _median_seconds(step, arguments.seconds / 2, device)
        found[benchmark] = arguments.batch_size / seconds
        print(f"peer: {found[benchmark]:.4g} images/s, cudnn.benchmark {benchmark}")
    is_cuda = device == "cuda"
    report = {
        "device": torch.cuda.get_device_name() if is_cuda else "cpu",
        "torch": torch.__version__,
        "batch_size": arguments.batch_size,
        "parameters": parameters,
        "tf32_convolutions": torch.backends.cudnn.allow_tf32,
        "tf32_products": torch.backends.cuda.matmul.allow_tf32,
        "images_per_second": max(found.values()),
        "images_per_second_without_benchmark": found[False],
        "images_per_second_with_benchmark": found[True],
        "peak_memory_bytes": torch.cuda.max_memory_allocated() if is_cuda else None,
    }
    path = arguments.folder / "peer.json"
    path.write_text(json.dumps(report, indent=2) + "\n", encoding="utf-8")


def prepare(arguments: argparse.Namespace, device: str):
    """Returns a step of training, and the number of parameters."""
    from torch_checkout import use_checkout

    use_checkout(arguments.folder / "peer")
    import util  # the checkout's
    from models.real_nvp import RealNVP, RealNVPLoss  # the checkout's

    torch.manual_seed(0)
    net = RealNVP(arguments.num_scales, 3, arguments.filters, arguments.num_blocks).to(
        device
    )
    loss_fn = RealNVPLoss()
    groups = util.get_param_groups(net, 5e-5, norm_suffix="weight_g")
    optimizer = torch.optim.Adam(groups, lr=1e-3)
    shape = (arguments.batch_size, 3, 32, 32)
    x = torch.randint(0, 256, shape, device=device).float() / 255
    net.train()

    def step() -> None:
        optimizer.zero_grad()
        loss = loss_fn(*net(x, reverse=False))
        # Its loop shows the loss of every step.
        loss.item()
        loss.backward()
        util.clip_grad_norm(optimizer, 100.0)
        optimizer.step()

    return step, sum(p.numel() for p in net.parameters())


def _median_seconds(step, seconds: float, device: str) -> float:
    def wait():
        if device == "cuda":
            torch.cuda.synchronize()

    for _ in range(3):
        step()
    wait()
    times, begin = [], time.monotonic()
    while not times or time.monotonic() - begin < seconds:
        before = time.monotonic()
        for _ in range(STEPS):
            step()
        wait()
        times.append((time.monotonic() - before) / STEPS)
    return sorted(times)[len(times) // 2]


if __name__ == "__main__":
    main()
