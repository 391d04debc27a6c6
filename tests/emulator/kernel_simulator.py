"""Runs a CUDA kernel's Python source on the CPU: a deterministic simulator of threads.

Every thread is a greenlet. Barriers and shuffles are real: a thread that reaches one waits for the
others of its block or warp, so a missing one shows, most often in one order of the threads only.
A warp goes as far as it can before the next begins.
Shared memory begins as NaN and −1. Threads of a warp that wait at different kinds of barriers are
an error. Blocks run one after the other.
"""

from __future__ import annotations

import itertools
import sys
from collections.abc import Callable, Hashable
from dataclasses import dataclass, field
from types import FunctionType
from typing import Any

import numpy as np
from greenlet import getcurrent, greenlet
from numba.np.numpy_support import as_dtype

__all__ = ["BarrierError", "launch"]

WARP = 32


class BarrierError(RuntimeError):
    """Threads of a warp wait at different barriers, or some have ended and others wait."""


@dataclass(frozen=True)
class Index:
    """A position in a grid or a block."""

    x: int
    y: int = 0
    z: int = 0


class Thread(greenlet):  # type: ignore[misc]
    """One thread of a block."""

    index: Index
    number: int
    arrays = 0
    waits: tuple[Hashable, Any] | None = None


class Shared:
    """Shared memory of a block; the n-th request of every thread is for the same array."""

    def __init__(self) -> None:
        self.arrays: dict[int, Any] = {}

    def array(self, shape: Any, dtype: Any) -> Any:
        """Return an array of the block, its bytes 0xFF at first."""
        thread = getcurrent()
        number = thread.arrays
        thread.arrays += 1
        if number not in self.arrays:
            made = np.empty(shape, as_dtype(dtype))
            made.view(np.uint8).reshape(-1)[:] = 0xFF
            self.arrays[number] = made
        return self.arrays[number]


class Local:
    """Memory of a thread."""

    def array(self, shape: Any, dtype: Any) -> Any:
        """Return an array of the thread, its bytes 0xFF at first."""
        made = np.empty(shape, as_dtype(dtype))
        made.view(np.uint8).reshape(-1)[:] = 0xFF
        return made


class Atomic:
    """Operations on memory that threads share; here no thread is interrupted."""

    def add(self, array: Any, at: tuple[int, ...], value: Any) -> Any:
        """Add to an item of an array; return what it was."""
        before = array[at]
        array[at] += value
        return before


@dataclass
class Cuda:
    """What a kernel sees as `cuda`."""

    scheduler: greenlet
    gridDim: Index  # noqa: N815 - CUDA's names
    blockDim: Index  # noqa: N815
    blockIdx: Index  # noqa: N815
    shared: Shared = field(default_factory=Shared)
    local: Local = field(default_factory=Local)
    atomic: Atomic = field(default_factory=Atomic)
    posted: dict[int, dict[int, Any]] = field(default_factory=dict)
    without_line: tuple[str, int] = ("", 0)

    @property
    def threadIdx(self) -> Index:  # noqa: N802
        """Position of the running thread in its block."""
        index: Index = getcurrent().index
        return index

    def grid(self, dimensions: int) -> int:
        """Return the number of the running thread in a grid of one dimension."""
        assert dimensions == 1
        return self.blockIdx.x * self.blockDim.x + self.threadIdx.x

    def gridsize(self, dimensions: int) -> int:
        """Return the threads of a grid of one dimension."""
        assert dimensions == 1
        return self.gridDim.x * self.blockDim.x

    def syncthreads(self) -> None:
        """Wait for the block."""
        frame = sys._getframe(1)
        if (frame.f_code.co_filename, frame.f_lineno) == self.without_line:
            return
        self.scheduler.switch(("block", None))

    def syncwarp(self, mask: int = 0xFFFFFFFF) -> None:
        """Wait for the warp."""
        self.scheduler.switch(("warp", None))

    def shfl_down_sync(self, mask: int, value: Any, distance: int) -> Any:
        """Return the value of the thread `distance` further on in the warp, or the own."""
        thread = getcurrent()
        self.scheduler.switch(("warp", value))
        posted = self.posted[thread.number // WARP]
        return posted.get(thread.number % WARP + distance, value)


def launch(
    kernel: Any,
    grid: int,
    block: int,
    *arguments: Any,
    reverse: bool = False,
    without: str = "",
    without_line: tuple[str, int] = ("", 0),
) -> None:
    """Run a kernel's Python source.

    Parameters
    ----------
    kernel
        The function, or what `cuda.jit` has made of it.
    grid, block
        Number of blocks, and of threads in each.
    reverse
        Whether the last thread of a block goes first.
    without
        A method of `cuda` that is to do nothing, "syncthreads": the fault of leaving it out.
    without_line
        … or the file and the line whose barrier of a block is left out.
    """
    function = getattr(kernel, "py_func", kernel)
    for number in range(grid):
        cuda = Cuda(getcurrent(), Index(grid), Index(block), Index(number))
        cuda.without_line = without_line
        if without:
            setattr(cuda, without, lambda *_: None)
        body = _with_threads(function, cuda)
        threads = [_thread(body, i) for i in range(block)]
        _run_block(cuda, threads, arguments, reverse=reverse)


def _with_threads(function: Any, cuda: Cuda) -> FunctionType:
    """Return a function that sees these threads, and so do those with barriers that it calls."""
    namespace = {**function.__globals__, "cuda": cuda}
    for name in function.__code__.co_names:
        inner = getattr(namespace.get(name), "py_func", None)
        if inner is not None and "cuda" in inner.__code__.co_names:
            namespace[name] = _with_threads(inner, cuda)
    return FunctionType(function.__code__, namespace, function.__name__)


def _thread(body: Callable[..., None], number: int) -> Thread:
    thread = Thread(body)
    thread.index, thread.number = Index(number), number
    return thread


def _run_block(
    cuda: Cuda, threads: list[Thread], arguments: tuple[Any, ...], *, reverse: bool
) -> None:
    """Run all threads, a warp as far as it can go before the next begins."""
    order = list(reversed(threads)) if reverse else threads
    while order:
        for warp, members in itertools.groupby(order, lambda thread: thread.number // WARP):
            _run_warp(cuda, warp, list(members), arguments)
        order = [thread for thread in order if not thread.dead]


def _run_warp(cuda: Cuda, warp: int, threads: list[Thread], arguments: tuple[Any, ...]) -> None:
    """Run a warp until all its threads wait for the block or have ended."""
    kinds: set[Hashable] = {"warp"}
    while kinds == {"warp"}:
        for thread in threads:
            thread.waits = thread.switch() if thread else thread.switch(*arguments)
        threads = [thread for thread in threads if not thread.dead]
        kinds = {thread.waits[0] for thread in threads if thread.waits}
        if len(kinds) > 1:
            raise BarrierError(f"warp {warp} waits at {sorted(map(str, kinds))}")
        cuda.posted[warp] = {t.number % WARP: t.waits[1] for t in threads if t.waits}
