"""A user's own images: their splits, their classes, their pixels."""

from __future__ import annotations

import csv
import dataclasses
import hashlib
import math
import os
import pathlib
from collections.abc import Collection
from typing import Any, Literal

import numpy as np

from tfp_realnvp.arguments import check_int
from tfp_realnvp.choices import SPLITS
from tfp_realnvp.data.cache import decoded_images
from tfp_realnvp.data.image_data import ImageData
from tfp_realnvp.data.image_files import LINKS, ImageFiles, list_files, shown
from tfp_realnvp.data.image_split import ImageSplit, random_squares

_SPLIT_NAMES = {
    **dict.fromkeys(("train", "training"), "train"),
    **dict.fromkeys(("val", "valid", "validation"), "validation"),
    **dict.fromkeys(("test", "testing"), "test"),
}
# Of all hashes, for splits without a folder.
_SHARES = {"test": (0, 0.1), "validation": (0.1, 0.2)}


def load_folder(
    path: str | os.PathLike,
    image_size: int = 32,
    *,
    channels: Literal[1, 3] | None = None,
    crop: Literal["center", "random", "none"] = "center",
    skip_damaged: bool = False,
    conditional: bool = False,
    labels: str | os.PathLike | None = None,
) -> ImageData:
    """Returns the images of a folder or an archive, see `load_images`."""
    check_int("image_size", image_size)
    path = pathlib.Path(path).expanduser()
    files = list_files(path)
    places = _places(path, files)
    if files.left_out:
        print(f"{path}: {files.told_left_out()}", flush=True)
    conditions = condition_names = None
    if conditional:
        # Checked before images are decoded, which can take long.
        conditions, condition_names = _conditions(path, places, labels)
    decoded = decoded_images(
        path, files, image_size=image_size, channels=channels or 3, crop=crop
    )
    if decoded.damaged:
        bad = [f"{shown(k)} ({why})" for k, why in sorted(decoded.damaged.items())]
        more = f" and {len(bad) - 5} more" if bad[5:] else ""
        count = f"{len(bad)} of {len(decoded.names)}"
        told = f"{count} images that cannot be read: {', '.join(bad[:5])}{more}"
        if not skip_damaged:
            raise ValueError(
                f"dataset: expected images that can be read in {path}, got {told}. "
                "Remove them, or leave them out with skip_damaged (--skip-damaged)."
            )
        print(f"{path}: Left out {told}.", flush=True)
    # Sorted folder by folder, whatever the order of reading.
    names = sorted(
        places.keys() - decoded.damaged.keys(), key=lambda name: name.split("/")
    )
    rows = _numbers(names, decoded.names)
    records = decoded.records[rows]
    named = np.array([places[name][0] for name in names], "U10")
    splits = share_out(named, records["contents"])
    if not np.isin(SPLITS, splits).all():
        raise ValueError(
            "dataset: expected at least 3 different images, for training, validation "
            f"and test, in {path}; got {len(names)}. {files.told_left_out()}".rstrip()
        )
    _tell_copies(names, splits, records["pixels"])
    is_grey = channels is None and records["is_grey"].all()
    event_shape = (image_size, image_size, 1 if is_grey else channels or 3)
    if crop == "random":
        images = random_squares(decoded.image, len(decoded.names), event_shape)
    else:
        pixels = decoded.pixels.reshape(-1, image_size, image_size, channels or 3)
        rows = records["offset"] // pixels[0].size
        images = ImageSplit.from_array(pixels[..., : event_shape[2]])
    if conditions is not None and condition_names is not None:
        conditions = conditions[_numbers(names, places)]
        trained = conditions[splits == "train"]
        if trained.ndim == 1 and len(np.unique(trained)) < len(condition_names):
            missing = np.setdiff1d(np.arange(len(condition_names)), trained)[0]
            raise ValueError(
                "conditional: expected training images of every class, got none of "
                f"{shown(condition_names[missing])!r}."
            )
    parts: dict[str, Any] = {}
    digest = hashlib.blake2b(digest_size=8)
    for split in SPLITS:
        chosen = splits == split
        digest.update(records["contents"][chosen].tobytes() + b"/")
        known = None if conditions is None else conditions[chosen]
        selected = images.select(rows[chosen])
        parts[split] = dataclasses.replace(selected, conditions=known)
    return ImageData(
        name=f"folder:{path!s}",
        event_shape=event_shape,
        condition_names=condition_names,
        digest=digest.hexdigest(),
        **parts,
    )


def _numbers(names: list[str], among: Collection[str]) -> np.ndarray:
    numbers = {name: number for number, name in enumerate(among)}
    return np.array([numbers[name] for name in names], np.int64)


def _places(path: pathlib.Path, files: ImageFiles) -> dict[str, tuple[str, str]]:
    """Returns the split of each image, by its folder, and its path in that folder.

    The split is "" if images may be held out; those outside of all are left out.
    """
    top = _top_of(files.stamps)
    for name in files.left_out.get(LINKS, ()):
        if name.removeprefix(top).lower() in _SPLIT_NAMES:
            # Without this folder, images would end up in splits not meant for them.
            raise ValueError(
                f"dataset: expected a folder, got {name} in {path}, a link that leads "
                "out of it. Replace the link with the folder itself."
            )
    rests = {name: name.removeprefix(top).partition("/") for name in files.stamps}
    tops = {rest[:2] for rest in rests.values()}
    splits: dict[str, str] = {}
    for folder in sorted(folder for folder, slash in tops if slash):
        split = _SPLIT_NAMES.get(folder.lower())
        if split in splits.values():
            raise ValueError(
                f"dataset: expected one folder of {split} images in {path}, got two, "
                f"such as {folder}."
            )
        if split is not None:
            splits[folder] = split
    if set(splits.values()) == {"train"} and len(tops) > 1:
        # A lone training folder beside others is a class, of vehicles perhaps.
        splits = {}
    places = {}
    for name, (folder, slash, below) in rests.items():
        if slash and folder in splits:
            places[name] = splits[folder].replace("train", ""), below
        elif "train" in splits.values():
            files.left_out["outside of the splits"].append(name)
        else:
            places[name] = "", f"{folder}{slash}{below}"
    files.stamps = {name: files.stamps[name] for name in places}
    return places


def _top_of(names: Collection[str]) -> str:
    """Returns the deepest folder that holds all images, but none that is a split."""
    above = ["".join(name.rpartition("/")[:2]) for name in names]
    top = ""
    for folder in os.path.commonprefix(above).split("/")[:-1]:
        if folder.lower() in _SPLIT_NAMES:
            break
        top += f"{folder}/"
    return top


def share_out(named: np.ndarray, contents: np.ndarray) -> np.ndarray:
    """Returns the split of each image: the one named, or one by a hash of its bytes."""
    splits = np.where(named == "", "train", named)
    missing = [split for split in _SHARES if not np.any(named == split)]
    for split in missing:
        start, end = (int(share * 2**64) for share in _SHARES[split])
        splits[(named == "") & (contents >= start) & (contents < end)] = split
    if all(np.any(splits == split) for split in SPLITS):
        return splits
    # So few that a split came out empty: it takes the first in order of hashes.
    distinct = np.unique(contents[named == ""])
    count = max(1, len(distinct) // 10)
    splits[named == ""] = "train"
    for i, split in enumerate(missing):
        taken = distinct[i * count : (i + 1) * count]
        splits[(named == "") & np.isin(contents, taken)] = split
    return splits


def _tell_copies(names: list[str], splits: np.ndarray, hashes: np.ndarray) -> None:
    order = np.lexsort([splits, hashes])
    one, other = order[:-1], order[1:]
    is_copy = (hashes[one] == hashes[other]) & (splits[one] != splits[other])
    pairs = np.flatnonzero(is_copy)
    if len(pairs):
        i, j = one[pairs[0]], other[pairs[0]]
        print(
            f"{len(pairs)} images are in two splits, such as {shown(names[i])} "
            f"({splits[i]}) and {shown(names[j])} ({splits[j]}). Scores of training "
            "images are too good.",
            flush=True,
        )


def _conditions(
    path: pathlib.Path,
    places: dict[str, tuple[str, str]],
    labels: str | os.PathLike | None,
) -> tuple[np.ndarray, tuple[str, ...]]:
    """Returns the condition of each image, and the names of the classes or columns."""
    if labels is not None:
        beside = path / labels
        return read_labels(beside if beside.is_file() else labels, list(places))
    for name, (_, below) in places.items():
        if "/" not in below:
            raise ValueError(
                "conditional: expected each image in the subfolder of its class, or "
                f"labels from a CSV file, got {shown(name)!r} in no subfolder."
            )
    return _classes([below.partition("/")[0] for _, below in places.values()])


def _classes(found: list[str]) -> tuple[np.ndarray, tuple[str, ...]]:
    names, labels = np.unique(np.array(found, object), return_inverse=True)
    if len(names) < 2:
        raise ValueError(f"conditional: expected at least 2 classes, got {[*names]}.")
    return labels.astype(np.int32), tuple(names)


def read_labels(
    path: str | os.PathLike, images: list[str]
) -> tuple[np.ndarray, tuple[str, ...]]:
    """Returns each image's condition from a CSV file, and names of classes or columns.

    A single column of words, or one named `label` or `class`, holds classes. Other
    columns hold numbers, or attributes if all are 0 or 1.
    """
    path = pathlib.Path(path).expanduser()

    def refusal(expected: str, got: str) -> ValueError:
        return ValueError(f"labels: expected {expected} in {path}, got {shown(got)}.")

    try:
        with path.open(encoding="utf-8-sig", newline="") as file:
            header, *lines = [line for line in csv.reader(file) if line] or [[]]
    except (ValueError, csv.Error) as error:
        raise refusal("lines of text, separated by commas", str(error)) from error
    if len(header) < 2 or header[0].strip().lower() != "file":
        raise refusal("a first line like file,label", ",".join(header))
    rows = {line[0].removeprefix("./"): line[1:] for line in lines}
    columns = tuple(column.strip() for column in header[1:])
    for name in images:
        if len(rows.get(name, ())) != len(columns):
            got = ",".join([name, *rows[name]]) if name in rows else "none"
            raise refusal(f"{len(header)} columns in a line for {shown(name)}", got)
    table = [[cell.strip() for cell in rows[name]] for name in images]
    bad = [cell for cells in table for cell in cells if not _is_number(cell)]
    if len(columns) == 1 and (bad or columns[0].lower() in ("label", "class")):
        return _classes([cells[0] for cells in table])
    if bad:
        raise refusal("finite numbers", bad[0])
    values = np.array(table, np.float32)
    is_bool = np.isin(values, (0, 1)).all()
    return values.astype(np.bool_) if is_bool else values, columns


def _is_number(text: str) -> bool:
    try:
        return math.isfinite(float(text))
    except ValueError:
        return False
