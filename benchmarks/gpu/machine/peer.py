"""Times training of the PyTorch flow on the GPU machine, as its own `train.py` does it.

Images lie on the device and are not mirrored; its other settings are the checkout's.
What is to be compiled is compiled beside our training; timing begins when the file
--begin is there. Each precision is a line of peer.jsonl, as soon as it is known.
"""

import argparse
import json
import pathlib
import sys
import time

import torch

FOLDER = pathlib.Path(__file__).resolve().parent
STEPS = 5
PRECISIONS = ("bfloat16 autocast", "float32")


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    for name in ("batch-size", "num-scales", "filters", "num-blocks"):
        parser.add_argument(f"--{name}", type=int, required=True)
    parser.add_argument("--begin", type=pathlib.Path, required=True)
    parser.add_argument("--compiled", action="store_true", help="by torch.compile")
    parser.add_argument("--seconds", type=float, default=5, help="for each precision")
    arguments = parser.parse_args()
    device = "cuda" if torch.cuda.is_available() else "cpu"
    torch.backends.cudnn.benchmark = True
    about = {
        "device": torch.cuda.get_device_name() if device == "cuda" else "cpu",
        "torch": torch.__version__,
        "batch_size": arguments.batch_size,
        "tf32_convolutions": torch.backends.cudnn.allow_tf32,
        "tf32_products": torch.backends.cuda.matmul.allow_tf32,
    }
    sys.path.insert(0, str(FOLDER))
    from torch_checkout import use_checkout

    use_checkout(FOLDER / "peer")
    steps = {name: _step(arguments, device, name) for name in PRECISIONS}
    failed = {}
    if arguments.compiled:
        for precision, step in steps.items():
            begin = time.monotonic()
            failed[precision] = _tried(lambda step=step: _warm_up(step))
            seconds = time.monotonic() - begin
            print(f"PyTorch flow, {precision}, compiled in {seconds:.1f} s")
    while not arguments.begin.exists():
        time.sleep(0.2)
    for precision, step in steps.items():
        found = failed.get(precision) or _tried(
            lambda step=step: _speed(step, arguments, device)
        )
        way = {"precision": precision, "compiled": arguments.compiled}
        with open(FOLDER / "peer.jsonl", "a", encoding="utf-8") as file:
            print(json.dumps({**about, **way, **found}), file=file)
        print(f"PyTorch flow, {way}: {found}")


def _step(arguments, device, precision):
    """Returns a step of training."""
    from models.real_nvp import RealNVP  # the checkout's
    from torch_checkout import make_step

    torch.manual_seed(0)
    net = RealNVP(arguments.num_scales, 3, arguments.filters, arguments.num_blocks)
    net = net.to(device)
    shape = (arguments.batch_size, 3, 32, 32)
    x = torch.randint(0, 256, shape, device=device).float() / 255
    is_mixed = precision != "float32"
    run = torch.compile(net) if arguments.compiled else net
    step = make_step(
        net, run, lambda: torch.autocast(device, torch.bfloat16, enabled=is_mixed)
    )
    return lambda: step(x)


def _warm_up(step):
    for _ in range(3):
        step()
    # The others need the memory until it is this one's turn.
    torch.cuda.empty_cache()
    return {}


def _speed(step, arguments, device):
    _warm_up(step)
    times, begin = [], time.monotonic()
    while not times or time.monotonic() - begin < arguments.seconds:
        before = time.monotonic()
        for _ in range(STEPS):
            step()
        if device == "cuda":
            torch.cuda.synchronize()
        times.append((time.monotonic() - before) / STEPS)
    seconds = sorted(times)[len(times) // 2]
    return {"images_per_second": arguments.batch_size / seconds}


def _tried(function):
    """Returns what a function finds, or its error.

    One way to run the flow that fails, as a compiler may, leaves the others.
    """
    try:
        return function()
    except Exception as error:
        return {"error": f"{type(error).__name__}: {error}"[:500]}


if __name__ == "__main__":
    main()
