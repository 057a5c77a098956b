"""What reading a folder of many images takes: `python benchmarks/many_images.py`.

Makes JPEG files of 64 x 64, loads them twice in processes of their own, first without
the cache and then with it, draws batches, and prints seconds and memory. What is mapped
from the cache is given back by the system when memory is wanted; the rest is not.
"""

import argparse
import json
import os
import pathlib
import subprocess
import sys
import tempfile
import time

import numpy as np
from PIL import Image

_SIDE = 64
_IN_FOLDER = 1000
_BATCHES = 200


def make_images(folder: pathlib.Path, count: int) -> None:
    random = np.random.default_rng(0)
    for i in range(count):
        if i % _IN_FOLDER == 0:
            above = folder / f"{i // _IN_FOLDER:04d}"
            above.mkdir()
        coarse = Image.fromarray(random.integers(0, 256, [8, 8, 3], np.uint8))
        image = coarse.resize((_SIDE, _SIDE), Image.Resampling.BICUBIC)
        image.save(above / f"{i:07d}.jpg", quality=90)


def load(folder: str) -> None:
    from tfp_realnvp.data import load_images

    before = _memory()
    begin = time.perf_counter()
    data = load_images(f"folder:{folder}", image_size=_SIDE)
    loaded = time.perf_counter()
    for _ in data.training_batches(64, seed=0).take(_BATCHES):
        pass
    drawn = time.perf_counter()
    after = _memory()
    result = {
        "images": data.train.count + data.validation.count + data.test.count,
        "seconds": loaded - begin,
        "batches_of_64_per_second": _BATCHES / (drawn - loaded),
        "gib_before": before["RssAnon"],
        "gib_after": after["RssAnon"],
        "gib_mapped_after": after["RssFile"],
        "gib_at_most": after["VmHWM"],
    }
    print(json.dumps({name: round(value, 2) for name, value in result.items()}))


def _memory() -> dict[str, float]:
    lines = pathlib.Path("/proc/self/status").read_text().splitlines()
    sizes = dict(line.split(":", 1) for line in lines)
    names = ("RssAnon", "RssFile", "VmHWM")
    return {name: int(sizes[name].split()[0]) / 2**20 for name in names}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--count", type=int, default=200_000, help="number of images")
    parser.add_argument("--load", help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.load:
        load(arguments.load)
        return
    with tempfile.TemporaryDirectory() as place:
        folder = pathlib.Path(place) / "images"
        folder.mkdir()
        begin = time.perf_counter()
        make_images(folder, arguments.count)
        print(f"Made {arguments.count} in {time.perf_counter() - begin:.0f} s.")
        environment = {**os.environ, "TFP_REALNVP_CACHE": f"{place}/cache"}
        command = [sys.executable, __file__, "--load", str(folder)]
        for _ in range(2):
            subprocess.run(command, env=environment, check=True)


if __name__ == "__main__":
    main()
