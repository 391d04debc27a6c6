"""The file under HDF5, and how it comes to the disk."""

from __future__ import annotations

import io
import os
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any

__all__ = ["Sink"]

_FLUSH_BYTES = 2**25
"""So much is written between two flushes: the disk works meanwhile, and a large file does not drive
everything else out of the system's cache."""


class Sink(io.RawIOBase):
    """The file under HDF5: after a failed write it pretends to go on.

    HDF5 can't close a file whose writes fail, and keeps its descriptor until the process ends.

    Parameters
    ----------
    descriptor
        Of a new file; it is not closed here.
    """

    def __init__(self, descriptor: int) -> None:
        super().__init__()
        self._descriptor = descriptor
        self._place = 0
        self._size = 0
        self._error: OSError | KeyboardInterrupt | None = None
        self._flusher = ThreadPoolExecutor(1)
        self._flushing: Future[None] | None = None
        self._flushed = 0

    def check(self) -> None:
        """Raise what stopped the writing, if anything did."""
        if self._error is not None:
            raise self._error

    def sync(self) -> None:
        """Bring all that was written to the disk.

        Raises
        ------
        OSError
            If it, or any flush before it, failed: the system tells of a failure only once.
        """
        if self._flushing is not None:
            self._flushing.result()
        os.fsync(self._descriptor)

    def close(self) -> None:
        """Wait for what is going on."""
        self._flusher.shutdown()
        super().close()

    def seek(self, offset: int, whence: int = os.SEEK_SET, /) -> int:
        """Go to a place."""
        start = {os.SEEK_SET: 0, os.SEEK_CUR: self._place, os.SEEK_END: self._size}[whence]
        self._place = start + offset
        return self._place

    def tell(self) -> int:
        """Return the place."""
        return self._place

    def write(self, data: Any, /) -> int:
        """Write at the place; whatever fails is kept for `check`."""
        rest = memoryview(data).cast("B")
        end = self._place + len(rest)
        try:
            while len(rest) and self._error is None:
                written = os.pwrite(self._descriptor, rest, end - len(rest))
                rest = rest[written:]
            if self._error is None and end - self._flushed >= _FLUSH_BYTES:
                self._flush_to(end)
        except (OSError, KeyboardInterrupt) as error:
            self._error = error
        written = end - self._place
        self._place = end
        self._size = max(self._size, end)
        return written

    def _flush_to(self, end: int) -> None:
        """Begin to flush what was written, once the flush before is done."""
        if self._flushing is not None:
            self._flushing.result()
        self._flushing = self._flusher.submit(_flush, self._descriptor, self._flushed, end)
        self._flushed = end

    def readinto(self, buffer: Any, /) -> int:
        """Read at the place; zeros where nothing was written."""
        room = memoryview(buffer).cast("B")
        found = os.pread(self._descriptor, len(room), self._place)
        room[:] = found.ljust(len(room), b"\0")
        self._place += len(room)
        return len(room)

    def truncate(self, size: int | None = None, /) -> int:
        """Set the size."""
        self._size = self._place if size is None else size
        try:
            if self._error is None:
                os.ftruncate(self._descriptor, self._size)
        except OSError as error:
            self._error = error
        return self._size

    def readable(self) -> bool:
        """Return True."""
        return True

    def writable(self) -> bool:
        """Return True."""
        return True

    def seekable(self) -> bool:
        """Return True."""
        return True


def _flush(descriptor: int, first: int, end: int) -> None:
    """Bring a part of a file to the disk, and let go of the memory that it takes."""
    # macOS has neither of the two.
    getattr(os, "fdatasync", os.fsync)(descriptor)
    if hasattr(os, "posix_fadvise"):
        os.posix_fadvise(descriptor, first, end - first, os.POSIX_FADV_DONTNEED)
