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
import zlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from itertools import product
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import numpy.typing as npt

from .errors import FileFormatError, OutputError, SimcoreError
from .fletcher import fletcher32
from .schema import Array

__all__ = ["SIGNATURE", "WriteStopped", "Writer", "read_array", "reading", "replacing", "text"]

Bytes = bytes | bytearray | memoryview

SIGNATURE = b"\x89HDF\r\n\x1a\n"
"""First bytes of an HDF5 file."""

_CHUNK_BYTES = 2**20
"""Largest chunk: what HDF5 reads at once, and what it caches by default."""

_GZIP_LEVEL = 1
"""Higher levels gain under 2 % on shuffled moments and counts and take up to twice as long."""

_WORTH = 0.8
"""Arrays are compressed where a sample shrinks below this share."""

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
"""What h5py raises, by and by, on damaged files."""


# --- writing -------------------------------------------------------------------------------------


class WriteStopped(Exception):  # noqa: N818 - a request, not an error
    """A file was given up halfway because that was asked for."""


@contextmanager
def replacing(
    path: str | os.PathLike[str], stopping: Callable[[], bool] | None = None
) -> Iterator[Writer]:
    """Write a whole new file beside `path`, and put it there in one step at the end.

    The new file is NAME.part until it is on the disk. Whatever fails, an earlier file at `path`
    stays as it was and NAME.part is removed.

    Parameters
    ----------
    path
        The file.
    stopping
        Asked before every chunk; True gives the writing up.

    Raises
    ------
    OutputError
        If the file can't be written: disk full, no permission, folder missing.
    WriteStopped
        If `stopping` said so.
    """
    try:
        final = Path(path).resolve()
        part = final.with_name(final.name + ".part")
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
    sink = _Sink(descriptor)
    try:
        try:
            with h5py.File(sink, "w", libver=("v110", "v110")) as file:
                yield Writer(file, sink, stopping)
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


class _Sink(io.RawIOBase):
    """The file under HDF5: after a failed write it pretends to go on.

    HDF5 can't close a file whose writes fail, and keeps its descriptor until the process ends.
    """

    def __init__(self, descriptor: int) -> None:
        super().__init__()
        self._descriptor = descriptor
        self._place = 0
        self._size = 0
        self._error: OSError | KeyboardInterrupt | None = None

    def check(self) -> None:
        """Raise what stopped the writing, if anything did."""
        if self._error is not None:
            raise self._error

    def seek(self, offset: int, whence: int = os.SEEK_SET, /) -> int:
        start = {os.SEEK_SET: 0, os.SEEK_CUR: self._place, os.SEEK_END: self._size}[whence]
        self._place = start + offset
        return self._place

    def tell(self) -> int:
        return self._place

    def write(self, data: Any, /) -> int:
        rest = memoryview(data).cast("B")
        end = self._place + len(rest)
        try:
            while len(rest) and self._error is None:
                written = os.pwrite(self._descriptor, rest, end - len(rest))
                rest = rest[written:]
        except (OSError, KeyboardInterrupt) as error:
            self._error = error
        written = end - self._place
        self._place = end
        self._size = max(self._size, end)
        return written

    def readinto(self, buffer: Any, /) -> int:
        room = memoryview(buffer).cast("B")
        found = os.pread(self._descriptor, len(room), self._place)
        room[:] = found.ljust(len(room), b"\0")
        self._place += len(room)
        return len(room)

    def truncate(self, size: int | None = None, /) -> int:
        self._size = self._place if size is None else size
        try:
            if self._error is None:
                os.ftruncate(self._descriptor, self._size)
        except OSError as error:
            self._error = error
        return self._size

    def readable(self) -> bool:
        return True

    def writable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True


class Writer:
    """Writes groups, attributes and arrays; an array finds the scales of its dimensions itself."""

    def __init__(self, file: Any, sink: _Sink, stopping: Callable[[], bool]) -> None:
        self._file = file
        self._sink = sink
        self._stopping = stopping
        self._scales: dict[str, Any] = {}

    def group(self, path: str, attributes: Mapping[str, object]) -> None:
        """Create a group (``"/"`` is there already) and set its attributes."""
        _set_attributes(self._file.require_group(path), attributes)

    def array(self, path: str, array: Array, *, compress: bool = False) -> None:
        """Write an array; one whose only dimension has its own name becomes that dimension's scale.

        Raises
        ------
        OSError
            If the file can't be written.
        WriteStopped
            If that was asked for.
        """
        folder, _, name = path.rpartition("/")
        values = np.asarray(array.values, order="C")
        if values.ndim:
            dataset = self._chunked(path, values, compress=compress)
        else:
            dataset = _write_scalar(self._file, path, values)
        if array.dims == (name,):
            dataset.make_scale(name)
            self._scales[path] = dataset
        else:
            for axis, dim in enumerate(array.dims):
                dataset.dims[axis].attach_scale(self._scale(folder, dim))
        _set_attributes(dataset, {"long_name": array.long_name, "units": array.units})
        self._sink.check()

    def _chunked(self, path: str, values: npt.NDArray[Any], *, compress: bool) -> Any:
        """Create a dataset and write its chunks, encoded here.

        HDF5's own Fletcher-32 runs at a quarter of a gigabyte a second, over ten times slower.
        """
        chunk = _chunk_shape(values.shape, values.itemsize)
        corners = list(product(*(range(0, n, c) for n, c in zip(values.shape, chunk, strict=True))))
        deflate = compress and _shrinks(_block(values, corners[0], chunk))
        filters = {"compression": "gzip", "compression_opts": _GZIP_LEVEL, "shuffle": True}
        dataset = self._file.create_dataset(
            path,
            shape=values.shape,
            dtype=values.dtype,
            chunks=chunk,
            fletcher32=True,
            track_times=False,
            **(filters if deflate else {}),
        )
        for corner in corners:
            if self._stopping():
                raise WriteStopped
            block = _block(values, corner, chunk)
            raw = zlib.compress(_shuffled(block), _GZIP_LEVEL) if deflate else block.tobytes()
            checksum = fletcher32(raw).to_bytes(4, "little")
            dataset.id.write_direct_chunk(corner, raw + checksum)
        return dataset

    def _scale(self, folder: str, dim: str) -> Any:
        """Find the scale of a dimension in the group or the nearest one above it."""
        while folder:
            if (scale := self._scales.get(f"{folder}/{dim}")) is not None:
                return scale
            folder = folder.rpartition("/")[0]
        raise ValueError(f"no scale for the dimension {dim}")


def _set_attributes(target: Any, attributes: Mapping[str, object]) -> None:
    for name, value in attributes.items():
        array = np.asarray(value)
        if array.dtype.kind == "U":
            encoded = [item.encode() for item in array.ravel().tolist()]
            dtype = h5py.string_dtype("utf-8", max(1, *map(len, encoded)) if encoded else 1)
            target.attrs.create(name, np.array(encoded, dtype).reshape(array.shape), dtype=dtype)
        else:
            array = array.astype(np.uint8) if array.dtype.kind == "b" else array
            target.attrs.create(name, array)


def _write_scalar(file: Any, path: str, value: npt.NDArray[Any]) -> Any:
    """Create a compact dataset, which h5py's own interface can't."""
    layout = h5py.h5p.create(h5py.h5p.DATASET_CREATE)
    layout.set_layout(h5py.h5d.COMPACT)
    layout.set_obj_track_times(False)
    space = h5py.h5s.create(h5py.h5s.SCALAR)
    kind = h5py.h5t.py_create(value.dtype)
    created = h5py.h5d.create(file.id, path.encode(), kind, space, layout)
    created.write(space, space, value)
    return h5py.Dataset(created)


def _chunk_shape(shape: tuple[int, ...], itemsize: int) -> tuple[int, ...]:
    """Whole trailing axes as long as they fit, the axis before them in nearly equal parts."""
    chunk = [1] * len(shape)
    room = _CHUNK_BYTES // itemsize
    for axis in reversed(range(len(shape))):
        parts = -(-shape[axis] // room)
        chunk[axis] = -(-shape[axis] // parts)
        room //= shape[axis]
        if parts > 1 or room == 0:
            break
    return tuple(chunk)


def _block(
    values: npt.NDArray[Any], corner: tuple[int, ...], chunk: tuple[int, ...]
) -> npt.NDArray[Any]:
    """One chunk of an array, filled up with zeros beyond its edge."""
    part = values[tuple(slice(a, a + n) for a, n in zip(corner, chunk, strict=True))]
    if part.shape == chunk:
        return part
    full = np.zeros(chunk, dtype=values.dtype)
    full[tuple(slice(n) for n in part.shape)] = part
    return full


def _shuffled(block: npt.NDArray[Any]) -> bytes:
    """HDF5's shuffle filter: first bytes of all values, then second bytes, ..."""
    raw = np.frombuffer(block.tobytes(), dtype=np.uint8)
    return raw.reshape(-1, block.itemsize).T.tobytes()


def _shrinks(block: npt.NDArray[Any]) -> bool:
    sample = _shuffled(block.ravel()[:8192])
    return len(zlib.compress(sample, _GZIP_LEVEL)) < _WORTH * len(sample)


# --- reading -------------------------------------------------------------------------------------


@contextmanager
def reading(path: str | os.PathLike[str]) -> Iterator[Any]:
    """Open a file to read; whatever goes wrong with it becomes a FileFormatError.

    Files are replaced whole, never changed, so none is locked: read-only folders are fine.

    Raises
    ------
    FileFormatError
        If there is no such file, or it is foreign or damaged.
    """
    shown = os.fspath(path)
    try:
        with Path(path).open("rb") as raw:
            head = raw.read(len(SIGNATURE))
    except OSError as error:
        rule = f"can't be read ({error.strerror})"
        raise FileFormatError("file", shown, rule, "Check the name and the permissions.") from error
    if head != SIGNATURE:
        raise FileFormatError(
            "file", shown, "is not an HDF5 file", "Give a file that simulate wrote."
        )
    try:
        with h5py.File(path, "r", locking=False) as file:
            yield file
    except SimcoreError:
        raise
    except _DAMAGE as error:
        reason = " ".join(str(error).split()) or type(error).__name__
        raise FileFormatError(
            "file", shown, f"is damaged ({reason})", "Take a copy of it, or simulate again."
        ) from error


def read_array(file: Any, path: str, shape: Sequence[int], dtype: str) -> npt.NDArray[Any]:
    """Read an array that must have this shape and type.

    Raises
    ------
    KeyError, OSError, ValueError
        If it is missing, damaged or has another shape or type.
    """
    dataset = file[path]
    if dataset.shape != tuple(shape) or dataset.dtype != np.dtype(dtype):
        found = f"{dataset.dtype}{list(dataset.shape)}"
        raise ValueError(f"{path} is {found}, not {np.dtype(dtype)}{list(shape)}")
    values: npt.NDArray[Any] = np.empty(shape, dtype=dtype)
    if math.prod(shape):
        dataset.read_direct(values)
    return values


def text(value: object) -> str:
    """Return a string attribute as str, whichever of HDF5's kinds of string it has."""
    if isinstance(value, bytes):
        return value.decode()
    if not isinstance(value, str):
        raise ValueError(f"{value!r} is not text")
    return value
