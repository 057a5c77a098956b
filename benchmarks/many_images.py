"""Measures time and memory to read a folder of many images.

    python benchmarks/many_images.py

Makes JPEG files of 64 x 64, loads them twice, each time in a new process, first without
the cache and then with it, draws batches, and prints seconds and memory. The system
takes mapped pages of the cache back when it needs memory, but not the rest.
"""

import argparse
import pathlib
import tempfile
import time

import numpy as np
from harness.process import Process
from PIL import Image

_SIDE, _IN_FOLDER, _BATCHES = 64, 1000, 200


def make_images(folder, count):
    random = np.random.default_rng(0)
    for i in range(count):
        above = folder / f"{i // _IN_FOLDER:04d}"
        above.mkdir(parents=True, exist_ok=True)
        coarse = Image.fromarray(random.integers(0, 256, [8, 8, 3], np.uint8))
        image = coarse.resize((_SIDE, _SIDE), Image.Resampling.BICUBIC)
        image.save(above / f"{i:07d}.jpg", quality=90)


def load(folder):
    """Returns time and memory of loading the images in this process."""
    from tfp_realnvp.data import load_images

    before, begin = _memory(), time.perf_counter()
    data = load_images(f"folder:{folder}", image_size=_SIDE)
    loaded = time.perf_counter()
    for _ in data.training_batches(64, seed=0).take(_BATCHES):
        pass
    drawn, after = time.perf_counter(), _memory()
    found = {
        "images": data.train.count + data.validation.count + data.test.count,
        "seconds": loaded - begin,
        "batches_of_64_per_second": _BATCHES / (drawn - loaded),
        "gib_before": before["RssAnon"],
        "gib_after": after["RssAnon"],
        "gib_mapped_after": after["RssFile"],
        "gib_at_most": after["VmHWM"],
    }
    return {name: round(value, 2) for name, value in found.items()}


def _memory():
    lines = pathlib.Path("/proc/self/status").read_text().splitlines()
    sizes = dict(line.split(":", 1) for line in lines)
    names = ("RssAnon", "RssFile", "VmHWM")
    return {name: int(sizes[name].split()[0]) / 2**20 for name in names}


def main():
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--count", type=int, default=200_000, help="number of images")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        place, begin = pathlib.Path(name), time.perf_counter()
        make_images(place / "images", arguments.count)
        print(f"Made {arguments.count} in {time.perf_counter() - begin:.0f} s.")
        for _ in range(2):
            cache = str(place / "cache")
            with Process(place / "log.txt", TFP_REALNVP_CACHE=cache) as process:
                print(process.ask("many_images:load", folder=str(place / "images")))


if __name__ == "__main__":
    main()
