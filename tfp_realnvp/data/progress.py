"""A progress bar for what takes long."""

from __future__ import annotations

import keras

_FEW = 1000


class ProgressBar:
    """A progress bar that is shown if there are many images to read.

    Args:
      count: Python `int`, how many there are.
    """

    def __init__(self, count: int):
        # A log file has one line for each update.
        self._bar = (
            keras.utils.Progbar(count, unit_name="image", interval=1.0)
            if count >= _FEW
            else None
        )

    def update(self, done: int) -> None:
        """Shows that so many images have been read."""
        if self._bar is not None:
            self._bar.update(done)
