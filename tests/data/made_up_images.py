"""Made-up image files and archives of them."""

import io
import tarfile
import zipfile

import numpy as np
from PIL import Image


def png_of(value, *, size=(40, 60)):
    """An image of one colour, mostly its red, so that it is not taken for grey."""
    data = io.BytesIO()
    pixels = np.full([*size, 3], (value, 0, 1), np.uint8)
    Image.fromarray(pixels).save(data, "PNG")
    return data.getvalue()


def write_folder(folder, files):
    for name, contents in files.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(contents)


def write_archive(path, files):
    """Writes files, or tar's own descriptions of what is none, by name."""
    if path.suffix == ".zip":
        with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
            for name, contents in files.items():
                archive.writestr(name, contents)
        return
    with tarfile.open(path, "w:gz" if path.suffix != ".tar" else "w") as archive:
        for name, contents in files.items():
            info = contents
            if isinstance(contents, bytes):
                info = tarfile.TarInfo(name)
                info.size = len(contents)
                archive.addfile(info, io.BytesIO(contents))
            else:
                archive.addfile(info)
