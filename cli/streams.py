"""Standard output and standard error that cannot end a run: closed, full, or without a reader."""

from __future__ import annotations

import io
import os
import sys
from typing import Any, TextIO

GONE = "standard output could not be written"


class _Lasting(io.FileIO):
    """A descriptor to write to. What it does not take is dropped, and the reason kept."""

    failure: OSError | None = None

    def write(self, data: Any, /) -> int:
        """Write; return the number of bytes that need not be written any more."""
        size = memoryview(data).nbytes
        if self.failure is not None:
            return size
        try:
            # None: the descriptor does not block, and its reader is behind.
            return super().write(data) or size
        except OSError as error:
            self.failure = error
            return size


def protect() -> None:
    """Give this process streams that never raise, and a place for those that are closed.

    A run is worth more than the lines about it. Other commands ask `lost_output` at their end.
    """
    for descriptor in (0, 1, 2):
        try:
            os.fstat(descriptor)
        except OSError:
            # A file of results must not become descriptor 2, where libraries write.
            os.open(os.devnull, os.O_RDWR)
    if sys.stdout is sys.__stdout__:
        sys.stdout = _lasting(sys.stdout, 1)
    if sys.stderr is sys.__stderr__:
        sys.stderr = _lasting(sys.stderr, 2)


def _lasting(stream: TextIO | None, descriptor: int) -> TextIO:
    raw = _Lasting(descriptor, "w", closefd=False)
    if not isinstance(stream, io.TextIOWrapper):
        return io.TextIOWrapper(io.BufferedWriter(raw), "utf-8", "backslashreplace")
    return io.TextIOWrapper(
        io.BufferedWriter(raw),
        stream.encoding,
        stream.errors,
        line_buffering=stream.line_buffering,
        write_through=stream.write_through,
    )


def lost_output() -> str:
    """Return why standard output was not written whole; "" if it was, or its reader left."""
    if not isinstance(sys.stdout, io.TextIOWrapper):
        return ""
    sys.stdout.flush()
    raw = getattr(sys.stdout.buffer, "raw", None)
    failure = raw.failure if isinstance(raw, _Lasting) else None
    if failure is None or isinstance(failure, BrokenPipeError):
        return ""
    return f"{GONE} ({failure.strerror})"
