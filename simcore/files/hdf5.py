"""HDF5 as it is written and read here: atomic, checksummed, at home in netCDF and NeXus tools.

Every array is chunked and carries a Fletcher-32 checksum; single values are compact datasets, and
attributes strings of fixed length, because both then lie in object headers, which HDF5 checksums
(its heap of variable-length strings it does not).
"""

from __future__ import annotations

import errno
import io
import math
import os
import stat
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import IO, Any

import h5py
import numpy as np
import numpy.typing as npt

from simcore.errors import FileFormatError, OutputError, SimcoreError

from .lock import protected
from .sink import Sink
from .writer import Writer, WriteStopped

__all__ = [
    "SIGNATURE",
    "WriteStopped",
    "Writer",
    "check_ordinary",
    "check_signature",
    "read_array",
    "reading",
    "replacing",
    "text",
    "translated",
    "unreadable",
]

SIGNATURE = b"\x89HDF\r\n\x1a\n"
"""First bytes of an HDF5 file."""

_DAMAGE = (
    OSError,
    RuntimeError,
    KeyError,
    ValueError,
    TypeError,
    AttributeError,
    IndexError,
    OverflowError,
    MemoryError,
)
"""Exceptions that h5py raises on damaged files."""


class LeftOpenError(FileFormatError):
    """A file that another program has open for writing, or had when it died."""


# --- writing -------------------------------------------------------------------------------------


@contextmanager
def replacing(
    path: str | os.PathLike[str], stopping: Callable[[], bool] | None = None
) -> Iterator[Writer]:
    """Write a whole new file beside `path`, and put it there in one step at the end.

    The new file is NAME.part until it is on the disk. Whatever fails, an earlier file at `path`
    stays as it was and NAME.part is removed.

    `stopping` is asked before every chunk; True abandons the file.

    Raises
    ------
    OutputError
        If the file can't be written: disk full, no permission, folder missing.
    WriteStopped
        If `stopping` said so.
    """
    try:
        final = Path(os.path.realpath(path))
        part = final.with_name(final.name + ".part")
        if protected(final):
            text = f"{os.fspath(path)} is read-only. Make it writable, or choose another file."
            raise OutputError(text)
        descriptor = os.open(part, os.O_RDWR | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o666)
        try:
            yield from _fill(descriptor, stopping or (lambda: False))
            part.replace(final)
        except BaseException:
            with suppress(OSError):
                part.unlink()
            raise
    except OSError as error:
        if isinstance(error, SimcoreError):
            raise
        raise OutputError(_explain(path, error)) from error
    # The new file is in place; some network file systems refuse to flush a folder.
    with suppress(OSError):
        _flush_folder(final.parent)


def _fill(descriptor: int, stopping: Callable[[], bool]) -> Iterator[Writer]:
    """Yield a writer on an open file; flush the file to the disk and close it."""
    try:
        sink = Sink(descriptor)
        try:
            with h5py.File(sink, "w", libver=("v110", "v110")) as file:
                yield Writer(file.id, sink.check, stopping)
        finally:
            # What HDF5 raises after a failed write only hides the reason.
            sink.check()
        if stopping():
            raise WriteStopped
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _flush_folder(folder: Path) -> None:
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


_REMEDIES = {
    errno.ENOENT: "Create the folder, or choose another",
    errno.ENOTDIR: "Choose another folder",
    errno.EISDIR: "Name a file, not a folder",
    errno.EACCES: "Choose a folder that you may write to",
    errno.EPERM: "Choose a folder that you may write to",
    errno.EROFS: "Choose a folder that you may write to",
}


def _explain(path: str | os.PathLike[str], error: OSError) -> str:
    reason = error.strerror or " ".join(str(error).split())
    remedy = _REMEDIES.get(error.errno or 0, "Free space, or choose another folder")
    return (
        f"{os.fspath(path)} could not be written: {reason}. {remedy}; "
        "an earlier file of that name is untouched."
    )


# --- reading -------------------------------------------------------------------------------------


@contextmanager
def reading(path: str | os.PathLike[str]) -> Iterator[Any]:
    """Open a file to read; every error about it becomes a FileFormatError.

    Files are replaced whole, never changed, so none is locked: read-only folders are fine.

    Raises
    ------
    FileFormatError
        If there is no such file, or it is foreign or damaged.
    """
    check_ordinary(path)
    try:
        with Path(path).open("rb") as raw:
            check_signature(path, raw)
    except OSError as error:
        raise unreadable(path, error) from error
    with translated(path), h5py.File(path, "r", locking=False) as file:
        yield file


def check_ordinary(path: str | os.PathLike[str]) -> os.stat_result:
    """Return the status of an ordinary file; FileFormatError for a folder, a pipe, a device.

    A pipe that nobody writes to would be waited for, for ever.
    """
    try:
        status = Path(path).stat()
    except FileNotFoundError as error:
        remedy = "Name a file that simulate wrote."
        raise FileFormatError("file", os.fspath(path), "does not exist", remedy) from error
    except (OSError, ValueError) as error:
        raise unreadable(path, error) from error
    if not stat.S_ISREG(status.st_mode):
        folder = stat.S_ISDIR(status.st_mode)
        rule = "is a folder, not a run" if folder else "is a pipe or a device"
        raise FileFormatError("file", os.fspath(path), rule, "Name a file that simulate wrote.")
    return status


def unreadable(path: str | os.PathLike[str], error: OSError | ValueError) -> FileFormatError:
    """Return the error of a file that the system does not give."""
    rule = f"can't be read ({getattr(error, 'strerror', None) or error})"
    return FileFormatError("file", os.fspath(path), rule, "Check the name and the permissions.")


def check_signature(path: str | os.PathLike[str], raw: IO[bytes] | io.RawIOBase) -> None:
    """Raise FileFormatError unless an open file begins as HDF5 does."""
    try:
        head = raw.read(len(SIGNATURE))
    except OSError as error:
        raise unreadable(path, error) from error
    if head != SIGNATURE:
        remedy = "Give a file that simulate wrote."
        raise FileFormatError("file", os.fspath(path), "is not an HDF5 file", remedy)


@contextmanager
def translated(path: str | os.PathLike[str]) -> Iterator[None]:
    """Turn every exception of h5py about a damaged file into a FileFormatError."""
    try:
        yield
    except SimcoreError:
        raise
    except _DAMAGE as error:
        reason = " ".join(str(error).split()) or type(error).__name__
        if "already open for" in reason:
            rule = "is open for writing in another program, or was left open by one that died"
            remedy = f"Close it there. If nothing has it open: h5clear -s {os.fspath(path)}"
            raise LeftOpenError("file", os.fspath(path), rule, remedy) from error
        rule = f"is damaged ({reason})"
        remedy = "Take a copy of it, or simulate again."
        raise FileFormatError("file", os.fspath(path), rule, remedy) from error


def read_array(file: Any, path: str, shape: Sequence[int], dtype: str) -> npt.NDArray[Any]:
    """Read an array that must have this shape and type.

    Raises
    ------
    KeyError, OSError, ValueError
        If it is missing, damaged or has another shape or type.
    """
    dataset = h5py.h5d.open(file.id, path.encode())
    if dataset.shape != tuple(shape) or dataset.dtype != np.dtype(dtype):
        found = f"{dataset.dtype}{list(dataset.shape)}"
        raise ValueError(f"{path} is {found}, not {np.dtype(dtype)}{list(shape)}")
    values: npt.NDArray[Any] = np.empty(shape, dtype=dtype)
    if math.prod(shape):
        dataset.read(h5py.h5s.ALL, h5py.h5s.ALL, values)
    return values


def text(value: object) -> str:
    """Return a string attribute as str, whichever of HDF5's kinds of string it has."""
    if isinstance(value, bytes):
        return value.decode()
    if not isinstance(value, str):
        raise ValueError(f"{value!r} is not text")
    return value
