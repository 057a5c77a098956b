"""Trains the PyTorch flow of the user's checkout as its own `train.py` does.

Its sizes are the task's, all other settings its defaults. Images come from TFDS instead
of torchvision, and each epoch leaves out the last incomplete batch, so that the same
number of updates has the same number of images.
"""

import hashlib
import time

import numpy as np
import torch
from torch_checkout import make_step, use_checkout

from tfp_realnvp.data import load_images


def train(task):
    """Returns the log of the trained flow."""
    torch.set_num_threads(1)
    use_checkout(task["image_peer"])
    import util  # the checkout's
    from models.real_nvp import RealNVP, RealNVPLoss  # the checkout's

    data = load_images("cifar10", data_dir=task["data_dir"])
    images = data.train.take(data.train.count)
    torch.manual_seed(task["seed"])
    net = RealNVP(2, 3, task["filters"], task["num_blocks"])
    loss_fn, update = RealNVPLoss(), make_step(net)
    curve, sums, begin = [], 0.0, time.monotonic()
    for step, x in enumerate(_batches(images, task["batch_size"]), 1):
        sums += util.bits_per_dim(x, update(x))
        seconds = time.monotonic() - begin
        if step % 50 == 0:
            curve.append([step, round(seconds, 1), round(float(sums / 50), 4)])
            sums = 0.0
            print(f"step {step}, {seconds:.0f} s, {curve[-1][2]}", flush=True)
        if task["updates"] is not None and step >= task["updates"]:
            break
        if task["minutes"] is not None and seconds >= 60 * task["minutes"]:
            break
    net.eval()

    @torch.no_grad()
    def score(images):
        torch.manual_seed(task["seed"])
        batches = map(_to_torch, np.split(images, len(images) // 100))
        bits = [util.bits_per_dim(x, loss_fn(*net(x, reverse=False))) for x in batches]
        return float(np.mean([float(b) for b in bits]))

    digest = hashlib.sha256()
    for tensor in net.state_dict().values():
        digest.update(tensor.numpy().tobytes())
    return {
        "updates_made": step,
        "training_seconds": seconds,
        "parameters": sum(p.numel() for p in net.parameters()),
        "curve": curve,
        "validation": score(data.validation.take(data.validation.count)),
        "test": score(data.test.take(task["images"])),
        "weights_sha256": digest.hexdigest(),
        "packages": {"torch": torch.__version__},
    }


def _batches(images, batch_size):
    """Yields endless shuffled batches, randomly mirrored."""
    while True:
        order = torch.randperm(len(images)).numpy()
        for start in range(0, len(images) - batch_size + 1, batch_size):
            batch = images[order[start : start + batch_size]]
            mirrored = torch.rand(batch_size).numpy() < 0.5
            batch = np.where(mirrored[:, None, None, None], batch[:, :, ::-1], batch)
            yield _to_torch(batch)


def _to_torch(images):
    return torch.from_numpy(np.ascontiguousarray(images.transpose(0, 3, 1, 2))) / 255
