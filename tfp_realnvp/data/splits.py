"""Which images of a folder are to train, validate and test with."""

from __future__ import annotations

import os
import pathlib
from collections.abc import Collection
from typing import NamedTuple

import numpy as np

from tfp_realnvp.choices import SPLITS
from tfp_realnvp.data.image_files import LINKS, ImageFiles, shown

_SPLIT_NAMES = {
    "train": "train",
    "training": "train",
    "val": "validation",
    "valid": "validation",
    "validation": "validation",
    "test": "test",
    "testing": "test",
}
# Of all hashes, where a folder does not say.
_SHARES = {"test": (0, 0.1), "validation": (0.1, 0.2)}


class Place(NamedTuple):
    """Where an image is.

    Attributes:
      split: `"validation"` or `"test"` if it is in the folder of that name, or `""`.
      below: Its name below that folder, or below the one that holds all the rest.
    """

    split: str
    below: str


def named_splits(path: pathlib.Path, files: ImageFiles) -> dict[str, Place]:
    """Returns the place of each image; those in none are left out of `files`.

    Raises:
      ValueError: If two folders are one split, or one is a link out of the folder.
    """
    top = _top_of(files.stamps)
    rests = {name: name.removeprefix(top) for name in files.stamps}
    for name in files.left_out.get(LINKS, ()):
        if name.removeprefix(top).lower() in _SPLIT_NAMES:
            # Without it images would go to other splits than they are meant for.
            raise ValueError(
                f"dataset: expected a folder, got {name} in {path}, a link that leads "
                "out of it. Move the folder here."
            )
    splits = _split_folders(path, {rest.partition("/")[:2] for rest in rests.values()})
    places = {}
    for name, rest in rests.items():
        folder, _, below = rest.partition("/")
        if below and folder in splits:
            # Of training images some may be held out too.
            places[name] = Place(splits[folder].replace("train", ""), below)
        elif "train" in splits.values():
            files.leave_out("outside of the splits", name)
        else:
            places[name] = Place("", rest)
    files.stamps = {name: files.stamps[name] for name in places}
    return places


def _split_folders(
    path: pathlib.Path, tops: Collection[tuple[str, str]]
) -> dict[str, str]:
    """Returns the splits that there are, by the names of their folders.

    Args:
      path: Whose they are.
      tops: What images are in: name and `"/"`, or their own name and `""`.
    """
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
    # Without any to hold out, and beside others, it is a class of vehicles.
    is_class = set(splits.values()) == {"train"} and len(tops) > 1
    return {} if is_class else splits


def _top_of(names: Collection[str]) -> str:
    """Returns the folder that all images are in, unless it is a split."""
    above = ["".join(name.rpartition("/")[:2]) for name in names]
    folders = os.path.commonprefix(above).split("/")[:-1]
    splits = [i for i, folder in enumerate(folders) if folder.lower() in _SPLIT_NAMES]
    kept = folders[: splits[0]] if splits else folders
    return "".join(f"{folder}/" for folder in kept)


def share_out(named: np.ndarray, contents: np.ndarray) -> np.ndarray:
    """Returns the split of each image, as a function of its own bytes.

    Args:
      named: The split that each image's folder names, or `""`.
      contents: Hash of each file.
    """
    splits = np.where(named == "", "train", named)
    missing = [split for split in _SHARES if not np.any(named == split)]
    for split in missing:
        start, end = (int(share * 2**64) for share in _SHARES[split])
        splits[(named == "") & (contents >= start) & (contents < end)] = split
    if all(np.any(splits == split) for split in SPLITS):
        return splits
    # So few that chance leaves one out: the first in the order of their hashes.
    distinct = np.unique(contents[named == ""])
    count = max(1, len(distinct) // 10)
    splits[named == ""] = "train"
    for i, split in enumerate(missing):
        taken = distinct[i * count : (i + 1) * count]
        splits[(named == "") & np.isin(contents, taken)] = split
    return splits


def tell_copies(names: list[str], splits: np.ndarray, hashes: np.ndarray) -> None:
    """Prints how many images are in two splits, by the hashes of their pixels."""
    order = np.lexsort([splits, hashes])
    one, other = order[:-1], order[1:]
    pairs = np.flatnonzero(
        (hashes[one] == hashes[other]) & (splits[one] != splits[other])
    )
    if len(pairs):
        i, j = one[pairs[0]], other[pairs[0]]
        print(
            f"{len(pairs)} images are in two splits, such as {shown(names[i])} "
            f"({splits[i]}) and {shown(names[j])} ({splits[j]}). Scores on images that "
            "were trained on are too good.",
            flush=True,
        )
