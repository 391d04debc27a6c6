"""A CUDA device as the drivers see it: memory, copies and launches."""

from __future__ import annotations

import math
from collections.abc import Mapping
from functools import cached_property
from itertools import accumulate
from operator import mul
from typing import Any

import numpy as np
import numpy.typing as npt

ALIGNED = 256
"""Bytes; every array that shares memory with others begins at a multiple of them."""


_COMPILED: dict[Any, Any] = {}
"""Kernels by their functions and the types of their arguments."""


class Device:
    """The current CUDA device, through Numba.

    Its arrays have a shape and can be sliced, as NumPy's. Tests have a device whose memory is the
    host's.
    """

    def __init__(self) -> None:
        from numba import cuda
        from numba.cuda.cudadrv import driver

        self._cuda: Any = cuda
        self._driver: Any = driver

    @cached_property
    def _stream(self) -> Any:
        """The default stream."""
        return self._driver._to_core_stream(0)

    def put(self, array: npt.NDArray[Any]) -> Any:
        """Return a copy of an array on the device."""
        return self._cuda.to_device(array)

    def room(self, shape: tuple[int, ...], kind: npt.DTypeLike = np.float64) -> Any:
        """Return an array on the device, not initialised."""
        return self._cuda.device_array(shape, kind)

    def get(self, array: Any, into: npt.NDArray[Any]) -> None:
        """Copy from the device to an array, after all launches before."""
        array.copy_to_host(into)

    def view(
        self, memory: Any, offset: int, shape: tuple[int, ...], kind: npt.DTypeLike = np.float64
    ) -> Any:
        """Return an array in the memory of another, contiguous one, from a byte of it on."""
        kind = np.dtype(kind)
        strides = tuple(accumulate((kind.itemsize, *shape[:0:-1]), mul))[::-1] if shape else ()
        size = kind.itemsize * math.prod(shape)
        there = memory.gpu_data.view(offset, offset + size) if size else None
        return type(memory)(shape, strides, kind, gpu_data=there)

    def send(self, array: npt.NDArray[np.uint8], to: Any, begin: int = 0) -> None:
        """Copy bytes to memory on the device, from a byte of it on."""
        # Numba's own `copy_to_device` takes ten times as long for its checks.
        if array.size:
            there = to.gpu_data.view(begin, begin + array.size)
            self._driver.host_to_device(there, array, array.size)

    def launch(self, kernel: Any, blocks: int, threads: int, *arguments: Any) -> None:
        """Start a kernel of `cuda.jit` after those before; may return before it ends."""
        # Numba's own way of calling finds the types of all arguments anew, in twice the time of
        # all the rest, and warns of few blocks, but a run may have no more trials.
        key = kernel, _kinds(arguments)
        compiled = _COMPILED.get(key)
        if compiled is None:
            types = tuple(kernel.typeof_pyval(argument) for argument in arguments)
            compiled = _COMPILED[key] = kernel.compile(types)
        compiled.launch(arguments, (blocks, 1, 1), (threads, 1, 1), self._stream)

    def free_bytes(self) -> int:
        """Return the free memory of the device, in bytes."""
        return int(self._cuda.current_context().get_memory_info().free)

    def multiprocessors(self) -> int:
        """Return the number of multiprocessors."""
        return int(self._cuda.get_current_device().MULTIPROCESSOR_COUNT)


def _kinds(arguments: tuple[Any, ...]) -> tuple[Any, ...]:
    """Return what decides the types of a kernel's arguments."""
    return tuple(
        (type(each), *_kinds(each))
        if isinstance(each, tuple)
        else (each.dtype, each.ndim, each.flags["C_CONTIGUOUS"])
        if hasattr(each, "ndim")
        else type(each)
        for each in arguments
    )


Shapes = Mapping[str, tuple[tuple[int, ...], Any]]
"""Shape and type of arrays, by name."""


class Pack:
    """Arrays one behind the other, so that one copy takes them to a device, or from it.

    `begins` has the first byte of each, `bytes` is the size of all.
    """

    def __init__(self, shapes: Shapes) -> None:
        self.shapes, self.begins, self.bytes = shapes, dict[str, int](), 0
        for name, (shape, kind) in shapes.items():
            self.begins[name] = self.bytes
            size = math.prod(shape) * np.dtype(kind).itemsize
            self.bytes += -(-size // ALIGNED) * ALIGNED

    @classmethod
    def of(cls, arrays: Mapping[str, npt.NDArray[Any]]) -> tuple[Pack, npt.NDArray[np.uint8]]:
        """Return the place of arrays, and their bytes."""
        pack = cls({name: (array.shape, array.dtype) for name, array in arrays.items()})
        memory = np.empty(pack.bytes, np.uint8)
        for name, array in pack.here(memory).items():
            array[...] = arrays[name]
        return pack, memory

    def here(self, memory: npt.NDArray[np.uint8], first: int = 0) -> dict[str, npt.NDArray[Any]]:
        """Return the arrays that lie in the bytes of `memory`, the first of which is `first`."""
        found = {}
        for name, (shape, kind) in self.shapes.items():
            begin = self.begins[name] - first
            end = begin + math.prod(shape) * np.dtype(kind).itemsize
            if begin >= 0 and end <= memory.size:
                found[name] = memory[begin:end].view(kind).reshape(shape)
        return found

    def there(self, device: Device, memory: Any) -> dict[str, Any]:
        """Return the arrays in memory of the device."""
        places = self.begins.values()
        named = zip(self.shapes.items(), places, strict=True)
        return {name: device.view(memory, at, *like) for (name, like), at in named}


def put_all(device: Device, **arrays: npt.NDArray[Any]) -> dict[str, Any]:
    """Return copies of arrays on the device, by one copy."""
    pack, memory = Pack.of(arrays)
    there = device.room((pack.bytes,), np.uint8)
    device.send(memory, there)
    return pack.there(device, there)


class Rooms:
    """Memory on a device by name, which is used again while it is large enough.

    `bytes` is its size.
    """

    def __init__(self, device: Device) -> None:
        self._device = device
        self._held: dict[str, Any] = {}

    @property
    def bytes(self) -> int:
        """Bytes of all memory."""
        return sum(int(memory.size) for memory in self._held.values())

    def memory(self, name: str, size: int) -> Any:
        """Return so many bytes or more, not initialised; what was there stays where it fits."""
        held = self._held.get(name)
        if held is None or held.size < size:
            self._held.pop(name, None)
            held = None  # its memory may be needed for the new one
            held = self._held[name] = self._device.room((max(size, ALIGNED),), np.uint8)
        return held

    def get(self, name: str, shape: tuple[int, ...], kind: npt.DTypeLike = np.float64) -> Any:
        """Return an array in the memory of a name."""
        size = math.prod(shape) * np.dtype(kind).itemsize
        return self._device.view(self.memory(name, size), 0, shape, kind)
