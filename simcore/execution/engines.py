"""Engines, which execute the tasks of a run: their contract, the threads of this process, a GPU.

The loop (`simcore.execution.loop`) hands tasks to an engine and takes their results, in whatever
order they come. The other engine is a Dask cluster (`simcore.execution.dask.cluster`).
"""

from __future__ import annotations

import gc
import threading
import time
from collections.abc import Callable
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from dataclasses import dataclass
from subprocess import Popen
from typing import Protocol

import numpy as np

from simcore.machine.gpu import gpu_watched, require_cuda
from simcore.runs.costs import SLOW_BLOCK_SECONDS
from simcore.runs.run import Run
from simcore.sampling import beside
from simcore.sampling.choose import sampler_for
from simcore.sampling.contract import Sampler, Signals, TaskResult
from simcore.statistics.blocks import Task
from simcore.statistics.moments import Bins

LAUNCH_SECONDS = 0.2
"""Of tasks that go to a GPU together; a run can stop between launches only."""


@dataclass(frozen=True)
class Done:
    """The result of a task, who ran it, and for how many seconds."""

    result: TaskResult
    worker: str
    seconds: float


class Engine(Protocol):
    """Runs tasks. All its methods are called from one thread, but for `prepare`."""

    phase: str
    """Phase of `prepare`, for the progress: "loading", "compiling" or "waiting"."""

    def prepare(self, stopping: Callable[[], bool]) -> None:
        """Make ready: compile, connect, wait for workers; returns early once `stopping`."""
        ...

    def plan(self, blocks: int) -> None:
        """Choose how to work, with nothing in flight: so many blocks are ready."""
        ...

    def task_blocks(self, point: int) -> int:
        """Return the most blocks that the next task of a point should have, a power of two."""
        ...

    def accepts(self, task: Task) -> bool:
        """Return whether the task may be submitted now."""
        ...

    def submit(self, task: Task, bins: Bins | None) -> None:
        """Start a task; `bins` is None for the block 0 of a point only."""
        ...

    @property
    def busy(self) -> bool:
        """True if any task is in flight."""
        ...

    def poll(self, seconds: float) -> list[Done]:
        """Return finished tasks; wait for one for so many seconds at most."""
        ...

    def updates_in_flight(self) -> int:
        """Return the known node updates of unfinished tasks."""
        ...

    def close(self) -> None:
        """Abandon tasks in flight and release everything."""
        ...


class ThreadEngine:
    """Threads of this process.

    Two ways of work, which give the same bytes: many blocks at once, one thread each; or, where
    blocks are few or slow, one block after the other with all threads.
    """

    phase = "loading"

    def __init__(self, run: Run, threads: int) -> None:
        self._shares = 4 * threads
        self._sampler: Sampler = sampler_for(run)
        self._threads = threads
        self._points = len(run.points)
        self._slowest = max(self._sampler.seconds_per_block(p) for p in range(self._points))
        self._stop = np.zeros(16, dtype=np.int64)[8:9]
        self._flying: dict[Future[Done], Signals] = {}
        self._pool = ThreadPoolExecutor(threads, thread_name_prefix="thread")
        self._conductor = ThreadPoolExecutor(1)
        self._few = False
        self._sharing = False
        self._share = 1
        self._beside: Popen[bytes] | None = None
        self._closed = False

    def prepare(self, stopping: Callable[[], bool]) -> None:
        """Compile the kernels, some of them in a second process where there are more threads."""
        del stopping
        with beside.one_compiles(self._sampler):
            if self._threads > 1:
                self._beside = beside.start(self._sampler)
            try:
                if not self._closed:
                    self._sampler.prepare()
            finally:
                beside.end(self._beside)

    def plan(self, blocks: int) -> None:
        """Share blocks between threads where they are few or slow."""
        self._few = blocks < 4 * self._threads or self._slowest > SLOW_BLOCK_SECONDS
        self._share = max(1, blocks // self._shares)

    def task_blocks(self, point: int) -> int:
        """Return the sampler's choice, but so few that every thread gets several tasks."""
        if self._few and self._threads > 1:
            return 1
        share = 1 << (self._share.bit_length() - 1)
        return min(self._sampler.blocks_per_task(point), share)

    def accepts(self, task: Task) -> bool:
        """Return whether there is room: two tasks a thread, or one that all threads share."""
        if self._sharing or (self._flying and self._shared(task)):
            return not self._flying
        return len(self._flying) < 2 * self._threads

    def _shared(self, task: Task) -> bool:
        # With few points the threads would wait for each other's first blocks.
        lonely = task.first_block == 0 and self._points < self._threads
        return self._threads > 1 and task.blocks == 1 and (self._few or lonely)

    def submit(self, task: Task, bins: Bins | None) -> None:
        """Start a task in one thread, or in all of them."""
        signals = Signals.sharing(self._stop)
        self._sharing = self._shared(task)
        pool = self._conductor if self._sharing else self._pool
        future = pool.submit(self._run, task, bins, signals, self._sharing)
        self._flying[future] = signals

    def _run(self, task: Task, bins: Bins | None, signals: Signals, sharing: bool) -> Done:
        before = time.perf_counter()
        if sharing:
            result = self._sampler.run_shared(task, bins, signals, self._pool, self._threads)
            worker = "all threads"
        else:
            result = self._sampler.run(task, bins, signals)
            worker = threading.current_thread().name.replace("_", " ")
        return Done(result, worker, time.perf_counter() - before)

    @property
    def busy(self) -> bool:
        """True if any task is in flight."""
        return bool(self._flying)

    def poll(self, seconds: float) -> list[Done]:
        """Return finished tasks."""
        done, _ = wait(self._flying, timeout=seconds, return_when=FIRST_COMPLETED)
        for future in done:
            del self._flying[future]
        return [future.result() for future in done]

    def updates_in_flight(self) -> int:
        """Return the node updates of unfinished tasks."""
        return sum(int(signals.progress[0]) for signals in self._flying.values())

    def close(self) -> None:
        """Stop the tasks in flight, which takes a layer's time, and end the threads."""
        self._stop[0] = 1
        self._closed = True
        beside.end(self._beside)
        wait(self._flying)
        self._flying.clear()
        self._conductor.shutdown(cancel_futures=True)
        self._pool.shutdown(cancel_futures=True)


class DeviceThread:
    """A thread that drives a GPU, with a sampler of its own."""

    def __init__(self, sampler: Sampler) -> None:
        self.sampler = sampler
        self.pool = ThreadPoolExecutor(1, thread_name_prefix="thread")
        self.flying: dict[Future[list[Done]], Signals] = {}

    def close(self) -> None:
        """End the thread, which has nothing in flight."""
        self.pool.submit(self.sampler.release).result()
        self.pool.shutdown()


class DeviceEngine:
    """A GPU: the tasks that wait go into one launch, as far as it has room.

    Two threads drive it, so that the host's part of one launch, and what the loop does with
    results, takes place beside the device's part of another. Batches have one thread, in which a
    second launch waits while the first runs.

    Raises
    ------
    DeviceError
        If no GPU can be used.
    """

    phase = "loading"

    def __init__(self, run: Run) -> None:
        require_cuda(run)
        self._sampler: Sampler = sampler_for(run)
        twin = self._sampler.twin()
        self._threads = [DeviceThread(sampler) for sampler in (self._sampler, twin) if sampler]
        self._waiting: list[tuple[Task, Bins | None]] = []
        self._stop = np.zeros(16, dtype=np.int64)[8:9]
        self._blocks, self._ended = 1, 0.0

    def prepare(self, stopping: Callable[[], bool]) -> None:
        """Compile the kernels, or load them.

        What the compiler leaves in cycles may hold arrays, which only a thread with CUDA's context
        can free: so garbage waits, and is collected here.
        """
        del stopping
        gc.freeze()  # so that a collection looks at what is new only
        gc.disable()
        try:
            with beside.one_compiles(self._sampler), gpu_watched():
                self._sampler.prepare()
            gc.collect()
        finally:
            gc.enable()
            gc.unfreeze()

    def plan(self, blocks: int) -> None:
        """Note how many blocks there are."""
        self._blocks = max(1, blocks)

    def task_blocks(self, point: int) -> int:
        """Return the sampler's choice, as far as there are blocks."""
        share = 1 << (self._blocks.bit_length() - 1)
        return min(self._sampler.blocks_per_task(point), share)

    def accepts(self, task: Task) -> bool:
        """Return whether there is room: for LAUNCH_SECONDS of tasks, by estimate."""
        seconds = sum(self._seconds(waiting) for waiting, _ in self._waiting)
        return not self._waiting or seconds + self._seconds(task) <= LAUNCH_SECONDS

    def _seconds(self, task: Task) -> float:
        return task.blocks * self._sampler.seconds_per_block(task.point)

    def submit(self, task: Task, bins: Bins | None) -> None:
        """Let a task wait for the next launch."""
        self._waiting.append((task, bins))

    def _run(
        self, sampler: Sampler, tasks: list[tuple[Task, Bins | None]], signals: Signals
    ) -> list[Done]:
        before = time.perf_counter()
        with gpu_watched():
            results = sampler.run_tasks(tasks, signals)
        # The GPU is shared with the launch of the other thread, as long as that has not ended.
        before, self._ended = max(before, self._ended), time.perf_counter()
        took, costs = self._ended - before, [self._seconds(task) for task, _ in tasks]
        return [
            Done(result, "the GPU", took * cost / sum(costs))
            for result, cost in zip(results, costs, strict=True)
        ]

    @property
    def busy(self) -> bool:
        """True if any task is in flight."""
        return bool(self._flying or self._waiting)

    @property
    def _flying(self) -> dict[Future[list[Done]], Signals]:
        """Launches in flight, with what they tell."""
        return {future: it for thread in self._threads for future, it in thread.flying.items()}

    def poll(self, seconds: float) -> list[Done]:
        """Launch the tasks that wait; return finished ones."""
        if self._waiting and len(self._flying) < 2:
            thread = min(self._threads, key=lambda thread: len(thread.flying))
            signals = Signals.sharing(self._stop)
            launch = thread.pool.submit(self._run, thread.sampler, self._waiting, signals)
            thread.flying[launch], self._waiting = signals, []
        done, _ = wait(self._flying, timeout=seconds, return_when=FIRST_COMPLETED)
        for thread in self._threads:
            thread.flying = {f: it for f, it in thread.flying.items() if f not in done}
        return [each for future in done for each in future.result()]

    def updates_in_flight(self) -> int:
        """Return the node updates of unfinished tasks."""
        return sum(int(signals.progress[0]) for signals in self._flying.values())

    def close(self) -> None:
        """Stop the tasks in flight, which takes a launch's time, and end the threads."""
        self._stop[0] = 1
        wait(self._flying)
        for thread in self._threads:
            thread.flying.clear()
            thread.close()
