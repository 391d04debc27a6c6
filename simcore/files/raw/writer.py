"""Writes groups, attributes and arrays into a new HDF5 file, through HDF5's own interface.

h5py's is slower by half for the hundreds of small things that a file of results is made of.
"""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Callable, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any, Protocol

import h5py
import numpy as np
import numpy.typing as npt

from simcore.machine.cpus import default_threads

from .chunks import GZIP_LEVEL, Chunking, Packing, Stacked

__all__ = ["WriteStopped", "Writer"]

_ENCODERS = 8
"""Most threads that encode chunks; with more the one that writes them would be the slowest."""

_PENDING = 4
"""Chunks for each of these threads that are on their way; bounds the memory that they need."""

_SMALL_BYTES = 2**16
"""Arrays up to this size are encoded at once, faster than another thread is told of them."""


class WriteStopped(Exception):  # noqa: N818 - a request, not an error
    """A file was given up halfway because that was asked for."""


class Described(Protocol):
    """What is said of an array: the names of its dimensions, a meaning and a unit."""

    @property
    def dims(self) -> tuple[str, ...]: ...
    @property
    def long_name(self) -> str: ...
    @property
    def units(self) -> str: ...


class Writer:
    """Writes groups, attributes and arrays; an array finds the scales of its dimensions itself.

    Parameters
    ----------
    file
        HDF5's identifier of the file.
    check
        Raises what the file under HDF5 could not do.
    stopping
        Asked before every chunk; True gives the writing up.
    """

    def __init__(self, file: Any, check: Callable[[], None], stopping: Callable[[], bool]) -> None:
        self._file = file
        self._check = check
        self._stopping = stopping
        threads = min(default_threads(), _ENCODERS)
        self._encoders = ThreadPoolExecutor(threads)
        self._room = _PENDING * threads
        self._pending: deque[tuple[Any, tuple[int, ...], Future[bytearray]]] = deque()
        self._scales: dict[str, Any] = {}
        self._links = h5py.h5p.create(h5py.h5p.LINK_CREATE)
        self._links.set_create_intermediate_group(True)

    def close(self) -> None:
        """Let the threads go; what is on its way is given up."""
        self._encoders.shutdown(cancel_futures=True)

    def group(self, path: str, attributes: Mapping[str, object]) -> None:
        """Create a group (``"/"`` is there already) and set its attributes."""
        if path == "/":
            group = h5py.h5g.open(self._file, b"/")
        else:
            group = h5py.h5g.create(self._file, path.encode(), self._links)
        _set_attributes(group, attributes)

    def array(
        self,
        path: str,
        values: npt.NDArray[Any] | Stacked,
        described: Described,
        *,
        packing: Packing = Packing.NONE,
    ) -> None:
        """Write an array; one whose only dimension has its own name becomes that dimension's scale.

        Parameters
        ----------
        path
            The dataset.
        values
            Its values, which must not be changed any more.
        described
            Its dimensions and meaning.
        packing
            How it is packed where that is worth it.

        Raises
        ------
        OSError
            If the file can't be written.
        WriteStopped
            If that was asked for.
        """
        folder, _, name = path.rpartition("/")
        if isinstance(values, Stacked) or values.ndim:
            dataset = self._chunked(path, values, packing)
        else:
            dataset = self._one(path, values)
        if described.dims == (name,):
            h5py.h5ds.set_scale(dataset, name.encode())
            self._scales[path] = dataset
        else:
            for axis, dim in enumerate(described.dims):
                h5py.h5ds.attach_scale(dataset, self._scale(folder, dim), axis)
        _set_attributes(dataset, {"long_name": described.long_name, "units": described.units})
        self._check()

    def flush(self) -> None:
        """Write all chunks that are on their way.

        Raises
        ------
        OSError, WriteStopped
            As for `array`.
        """
        self._write_pending(0)

    def _one(self, path: str, value: npt.NDArray[Any]) -> Any:
        """Write a single value as a compact dataset."""
        layout = h5py.h5p.create(h5py.h5p.DATASET_CREATE)
        layout.set_layout(h5py.h5d.COMPACT)
        dataset = self._create(path, value.dtype, h5py.h5s.create(h5py.h5s.SCALAR), layout)
        dataset.write(h5py.h5s.ALL, h5py.h5s.ALL, value)
        return dataset

    def _chunked(self, path: str, values: npt.NDArray[Any] | Stacked, packing: Packing) -> Any:
        """Create a dataset, and hand its chunks to the threads that encode them."""
        chunking = Chunking(values, packing)
        layout = h5py.h5p.create(h5py.h5p.DATASET_CREATE)
        layout.set_chunk(chunking.shape)
        if chunking.packing is not Packing.NONE:
            layout.set_shuffle()
        layout.set_deflate(GZIP_LEVEL)
        layout.set_fletcher32()
        space = h5py.h5s.create_simple(values.shape)
        dataset = self._create(path, values.dtype, space, layout)
        small = math.prod(values.shape) * values.dtype.itemsize <= _SMALL_BYTES
        for corner in chunking.corners:
            if small:
                self._write(dataset, corner, chunking.encoded(corner))
                continue
            encoded = self._encoders.submit(chunking.encoded, corner)
            self._pending.append((dataset, corner, encoded))
            self._write_pending(self._room)
        return dataset

    def _create(self, path: str, dtype: np.dtype[Any], space: Any, layout: Any) -> Any:
        layout.set_obj_track_times(False)
        kind = h5py.h5t.py_create(dtype)
        return h5py.h5d.create(self._file, path.encode(), kind, space, layout, self._links)

    def pause(self) -> None:
        """Raise WriteStopped if that was asked for."""
        if self._stopping():
            raise WriteStopped

    def _write_pending(self, room: int) -> None:
        """Write the first chunks, until so many are left."""
        while len(self._pending) > room:
            dataset, corner, encoded = self._pending.popleft()
            self._write(dataset, corner, encoded.result())

    def _write(self, dataset: Any, corner: tuple[int, ...], encoded: bytearray) -> None:
        self.pause()
        dataset.write_direct_chunk(corner, encoded)
        self._check()

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
        dtype = array.dtype
        if dtype.kind == "U":
            # Of fixed length: HDF5 checksums object headers, but not its heap of other strings.
            texts = [item.encode() for item in array.ravel().tolist()]
            dtype = h5py.string_dtype("utf-8", max(1, *map(len, texts)) if texts else 1)
            array = np.array(texts, dtype).reshape(array.shape)
        elif dtype.kind == "b":
            array = array.astype(np.uint8)
        space = h5py.h5s.create_simple(array.shape) if array.ndim else _SCALAR
        kind = h5py.h5t.py_create(array.dtype if dtype.kind == "b" else dtype, logical=True)
        h5py.h5a.create(target, name.encode(), kind, space).write(array)


_SCALAR = h5py.h5s.create(h5py.h5s.SCALAR)
