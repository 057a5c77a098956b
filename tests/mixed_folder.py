"""Writes a folder of some 350 images like those of users, cut out of photographs.

They are of many formats, modes, sizes and names, in nested classes, with hidden files,
links, and files that are damaged or made to do harm. `python mixed_folder.py FOLDER`
"""

import io
import pathlib
import struct
import sys
import zlib

import numpy as np
import sklearn.datasets
from PIL import Image, features

CLASSES = ("bird", "cat", "dog")
_ORIENTATION = 0x0112
# Format, mode, suffix, options of Pillow's.
KINDS = [
    *[("PNG", mode, ".png", {}) for mode in ("RGB", "RGBA", "L", "LA", "P", "1")],
    ("PNG", "I;16", ".png", {}),
    ("PNG", "P", ".png", {"transparency": 0}),
    *[("JPEG", mode, ".jpg", {}) for mode in ("RGB", "L", "CMYK")],
    ("JPEG", "RGB", ".JPEG", {"progressive": True, "quality": 50}),
    ("JPEG", "RGB", ".jfif", {}),
    ("WEBP", "RGB", ".webp", {}),
    ("WEBP", "RGBA", ".webp", {"lossless": True}),
    ("GIF", "P", ".gif", {}),
    *[("BMP", mode, ".bmp", {}) for mode in ("RGB", "L", "P", "1")],
    *[("TIFF", mode, ".tif", {}) for mode in ("RGB", "L", "CMYK", "I;16")],
    ("TIFF", "RGB", ".tiff", {"compression": "tiff_lzw"}),
    *[("PPM", mode, ".ppm", {}) for mode in ("RGB", "L")],
    ("PPM", "I", ".pgm", {}),
    *[("TGA", mode, ".tga", {}) for mode in ("RGB", "RGBA", "L")],
    ("PCX", "RGB", ".pcx", {}),
    ("ICO", "RGBA", ".ico", {"sizes": [(32, 32)]}),
    *([("JPEG2000", "RGB", ".jp2", {})] if features.check("jpg_2000") else []),
    *([("AVIF", "RGB", ".avif", {})] if features.check("avif") else []),
]
SIZES = [(40, 60), (60, 40), (32, 32), (33, 57), (200, 90)]
ODD_SIZES = [(1, 1), (1, 90), (90, 1), (3, 299), (400, 600)]
WORDS = ["with space", "ünïcödé", "猫", "-dash", "a,b"]
NAMES = [*WORDS, "new\nline", "\x1b[2J", 200 * "x"]


def picture(random, size=(40, 60), mode="RGB"):
    """A part of a photograph, `size` high and wide."""
    photo = random.choice(sklearn.datasets.load_sample_images().images)
    top, left = random.integers(0, np.subtract(photo.shape[:2], size) + 1)
    image = Image.fromarray(photo[top : top + size[0], left : left + size[1]])
    if mode in ("I;16", "I"):
        deep = np.asarray(image.convert("L"), np.uint16) * 256 + 77
        return Image.fromarray(deep.astype(np.int32) if mode == "I" else deep)
    if mode in ("RGBA", "LA"):
        image.putalpha(image.convert("L"))
    return image.convert(mode)


def encoded(image, kind, **options):
    data = io.BytesIO()
    image.save(data, kind, **options)
    return data.getvalue()


def turned(image, orientation, kind="JPEG"):
    exif = Image.Exif()
    exif[_ORIENTATION] = orientation
    return encoded(image, kind, exif=exif)


def empty_png(width, height):
    """A PNG that announces a size and has no pixels."""

    def chunk(kind, data):
        check = zlib.crc32(kind + data)
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", check)

    header = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    pixels = chunk(b"IDAT", zlib.compress(b"")) + chunk(b"IEND", b"")
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + pixels


def damaged_files(random):
    """Contents of what cannot be read, by name."""
    image = picture(random)
    png, jpeg = encoded(image, "PNG"), encoded(image, "JPEG")
    return {
        "empty.png": b"",
        "half.png": png[: len(png) // 2],
        "half.jpg": jpeg[: len(jpeg) // 2],
        "half.webp": encoded(image, "WEBP")[:-300],
        "half.tif": encoded(image, "TIFF")[:-900],
        "words.gif": b"these are words",
        "page.jpg": b"<html>404</html>",
        "giant.png": empty_png(50_000, 50_000),
        "nothing.png": empty_png(0, 5),
        "floats.tiff": encoded(Image.new("F", (9, 9)), "TIFF"),
        # Ghostscript, which is a program, would have to read it.
        "program.png": encoded(image, "EPS"),
    }


def write_mixed_folder(folder):
    """Writes it, and returns names: of images, of damaged ones, and of what is left
    out, by the reason why."""
    folder, random = pathlib.Path(folder), np.random.default_rng(0)

    def png(*size):
        return encoded(picture(random, *size), "PNG")

    images = {}
    for number, (kind, mode, suffix, options) in enumerate(5 * KINDS):
        image = picture(random, SIZES[number % 5], mode)
        name = f"{CLASSES[number % 3]}/{kind.lower()}_{mode}_{number}{suffix}"
        images[name.replace(";", "_")] = encoded(image, kind, **options)
    for number in range(1, 9):
        images[f"cat/turned/{number}.jpg"] = turned(picture(random), number)
        images[f"dog/turned/{number}.png"] = turned(picture(random), number, "PNG")
    images |= {f"dog/big and small/{i}.png": png(s) for i, s in enumerate(ODD_SIZES)}
    images |= {f"bird/names/{name}.png": png() for name in NAMES}
    for kind in ("GIF", "WEBP", "TIFF", "PNG"):
        first, *others = (picture(random) for _ in range(3))
        moving = encoded(first, kind, save_all=True, append_images=others)
        images[f"bird/moving/{kind}.{kind.lower()}"] = moving
    images |= {f"{CLASSES[i % 3]}/a/b/c/{i}.png": png((32, 32)) for i in range(100)}
    # The same pixels in other files.
    same = picture(random)
    images["cat/copies/1.png"] = images["cat/copies/2.png"] = encoded(same, "PNG")
    images["dog/copies/3.bmp"] = encoded(same, "BMP")
    damaged = {f"dog/damaged/{k}": v for k, v in damaged_files(random).items()}
    hidden = [".thumbnails", "cat/.ipynb_checkpoints", "@eaDir", "__MACOSX"]
    hidden_files = ["cat/._1.png", ".DS_Store"]
    others = ["readme.txt", "cat/Thumbs.db", "labels.csv", "dog/film.mp4", "cat/png"]
    outside = folder.with_name(f"{folder.name}-outside")
    plain = png()
    files = {
        **images,
        **damaged,
        **{f"{name}/{i}.png": plain for name in hidden for i in range(4)},
        **dict.fromkeys((*hidden_files, *others), b"notes"),
        outside / "1.png": plain,
    }
    for name, contents in files.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(contents)
    links = {
        "cat/outside": outside,
        "cat/outside.png": outside / "1.png",
        "dog/around": folder,
        "dog/turned/around": folder / "dog",
    }
    inside = {
        "bird/linked.png": "../cat/turned/1.jpg",
        "bird/linked": "../cat/turned",
        "bird/nowhere.png": "nothing.png",
    }
    for name, target in {**links, **inside}.items():
        (folder / name).symlink_to(target)
    images["bird/linked.png"] = images["cat/turned/1.jpg"]
    for number in range(1, 9):
        images[f"bird/linked/{number}.jpg"] = images[f"cat/turned/{number}.jpg"]
    left_out = {
        "hidden": [*hidden, *hidden_files],
        "not images": others,
        "links out of the folder": list(links),
        "not plain files": ["bird/nowhere.png"],
    }
    return images, damaged, left_out


if __name__ == "__main__":
    found, bad, rest = write_mixed_folder(sys.argv[1])
    print(len(found), "images,", len(bad), "damaged,", rest)
