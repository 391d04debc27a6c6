"""Chunks of arrays as HDF5 stores them: cut out, shuffled and deflated, with their checksum.

HDF5 does the same, in one thread and with a Fletcher-32 of a quarter of a gigabyte a second, over
ten times slower.

Each chunk is a zlib stream, even where nothing is packed: the Fletcher-32 of zeros is zero, so that
it does not notice where a lost sector or a copy that was cut off left nothing but zeros.
"""

from __future__ import annotations

import math
import struct
import zlib
from collections.abc import Sequence
from enum import Enum
from functools import lru_cache
from itertools import product
from typing import Any

import numpy as np
import numpy.typing as npt

from .checksums import adler32, fletcher32

__all__ = ["GZIP_LEVEL", "Chunking", "Packing", "Stacked"]

Numbers = npt.NDArray[Any]
Bytes = npt.NDArray[np.uint8]
Part = bytes | memoryview

_CHUNK_BYTES = 2**20
"""Largest chunk: what HDF5 reads at once, and what it caches by default."""

GZIP_LEVEL = 1
"""Higher levels gain under 2 % on shuffled moments and counts and take up to twice as long."""

_SAMPLES, _SAMPLE_SIZE = 8, 128
"""Runs of values, evenly spread, that tell how an array shrinks, and how long they are."""

_CHANGES = 8
"""Bytes of a plane that changes less than once in so many are deflated faster than written."""

_STORED_BYTES = 2**16 - 1
"""Most bytes of a part of a deflate stream that are stored as they are."""

_SUM_BYTES = 4


class Packing(Enum):
    """How chunks are packed, and below which share of its size a sample has to shrink for that."""

    NONE = 0.0
    QUICK = 0.6
    """Faster than writing: bytes that do not change, as in counts and constants, are left out."""
    SMALL = 0.8


class Stacked:
    """Arrays of one shape as one array, put together only where a part of it is asked for.

    Parameters
    ----------
    parts
        Arrays of the same shape and type, at least one.
    """

    def __init__(self, parts: Sequence[Numbers]) -> None:
        self._parts = parts
        self.shape = (len(parts), *parts[0].shape)
        self.dtype = parts[0].dtype

    def __getitem__(self, where: tuple[slice, ...]) -> Numbers:
        return np.stack([part[where[1:]] for part in self._parts[where[0]]])


class Chunking:
    """An array cut into chunks, each of which can be encoded apart, in any thread.

    Parameters
    ----------
    values
        The array, not a scalar.
    packing
        How its chunks are packed if that is worth it.
    """

    def __init__(self, values: Numbers | Stacked, packing: Packing) -> None:
        self.shape = _chunk_shape(values.shape, values.dtype.itemsize)
        self._values = values
        steps = zip(values.shape, self.shape, strict=True)
        self.corners = list(product(*(range(0, size, step) for size, step in steps)))
        self.packing = packing if self._shrinks(packing) else Packing.NONE

    def _shrinks(self, packing: Packing) -> bool:
        """Whether a sample shrinks enough."""
        if packing is Packing.NONE:
            return False
        pieces = []
        rows = -(-_SAMPLE_SIZE // math.prod(self.shape[1:]))
        for i in range(_SAMPLES):
            first, *rest = self.corners[i * len(self.corners) // _SAMPLES]
            first += i * self.shape[0] // _SAMPLES
            first = min(first, max(0, self._values.shape[0] - rows))
            block = self._block((first, *rest), (rows, *self.shape[1:]))
            start = i * block.size // _SAMPLES
            pieces.append(block.flat[start : start + _SAMPLE_SIZE])
        sample = np.concatenate(pieces)
        return sum(map(len, _deflated(sample, packing))) < float(packing.value) * sample.nbytes

    def _block(self, corner: tuple[int, ...], shape: tuple[int, ...]) -> Numbers:
        return self._values[tuple(slice(a, a + n) for a, n in zip(corner, shape, strict=True))]

    def encoded(self, corner: tuple[int, ...]) -> bytearray:
        """Return one chunk as it lies in a file, filled up with zeros beyond the array's edge."""
        block = self._block(corner, self.shape)
        if block.shape != self.shape:
            full = np.zeros(self.shape, dtype=block.dtype)
            full[tuple(slice(n) for n in block.shape)] = block
            block = full
        raw = bytearray().join([*_deflated(block, self.packing), bytes(_SUM_BYTES)])
        size = len(raw) - _SUM_BYTES
        # An odd byte is summed with a zero, and the next byte still is one.
        checksum = fletcher32(memoryview(raw)[: size + size % 2])
        raw[size:] = checksum.to_bytes(_SUM_BYTES, "little")
        return raw


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


# --- HDF5's filters shuffle and deflate ----------------------------------------------------------


def _deflated(block: Numbers, packing: Packing) -> list[Part]:
    """Return a zlib stream, of shuffled bytes (the first ones of all values, then the second)."""
    block = np.ascontiguousarray(block)
    if packing is Packing.NONE:
        raw = block.reshape(-1).view(np.uint8).data
        return _stream(_stored(raw), adler32(raw))
    if packing is Packing.QUICK:
        words = block.reshape(-1).view(f"u{block.itemsize}")
        if words[0] == words[-1] and (words == words[0]).all():
            return [_deflated_constant(words[0].tobytes(), words.size)]
    planes = np.ascontiguousarray(block.reshape(-1).view(np.uint8).reshape(-1, block.itemsize).T)
    if packing is Packing.QUICK:
        parts = [part for plane in planes for part in _quick_parts(plane)]
        return _stream(parts, adler32(planes.reshape(-1).data))
    # Counts are runs of equal bytes, between which longer repetitions are searched in vain.
    strategy = zlib.Z_RLE if block.dtype.kind == "u" else zlib.Z_DEFAULT_STRATEGY
    stream = zlib.compressobj(GZIP_LEVEL, strategy=strategy)
    return [stream.compress(planes.data), stream.flush()]


@lru_cache(64)
def _deflated_constant(value: bytes, size: int) -> bytes:
    planes = [bytes([byte]) * size for byte in value]
    parts = [_part(plane) for plane in planes]
    return b"".join(_stream(parts, adler32(b"".join(planes))))


def _stream(parts: Sequence[Part], adler: int) -> list[Part]:
    """Make a zlib stream of parts of a raw deflate stream: a header, an end and the checksum."""
    return [b"\x78\x01", *parts, b"\x03\x00", adler.to_bytes(4, "big")]


def _quick_parts(plane: Bytes) -> list[Part]:
    """Return a plane as parts of a raw deflate stream, packed only where that is fast."""
    if plane.min() == plane.max():
        return [_constant_part(int(plane[0]), plane.size)]
    changes = np.count_nonzero(plane[1:] != plane[:-1])
    if _CHANGES * changes < plane.size:
        return [_part(plane.data)]
    return _stored(plane.data)


@lru_cache(64)
def _constant_part(byte: int, size: int) -> bytes:
    return _part(bytes([byte]) * size)


def _part(raw: bytes | memoryview) -> bytes:
    """Deflate on its own, up to a whole byte and without an end, so that others may follow."""
    stream = zlib.compressobj(GZIP_LEVEL, wbits=-zlib.MAX_WBITS, strategy=zlib.Z_RLE)
    return stream.compress(raw) + stream.flush(zlib.Z_FULL_FLUSH)


def _stored(raw: memoryview) -> list[Part]:
    """Return bytes as they are as parts of a raw deflate stream: each has its length before it."""
    parts: list[Part] = []
    for first in range(0, len(raw), _STORED_BYTES):
        part = raw[first : first + _STORED_BYTES]
        length = len(part)
        parts += [struct.pack("<BHH", 0, length, length ^ 0xFFFF), part]
    return parts
