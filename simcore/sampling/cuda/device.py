"""A CUDA device as the drivers see it: memory, copies and launches."""

from __future__ import annotations

import warnings
from typing import Any

import numpy as np
import numpy.typing as npt


class Device:
    """The current CUDA device, through Numba.

    Its arrays have a shape and can be sliced, as NumPy's. Tests have a device whose memory is the
    host's.
    """

    def __init__(self) -> None:
        from numba import cuda
        from numba.cuda.core.errors import NumbaPerformanceWarning

        self._cuda: Any = cuda
        self._too_few_blocks: type[Warning] = NumbaPerformanceWarning

    def put(self, array: npt.NDArray[Any]) -> Any:
        """Return a copy of an array on the device."""
        return self._cuda.to_device(array)

    def room(self, shape: tuple[int, ...], kind: npt.DTypeLike = np.float64) -> Any:
        """Return an array on the device, not initialised."""
        return self._cuda.device_array(shape, kind)

    def get(self, array: Any, into: npt.NDArray[Any]) -> None:
        """Copy from the device to an array, after all launches before."""
        array.copy_to_host(into)

    def launch(self, kernel: Any, blocks: int, threads: int, *arguments: Any) -> None:
        """Start a kernel of `cuda.jit` after those before; may return before it ends."""
        with warnings.catch_warnings():
            # Numba warns of few blocks, but a run may have no more trials.
            warnings.simplefilter("ignore", self._too_few_blocks)
            configured = kernel[blocks, threads]
        configured(*arguments)

    def free_bytes(self) -> int:
        """Return the free memory of the device, in bytes."""
        return int(self._cuda.current_context().get_memory_info().free)

    def multiprocessors(self) -> int:
        """Return the number of multiprocessors."""
        return int(self._cuda.get_current_device().MULTIPROCESSOR_COUNT)


class Rooms:
    """Arrays on a device by name, which are used again while their shape stays.

    `bytes` is their size.
    """

    def __init__(self, device: Device) -> None:
        self._device = device
        self._held: dict[str, Any] = {}

    @property
    def bytes(self) -> int:
        """Bytes of all arrays."""
        return sum(array.size * array.dtype.itemsize for array in self._held.values())

    def get(self, name: str, shape: tuple[int, ...], kind: npt.DTypeLike = np.float64) -> Any:
        """Return an array, not initialised; one of the same name goes where the shape is another.

        A name has one type.
        """
        held = self._held.get(name)
        if held is None or held.shape != shape:
            self._held.pop(name, None)
            held = None  # its memory may be needed for the new one
            held = self._held[name] = self._device.room(shape, kind)
        return held
