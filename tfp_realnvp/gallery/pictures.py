"""Pictures as parts of a page."""

from __future__ import annotations

import base64
import math

import numpy as np
import tensorflow as tf

from tfp_realnvp.figures.grid import checked_pictures

_JPEG_QUALITY = 90


def data_uri(image: np.ndarray) -> str:
    """Returns a `uint8` image as a `data:` address: PNG, or JPEG if that is smaller.

    Drawings are smaller as PNG, which loses nothing; photographs are three times as
    large, and a page of them too slow to open on a phone.
    """
    png = tf.io.encode_png(image).numpy()
    jpeg = tf.io.encode_jpeg(
        image, quality=_JPEG_QUALITY, chroma_downsampling=False
    ).numpy()
    kind, contents = ("png", png) if len(png) <= len(jpeg) else ("jpeg", jpeg)
    return f"data:image/{kind};base64,{base64.b64encode(contents).decode('ascii')}"


def contact_sheet(frames: np.ndarray) -> tuple[np.ndarray, int]:
    """Returns frames on one sheet, row after row, and the number of its columns.

    Each frame has a white border of one pixel, which keeps its neighbours from showing
    at the edges where a browser scales the sheet.

    Args:
      frames: `uint8` array of shape [frames, height, width, channels].

    Raises:
      ValueError: If these are no pictures, or none.

    #### Example

    ```python
    >>> import numpy as np
    >>> from tfp_realnvp.gallery.pictures import contact_sheet
    >>> sheet, columns = contact_sheet(np.zeros([5, 4, 6, 1], np.uint8))
    >>> sheet.shape, columns
    ((12, 24, 1), 3)

    ```
    """
    frames = checked_pictures("frames", frames)
    # Nearly square: browsers refuse or blur images that are very long.
    columns = math.ceil(math.sqrt(len(frames)))
    rows = math.ceil(len(frames) / columns)
    spare = rows * columns - len(frames)
    padded = np.pad(frames, [(0, spare), (1, 1), (1, 1), (0, 0)], constant_values=255)
    _, height, width, channels = padded.shape
    grid = padded.reshape(rows, columns, height, width, channels)
    sheet = grid.transpose(0, 2, 1, 3, 4)
    return sheet.reshape(rows * height, columns * width, channels), columns
