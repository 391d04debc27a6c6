"""A device without a GPU: its memory is the host's, and its kernels run on the CPU."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from simcore.sampling.contract import Signals, TaskResult
from simcore.sampling.cuda.device import Device
from simcore.sampling.cuda.driver import CudaBlockSampler
from simcore.sampling.cuda.pieces import FIRST
from simcore.sampling.driver import Floats
from simcore.sampling.pair import cuda_kernels as pair_kernels
from tests.emulator.kernel_simulator import launch
from tests.emulator.ptx_program import Program

__all__ = ["Compiled", "Emulated", "FromSource", "advance", "equal", "signals"]

Compiled = dict[str, Program]
"""Compiled kernels by name."""


class Emulated(Device):
    """A device that runs compiled kernels on the CPU.

    Parameters
    ----------
    compiled
        The kernels.
    free
        Bytes of memory that it says are free.
    reverse
        Whether the last thread of a block goes first.

    Attributes
    ----------
    names
        What was launched.
    launches
        Trials, first trial and layer of the launches of the pair sampler's kernel.
    brought, sent
        Bytes that were copied to the host, and packed ones that were copied from it.
    """

    def __init__(self, compiled: Compiled, free: int = 2**33, *, reverse: bool = False) -> None:
        self.compiled, self.free, self.reverse = compiled, free, reverse
        self.names: list[str] = []
        self.launches: list[tuple[int, int, int]] = []
        self.brought = self.sent = 0

    def put(self, array: npt.NDArray[Any]) -> Any:
        return array.copy()

    def room(self, shape: tuple[int, ...], kind: npt.DTypeLike = np.float64) -> Any:
        return np.full(shape, 7, dtype=kind)

    def get(self, array: Any, into: npt.NDArray[Any]) -> None:
        assert into.flags.c_contiguous
        into[:] = array
        self.brought += into.nbytes

    def view(
        self, memory: Any, offset: int, shape: tuple[int, ...], kind: npt.DTypeLike = np.float64
    ) -> Any:
        return np.ndarray(shape, kind, memory, offset)

    def send(self, array: npt.NDArray[np.uint8], to: Any, begin: int = 0) -> None:
        to[begin : begin + array.size] = array
        self.sent += array.size

    def launch(self, kernel: Any, blocks: int, threads: int, *arguments: Any) -> None:
        self.names.append(kernel.py_func.__name__)
        if kernel is pair_kernels.advance:
            self.launches.append((blocks, int(arguments[2][0, FIRST]), arguments[3]))
        self.execute(kernel, blocks, threads, *arguments)

    def execute(self, kernel: Any, blocks: int, threads: int, *arguments: Any) -> None:
        program = self.compiled[kernel.py_func.__name__]
        program.launch(blocks, threads, *arguments, reverse=self.reverse)

    def free_bytes(self) -> int:
        return self.free

    def multiprocessors(self) -> int:
        return 132


class FromSource(Emulated):
    """Runs the Python source of kernels, those of `instead` in the place of others of the name."""

    def __init__(self, *, reverse: bool = False, without: str = "", instead: Any = None) -> None:
        super().__init__({}, reverse=reverse)
        self.without, self.instead = without, instead

    def execute(self, kernel: Any, blocks: int, threads: int, *arguments: Any) -> None:
        kernel = getattr(self.instead, kernel.py_func.__name__, kernel)
        reverse, without = self.reverse, self.without
        launch(kernel, blocks, threads, *arguments, reverse=reverse, without=without)


def equal(a: TaskResult, b: TaskResult) -> bool:
    """Whether two results have the same bytes."""
    pairs: list[Any] = [*zip(a.moments, b.moments, strict=True), *zip(a.bins, b.bins, strict=True)]
    pairs += [(a.kept, b.kept), (a.histogram, b.histogram)]
    return all(x.tobytes() == y.tobytes() for x, y in pairs)


def signals() -> Signals:
    return Signals.sharing()


def advance(
    sampler: CudaBlockSampler, first_trial: int, layer0: int, carried: Floats, rows: Floats
) -> None:
    """Take trials of the first point through layers, with states and rows on the host."""
    device = sampler.device
    begins = layer0 == 0
    there = sampler.start(0, first_trial, len(carried)) if begins else device.put(carried)
    made = device.room(rows.shape)
    sampler.make_rows(0, first_trial, layer0, there, made)
    device.get(made, rows)
    device.get(there, carried)
