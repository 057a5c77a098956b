"""Writing folders so that a killed run leaves none half written."""

from __future__ import annotations

import contextlib
import os
import pathlib
import shutil
from collections.abc import Iterator

from tfp_realnvp.arguments import check_path


def check_directory(path: pathlib.Path, *, overwrite: bool) -> None:
    """Raises `FileExistsError` if `path` is a file, or a folder not to be lost."""
    if path.exists() and not path.is_dir():
        raise FileExistsError(f"directory: expected a folder, but {path} is a file.")
    if path.exists() and any(path.iterdir()) and not overwrite:
        raise FileExistsError(
            f"directory: expected an empty or new folder, but {path} is not empty. "
            "Choose another, or pass overwrite=True to replace it."
        )


def next_version(directory: str | os.PathLike) -> pathlib.Path:
    """Returns the folder of the next version: `directory/1`, then `directory/2`, ...

    That is how TensorFlow Serving finds new versions and goes back to old ones.

    Args:
      directory: Folder of all versions, which need not be there yet.

    Raises:
      FileExistsError: If it is a file, or a SavedModel itself.
      ValueError: If `directory` is no path.
    """
    check_path("directory", directory)
    directory = pathlib.Path(directory)
    if directory.exists() and not directory.is_dir():
        raise FileExistsError(
            f"directory: expected a folder, but {directory} is a file."
        )
    if (directory / "saved_model.pb").exists():
        raise FileExistsError(
            "directory: expected a folder of numbered versions, but "
            f"{directory} is a SavedModel itself."
        )
    # Other digits than these are no numbers to TensorFlow Serving.
    names = [p.name for p in directory.glob("[0-9]*") if p.name.isdecimal()]
    return directory / str(1 + max((int(name) for name in names), default=0))


def take_version(written: pathlib.Path, directory: pathlib.Path) -> pathlib.Path:
    """Moves a folder to `next_version`, another one if an export just took that.

    Args:
      written: The folder, which holds something, on the same disk.
      directory: Folder of all versions.

    Returns:
      Where it is now.
    """
    while True:
        version = next_version(directory)
        try:
            # Refused where there is a folder that holds anything.
            os.rename(written, version)
        except OSError:
            if not version.exists():
                raise
        else:
            return version


@contextlib.contextmanager
def atomic_directory(
    path: str | os.PathLike, *, overwrite: bool
) -> Iterator[pathlib.Path]:
    """Yields a folder to write to, which takes the place of `path` when all is well.

    The temporary folder lies beside `path`. If the writer fails it is removed, with
    the parents that were made for it, and `path` stays as it was; without `overwrite`
    also if it holds anything by then.
    """
    # What a symbolic link points to is replaced, not the link.
    path = pathlib.Path(os.path.realpath(path))
    temporary = path.with_name(f".{os.getpid()}.{path.name}")
    replaced = path.with_name(f".{os.getpid()}.{path.name}.replaced")
    made = [parent for parent in path.parents if not parent.exists()]
    try:
        temporary.mkdir(parents=True)
        yield temporary
        if path.exists() and overwrite:
            os.rename(path, replaced)
        elif path.exists():
            path.rmdir()
        try:
            os.rename(temporary, path)
        except OSError:
            if replaced.exists():
                os.rename(replaced, path)
            raise
    except BaseException:
        shutil.rmtree(temporary, ignore_errors=True)
        for parent in made:
            with contextlib.suppress(OSError):
                parent.rmdir()
        raise
    shutil.rmtree(replaced, ignore_errors=True)
