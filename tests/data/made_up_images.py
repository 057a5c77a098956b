"""Made-up image files, good and bad."""

import io
import struct
import tarfile
import zipfile
import zlib

import numpy as np
import tensorflow as tf


def png_of(value, *, size=(40, 60)):
    """An image of one grey."""
    return tf.io.encode_png(np.full([*size, 3], value, np.uint8)).numpy()


def empty_png(width, height):
    """A PNG that announces a size and has no pixels."""

    def chunk(kind, data):
        check = zlib.crc32(kind + data)
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", check)

    header = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    chunks = [chunk(b"IHDR", header), chunk(b"IDAT", zlib.compress(b""))]
    return b"\x89PNG\r\n\x1a\n" + b"".join(chunks) + chunk(b"IEND", b"")


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
