"""Groups, attributes and arrays of a new HDF5 file, through h5py's low-level interface.

Its high-level interface is slower by half for the hundreds of small objects that a file of results
is made of.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import cache
from itertools import product
from typing import Any, Protocol

import h5py
import numpy as np
import numpy.typing as npt

Numbers = npt.NDArray[Any]

_CHUNK_BYTES = 2**20
"""Largest chunk: what HDF5 reads at once, and what it caches by default."""

_GZIP_LEVEL = 1
"""Higher levels gain under 2 % on shuffled moments and counts and take up to twice as long."""


class WriteStopped(Exception):  # noqa: N818 - a request, not an error
    """A file was abandoned before its end on request."""


class _Described(Protocol):
    """Description of an array: the names of its dimensions, a meaning and a unit."""

    @property
    def dims(self) -> tuple[str, ...]: ...
    @property
    def long_name(self) -> str: ...
    @property
    def units(self) -> str: ...


class Stacked:
    """Arrays of one shape as one array, of which only the part that is needed is formed.

    `parts` have the same shape and type, and there is at least one.
    """

    def __init__(self, parts: Sequence[Numbers]) -> None:
        self._parts = parts
        self.shape = (len(parts), *parts[0].shape)
        self.ndim = len(self.shape)
        self.dtype = parts[0].dtype

    def __getitem__(self, where: tuple[slice, ...]) -> Numbers:
        return np.stack([part[where[1:]] for part in self._parts[where[0]]])


class Writer:
    """Writer of groups, attributes and arrays; it finds the scales of an array's dimensions.

    Parameters
    ----------
    file
        HDF5's identifier of the file.
    check
        Raises the error of the file under HDF5, if there was one.
    stopping
        Asked before every chunk; True abandons the file.
    """

    def __init__(self, file: Any, check: Callable[[], None], stopping: Callable[[], bool]) -> None:
        self._file = file
        self._check = check
        self._stopping = stopping
        self._scales: dict[str, Any] = {}
        self._links = h5py.h5p.create(h5py.h5p.LINK_CREATE)
        self._links.set_create_intermediate_group(True)

    def group(self, path: str, attributes: Mapping[str, object]) -> None:
        """Create a group (``"/"`` is there already) and set its attributes."""
        if path == "/":
            group = h5py.h5g.open(self._file, b"/")
        else:
            group = h5py.h5g.create(self._file, path.encode(), self._links)
        _set_attributes(group, attributes)

    def attributes(self, path: str, attributes: Mapping[str, object]) -> None:
        """Add attributes to a group that is there."""
        _set_attributes(h5py.h5g.open(self._file, path.encode()), attributes)

    def array(
        self,
        path: str,
        values: Numbers | Stacked,
        described: _Described,
        *,
        packed: bool = False,
        attributes: Mapping[str, object] | None = None,
    ) -> None:
        """Write an array; one whose only dimension has its own name becomes that dimension's scale.

        `packed` arrays are compressed. `attributes` are added to meaning and unit.

        Raises
        ------
        OSError
            If the file can't be written.
        WriteStopped
            If that was asked for.
        """
        folder, _, name = path.rpartition("/")
        dataset = self._create(path, values, packed=packed)
        self._fill(dataset, values)
        if described.dims == (name,):
            h5py.h5ds.set_scale(dataset, name.encode())
            self._scales[path] = dataset
        else:
            for axis, dim in enumerate(described.dims):
                h5py.h5ds.attach_scale(dataset, self._scale(folder, dim), axis)
        own = {"long_name": described.long_name, "units": described.units}
        _set_attributes(dataset, {**own, **(attributes or {})})
        self._check()

    def _create(self, path: str, values: Numbers | Stacked, *, packed: bool) -> Any:
        """Create a dataset: a single value is compact, an array is chunked with checksums.

        Every chunk is a gzip stream, even of level 0: the Fletcher-32 of zeros is zero, so it does
        not notice where a lost sector or a truncated copy left nothing but zeros.
        """
        layout = h5py.h5p.create(h5py.h5p.DATASET_CREATE)
        layout.set_obj_track_times(False)
        if values.ndim:
            layout.set_chunk(_chunk_shape(values.shape, values.dtype.itemsize))
            if packed:
                layout.set_shuffle()
            layout.set_deflate(_GZIP_LEVEL if packed else 0)
            layout.set_fletcher32()
            space = h5py.h5s.create_simple(values.shape)
        else:
            layout.set_layout(h5py.h5d.COMPACT)
            space = _SCALAR
        kind = h5py.h5t.py_create(values.dtype)
        return h5py.h5d.create(self._file, path.encode(), kind, space, layout, self._links)

    def _fill(self, dataset: Any, values: Numbers | Stacked) -> None:
        """Write the values chunk by chunk: a stop is noticed, and a stacked array never whole."""
        if not values.ndim:
            dataset.write(h5py.h5s.ALL, h5py.h5s.ALL, values)
            return
        chunk = _chunk_shape(values.shape, values.dtype.itemsize)
        steps = zip(values.shape, chunk, strict=True)
        for corner in product(*(range(0, size, step) for size, step in steps)):
            if self._stopping():
                raise WriteStopped
            where = tuple(slice(a, a + n) for a, n in zip(corner, chunk, strict=True))
            block = np.ascontiguousarray(values[where])
            place = dataset.get_space()
            place.select_hyperslab(corner, block.shape)
            dataset.write(h5py.h5s.create_simple(block.shape), place, block)
            self._check()

    def _scale(self, folder: str, dim: str) -> Any:
        """Find the scale of a dimension in the group or the nearest one above it."""
        while folder:
            if (scale := self._scales.get(f"{folder}/{dim}")) is not None:
                return scale
            folder = folder.rpartition("/")[0]
        raise ValueError(f"no scale for the dimension {dim}")


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


def _set_attributes(target: Any, attributes: Mapping[str, object]) -> None:
    for name, value in attributes.items():
        array = np.asarray(value)
        if array.dtype.kind == "U":
            texts = [item.encode(errors="backslashreplace") for item in array.ravel().tolist()]
            dtype, kind = _text_type(max(1, *map(len, texts)) if texts else 1)
            array = np.array(texts, dtype).reshape(array.shape)
        else:
            array = array.astype(np.uint8) if array.dtype.kind == "b" else array
            kind = h5py.h5t.py_create(array.dtype, logical=True)
        space = h5py.h5s.create_simple(array.shape) if array.ndim else _SCALAR
        h5py.h5a.create(target, name.encode(), kind, space).write(array)


@cache
def _text_type(length: int) -> tuple[np.dtype[Any], Any]:
    """Return the types of NumPy and HDF5 of texts of a length in bytes.

    It is fixed, since HDF5 checksums object headers, but not its heap of other strings.
    """
    dtype = h5py.string_dtype("utf-8", length)
    return dtype, h5py.h5t.py_create(dtype, logical=True)


_SCALAR = h5py.h5s.create(h5py.h5s.SCALAR)
