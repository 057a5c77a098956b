"""A file that is read from its beginning to its end, and not for ever."""

from __future__ import annotations

import gzip
from typing import BinaryIO

# Names, even those of a tar archive's extended headers, are far shorter.
_LONGEST_HEADER = 2**20


class ForwardFile:
    """A binary file for `tarfile`, which would follow whatever an archive says.

    It goes only forward, since a header may lead back to itself, and since going back
    in a compressed file means to unpack it anew.

    Args:
      file: Binary file, opened at its beginning.
      most: Python `int`, how many bytes may be read or skipped in all.

    Attributes:
      last: Python `bytes`, what was read last.
    """

    def __init__(self, file: BinaryIO | gzip.GzipFile, most: int):
        self._file = file
        self._most = most
        self.last = b""

    def tell(self) -> int:
        return self._file.tell()

    def seek(self, position: int) -> int:
        """Goes forward to a place.

        Raises:
          EOFError: If it lies behind, or beyond what may be read.
        """
        if position < self._file.tell():
            raise EOFError(f"it leads back to byte {position}")
        if position > self._most:
            raise EOFError(f"it goes on beyond byte {self._most}")
        return self._file.seek(position)

    def read(self, size: int) -> bytes:
        """Returns so many bytes of headers, or fewer at the end.

        Raises:
          EOFError: If that is more than headers have, or more than may be read.
        """
        if not 0 <= size <= _LONGEST_HEADER:
            raise EOFError(f"a header of {size} bytes")
        self.last = self.read_data(size)
        return self.last

    def read_data(self, size: int) -> bytes:
        """Returns so many bytes, or fewer at the end.

        Raises:
          EOFError: If more than may be read have been.
        """
        data = self._file.read(size)
        if self._file.tell() > self._most:
            raise EOFError(f"it goes on beyond byte {self._most}")
        return data
