"""The CUDA driver's own answers: its version, its GPUs, their free memory.

The driver's library is called directly: it answers in milliseconds, without packages for CUDA and
before Numba is set up, so that `simcore doctor` can name whatever is missing.
"""

from __future__ import annotations

import ctypes
from contextlib import suppress
from dataclasses import dataclass

LIBRARY = "libcuda.so.1"

NO_DEVICE = 100
"""CUDA_ERROR_NO_DEVICE: the driver is there and no GPU is."""

UNAVAILABLE = 46
"""CUDA_ERROR_DEVICE_UNAVAILABLE: another process has a GPU in exclusive mode."""

OUT_OF_MEMORY = 2
"""CUDA_ERROR_OUT_OF_MEMORY: too little memory is free even to open a GPU."""

CAPABILITY_MAJOR, CAPABILITY_MINOR = 75, 76
"""CU_DEVICE_ATTRIBUTE_COMPUTE_CAPABILITY_MAJOR and _MINOR."""

NAME_BYTES = 256


class DriverError(Exception):
    """A call that the driver refused; the text names it and the reason."""

    def __init__(self, text: str, code: int) -> None:
        super().__init__(text)
        self.code = code


@dataclass(frozen=True)
class Gpu:
    """A GPU that this process sees, with its number among them, from 0.

    The free memory is None if it was not asked for, which would take a context; or if the GPU is
    `busy`: another process has it to itself.
    """

    index: int
    name: str
    capability: tuple[int, int]
    total_bytes: int
    free_bytes: int | None = None
    busy: bool = False


class CudaDriver:
    """The library of the driver, opened; OSError if there is none."""

    def __init__(self, library: str = LIBRARY) -> None:
        self._library = ctypes.CDLL(library)

    def _call(self, function: str, *arguments: object) -> None:
        code = int(getattr(self._library, function)(*arguments))
        if code:
            raise DriverError(f"{function}: {self._meaning(code)}", code)

    def _meaning(self, code: int) -> str:
        name = ctypes.c_char_p()
        with suppress(AttributeError):
            self._library.cuGetErrorName(code, ctypes.byref(name))
        return f"error {code}" if not name.value else name.value.decode(errors="replace")

    def version(self) -> tuple[int, int]:
        """Return the newest version of CUDA that the driver runs."""
        found = ctypes.c_int()
        self._call("cuDriverGetVersion", ctypes.byref(found))
        return found.value // 1000, found.value % 1000 // 10

    def gpus(self) -> tuple[Gpu, ...]:
        """Return the GPUs that this process sees; the first, which is used, with its free memory.

        DriverError if the driver does not start.
        """
        try:
            self._call("cuInit", ctypes.c_uint(0))
        except DriverError as error:
            if error.code == NO_DEVICE:
                return ()
            raise
        count = ctypes.c_int()
        self._call("cuDeviceGetCount", ctypes.byref(count))
        return tuple(self._gpu(index) for index in range(count.value))

    def _gpu(self, index: int) -> Gpu:
        device = ctypes.c_int()
        self._call("cuDeviceGet", ctypes.byref(device), ctypes.c_int(index))
        name = ctypes.create_string_buffer(NAME_BYTES)
        self._call("cuDeviceGetName", name, ctypes.c_int(NAME_BYTES), device)
        total = ctypes.c_size_t()
        self._call("cuDeviceTotalMem_v2", ctypes.byref(total), device)
        free, busy = self._free(device) if index == 0 else (None, False)
        return Gpu(
            index=index,
            name=name.value.decode(errors="replace"),
            capability=(
                self._attribute(CAPABILITY_MAJOR, device),
                self._attribute(CAPABILITY_MINOR, device),
            ),
            total_bytes=total.value,
            free_bytes=free,
            busy=busy,
        )

    def _attribute(self, number: int, device: ctypes.c_int) -> int:
        found = ctypes.c_int()
        self._call("cuDeviceGetAttribute", ctypes.byref(found), ctypes.c_int(number), device)
        return found.value

    def _free(self, device: ctypes.c_int) -> tuple[int | None, bool]:
        """Return the free memory of a GPU and whether it is busy, by a context for the moment."""
        context = ctypes.c_void_p()
        try:
            self._call("cuDevicePrimaryCtxRetain", ctypes.byref(context), device)
        except DriverError as error:
            if error.code == OUT_OF_MEMORY:
                return 0, False
            if error.code == UNAVAILABLE:
                return None, True
            raise
        free, total = ctypes.c_size_t(), ctypes.c_size_t()
        try:
            self._call("cuCtxPushCurrent_v2", context)
            try:
                self._call("cuMemGetInfo_v2", ctypes.byref(free), ctypes.byref(total))
            finally:
                self._call("cuCtxPopCurrent_v2", ctypes.byref(ctypes.c_void_p()))
        finally:
            self._call("cuDevicePrimaryCtxRelease_v2", device)
        return free.value, False
