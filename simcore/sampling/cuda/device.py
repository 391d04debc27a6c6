"""A CUDA device as the drivers see it: memory, copies and launches."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Mapping
from functools import cached_property
from itertools import accumulate
from operator import mul
from typing import Any

import numpy as np
import numpy.typing as npt

ALIGNED = 256
"""Bytes; every array that shares memory with others begins at a multiple of them."""


OF_THREAD = 2
"""Handle of the stream of the calling thread. It and the default stream wait for each other."""

_COMPILED: dict[Any, Any] = {}
"""Kernels by their functions and the types of their arguments."""


class DeviceArray:
    """An array in memory of a device, C-contiguous. Numba's own takes ten times as long to make.

    Parameters
    ----------
    memory
        What must live as long: it has the memory.
    address
        Where the array begins.
    shape, dtype
        As of NumPy's arrays.
    """

    __slots__ = ("address", "dtype", "memory", "shape")

    def __init__(self, memory: Any, address: int, shape: tuple[int, ...], dtype: Any) -> None:
        self.memory, self.address, self.shape, self.dtype = memory, address, shape, dtype

    @property
    def size(self) -> int:
        """Number of elements."""
        return math.prod(self.shape)

    @property
    def strides(self) -> tuple[int, ...]:
        """Bytes from one element to the next, by dimension."""
        return tuple(accumulate((self.dtype.itemsize, *self.shape[:0:-1]), mul))[::-1]

    def __getitem__(self, some: slice) -> DeviceArray:
        """Return consecutive elements of the first dimension."""
        begin, end, _ = some.indices(self.shape[0])
        shape = max(0, end - begin), *self.shape[1:]
        return DeviceArray(self.memory, self.address + begin * self.strides[0], shape, self.dtype)

    @property
    def __cuda_array_interface__(self) -> dict[str, Any]:
        """The array for CuPy."""
        data = self.address, False
        return {"shape": self.shape, "typestr": self.dtype.str, "data": data, "version": 3}

    @property
    def _numba_type_(self) -> Any:
        """The type for Numba."""
        from numba.core import types
        from numba.np.numpy_support import from_dtype

        return types.Array(from_dtype(self.dtype), len(self.shape), "C")


class Device:
    """The current CUDA device, through Numba: work of each thread is in a stream of its own.

    Tests have a device whose memory is the host's, with NumPy's arrays.
    """

    def __init__(self) -> None:
        from numba import cuda
        from numba.cuda.cudadrv.driver import driver

        self._cuda: Any = cuda
        self._driver: Any = driver

    @cached_property
    def _stream(self) -> Any:
        """The stream of the thread that launches."""
        from cuda.core import Stream

        return Stream.from_handle(OF_THREAD)

    def put(self, array: npt.NDArray[Any]) -> Any:
        """Return a copy of an array on the device."""
        there = self.room(array.shape, array.dtype)
        self.send(np.ascontiguousarray(array).view(np.uint8).reshape(-1), there)
        return there

    def room(self, shape: tuple[int, ...], kind: npt.DTypeLike = np.float64) -> Any:
        """Return an array on the device, not initialised."""
        dtype = np.dtype(kind)
        size = math.prod(shape) * dtype.itemsize
        memory = self._cuda.current_context().memalloc(max(size, 1))
        return DeviceArray(memory, memory.device_pointer_value, shape, dtype)

    def get(self, array: Any, into: npt.NDArray[Any]) -> None:
        """Copy from the device to a contiguous array, after all launches before."""
        if into.nbytes:
            given = into.ctypes.data, array.address, into.nbytes
            self._driver.cuMemcpyDtoHAsync(*given, OF_THREAD)
            self._driver.cuStreamSynchronize(OF_THREAD)

    def view(
        self, memory: Any, offset: int, shape: tuple[int, ...], kind: npt.DTypeLike = np.float64
    ) -> Any:
        """Return an array in the memory of another one, from a byte of it on."""
        return DeviceArray(memory.memory, memory.address + offset, shape, np.dtype(kind))

    def send(self, array: npt.NDArray[np.uint8], to: Any, begin: int = 0) -> None:
        """Copy bytes to memory on the device, from a byte of it on; they may change afterwards."""
        if array.size:
            given = to.address + begin, array.ctypes.data, array.size
            self._driver.cuMemcpyHtoDAsync(*given, OF_THREAD)

    def launch(self, kernel: Any, blocks: int, threads: int, *arguments: Any) -> None:
        """Start a kernel of `cuda.jit` after those before; may return before it ends."""
        # Numba's own way of calling finds the types of all arguments anew, in ten times the time,
        # and warns of few blocks, but a run may have no more trials.
        given = list(_flat(arguments))
        key = kernel, *map(_kind, given)
        compiled = _COMPILED.get(key)
        if compiled is None:
            types = tuple(kernel.typeof_pyval(argument) for argument in arguments)
            compiled = _COMPILED[key] = kernel.compile(types)._codelibrary.get_cufunc().kernel
        self.start(compiled, blocks, threads, [word for each in given for word in _words(each)])

    def start(self, compiled: Any, blocks: int, threads: int, words: list[Any]) -> None:
        """Start a compiled kernel."""
        from cuda.core import LaunchConfig, launch

        launch(self._stream, LaunchConfig(grid=blocks, block=threads), compiled, *words)

    def free_bytes(self) -> int:
        """Return the free memory of the device, in bytes."""
        return int(self._cuda.current_context().get_memory_info().free)

    def multiprocessors(self) -> int:
        """Return the number of multiprocessors."""
        return int(self._cuda.get_current_device().MULTIPROCESSOR_COUNT)


def _flat(arguments: Iterable[Any]) -> Iterator[Any]:
    """Yield arrays and numbers, also those in tuples: a kernel takes a tuple as its items."""
    for each in arguments:
        if isinstance(each, tuple):
            yield from _flat(each)
        else:
            yield each


def _kind(argument: Any) -> Any:
    """Return what decides the type of an argument."""
    if isinstance(argument, DeviceArray):
        return argument.dtype, len(argument.shape)
    return type(argument)


def _words(argument: Any) -> tuple[Any, ...]:
    """Return what a kernel takes for an argument, an array as Numba passes it."""
    if not isinstance(argument, DeviceArray):
        return (argument,)
    a = argument
    return (0, 0, a.size, a.dtype.itemsize, a.address, *a.shape, *a.strides)


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
