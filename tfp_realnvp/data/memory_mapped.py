"""Arrays too large for memory: kept in a file, read where they are asked for."""

from __future__ import annotations

import math
import os
import pathlib
import shutil
import tokenize
import zlib
from collections.abc import Callable, Iterable

import numpy as np
import tensorflow as tf

from tfp_realnvp.data.image_split import ImageSplit
from tfp_realnvp.data.progress import ProgressBar
from tfp_realnvp.files import atomic_path

CACHE_VARIABLE = "TFP_REALNVP_CACHE"


def kept_array(
    source: str | os.PathLike,
    name: str,
    shape: tuple[int, ...],
    dtype: np.typing.DTypeLike,
    read: Callable[[], Iterable[np.ndarray]],
) -> np.ndarray:
    """Returns an array that is read once and then kept in a file.

    The file, in NumPy's format, lies beside what it was read from, or in the folder
    that the environment variable `TFP_REALNVP_CACHE` names. One of another shape or
    type, which other data have left, is written anew.

    Args:
      source: Folder that the array is read from.
      name: Python `str`, name of the file, without an ending.
      shape: Tuple of Python `int`, the expected shape.
      dtype: Expected NumPy type.
      read: Function that returns the array, cut into pieces along its first axis.

    Returns:
      A read-only `np.ndarray` that is mapped into memory.

    Raises:
      OSError: If the file cannot be written, or the disk is full.
      ValueError: If there are more or fewer rows than expected.
    """
    path = pathlib.Path(source) / f"{name}.npy"
    if os.environ.get(CACHE_VARIABLE):
        path = cache_path(pathlib.Path(source), path.name)
    kept = _load(path, shape, dtype)
    if kept is not None:
        return kept
    check_room(path, math.prod(shape) * np.dtype(dtype).itemsize)
    print(f"Writing {path}, once.", flush=True)
    _write(path, shape, dtype, read())
    return np.load(path, mmap_mode="r")


def split_of_mapped(array: np.ndarray) -> ImageSplit:
    """Returns the images of an array, of which only those asked for are read.

    Args:
      array: `uint8` array of rank 4, as `kept_array` returns it.
    """

    def images(numbers: tf.Tensor, seeds: tf.Tensor) -> tf.Tensor:
        chosen = tf.numpy_function(
            lambda numbers: np.asarray(array[numbers]),
            [numbers],
            tf.uint8,
            stateful=False,
        )
        return tf.ensure_shape(chosen, [numbers.shape[0], *array.shape[1:]])

    return ImageSplit(len(array), images)


def cache_path(source: pathlib.Path, name: str) -> pathlib.Path:
    """Returns where to keep what is made of a folder or file, in a folder for caches.

    That is the one that `TFP_REALNVP_CACHE` names, or else the user's own.

    Args:
      source: The folder or file.
      name: Python `str`, name of the file with its ending.
    """
    own = os.environ.get("XDG_CACHE_HOME") or "~/.cache"
    folder = os.environ.get(CACHE_VARIABLE) or f"{own}/tfp_realnvp"
    # Data of one name may lie in several folders.
    place = zlib.crc32(os.fsencode(source.resolve()))
    path = pathlib.Path(folder).expanduser() / name
    return path.with_name(f"{path.stem}-{place:08x}{path.suffix}")


def _load(
    path: pathlib.Path, shape: tuple[int, ...], dtype: np.typing.DTypeLike
) -> np.ndarray | None:
    """Returns the array in the file, or nothing if another or none is there."""
    try:
        # Unlike `np.load` it opens nothing but this format, and so never a pickle.
        kept = np.lib.format.open_memmap(path, mode="r")
    except (FileNotFoundError, EOFError, ValueError, SyntaxError, tokenize.TokenError):
        return None
    return kept if kept.shape == shape and kept.dtype == dtype else None


def check_room(path: pathlib.Path, needed: int) -> None:
    """Checks that a file of so many bytes can be written.

    Raises:
      OSError: If the folder cannot be written to, or the disk is too full.
    """
    folder = path.parent
    elsewhere = f"or set {CACHE_VARIABLE} to another folder"
    if not (folder.is_dir() and os.access(folder, os.W_OK)):
        raise PermissionError(
            f"data_dir: expected a folder to write {path.name} to, got {folder}. Make "
            f"it, or make it writable, {elsewhere}."
        )
    free = shutil.disk_usage(folder).free
    if free < needed:
        unfinished = sorted(str(left) for left in folder.glob(f".*.{path.name}"))
        remove = f"remove what killed runs left ({', '.join(unfinished)}), "
        raise OSError(
            f"data_dir: expected {needed / 2**30:.1f} GiB of free disk for {path}, got "
            f"{free / 2**30:.1f} GiB. Make room, {remove if unfinished else ''}"
            f"{elsewhere}."
        )


def _write(
    path: pathlib.Path,
    shape: tuple[int, ...],
    dtype: np.typing.DTypeLike,
    pieces: Iterable[np.ndarray],
) -> None:
    header = {"descr": np.dtype(dtype).str, "fortran_order": False, "shape": shape}
    progress, done = ProgressBar(shape[0]), 0
    # Written as a stream: where a mapped file finds the disk full, the process dies.
    with atomic_path(path) as temporary, open(temporary, "wb") as file:
        np.lib.format.write_array_header_1_0(file, header)
        for piece in pieces:
            file.write(np.ascontiguousarray(piece, dtype).data)
            done += len(piece)
            progress.update(min(done, shape[0]))
        if done != shape[0]:
            raise ValueError(
                f"data_dir: expected {shape[0]} rows for {path}, got {done}."
            )
