"""Work of a cluster's worker: one task, in one of its threads.

This module is imported on workers by name, so it imports nothing that Numba must be set up for.
"""

from __future__ import annotations

import platform
import threading
import time
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from functools import lru_cache
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from simcore.errors import SimcoreError
from simcore.runs.costs import SLOW_BLOCK_SECONDS

if TYPE_CHECKING:
    from simcore.sampling.contract import Sampler, Signals, TaskResult
    from simcore.statistics.blocks import Task
    from simcore.statistics.moments import Bins


_ALL_THREADS = threading.Lock()
_SETTING_UP = threading.Lock()

Piece = Callable[["Task", "Bins | None"], "TaskResult"]
"""Runs a part of a task."""


class VersionMismatchError(SimcoreError):
    """A worker's software differs from the client's: the worker's address, and what differs."""


@dataclass(frozen=True)
class Job:
    """Data common to all tasks of a run.

    Parameters
    ----------
    config_json
        The run, `Run.config_json`.
    source
        File of the inputs, on the workers as on the client; "" for random inputs.
    versions
        The client's `versions`.
    """

    config_json: str
    source: str
    versions: tuple[tuple[str, str], ...]


@dataclass(frozen=True)
class Reply:
    """The result of a task as it travels, and how long it took."""

    result: TaskResult
    seconds: float
    worker: str


def versions() -> tuple[tuple[str, str], ...]:
    """Return the versions of all that may show in the bytes of a result, by name."""
    from importlib.metadata import version

    from simcore.numerics.compiling import source_digest

    python = ".".join(platform.python_version_tuple()[:2])
    packages = [(name, version(name)) for name in ("numpy", "numba", "scipy", "distributed")]
    return (("python", python), ("simcore", source_digest()), *packages)


def prepare(job: Job, resources: Mapping[str, int]) -> bool:
    """Check the versions and compile the kernels.

    `resources` is what a worker must offer, as Dask has it. One that does not offer it gets no
    tasks and need not compile: the result is False.

    Raises
    ------
    VersionMismatchError
        If the worker's software is not the client's.
    DeviceError
        If the run is for a GPU and this worker can't use the one it offers.
    """
    _check(job)
    if not _offers(resources):
        return False
    _sampler(job)
    return True


def _offers(resources: Mapping[str, int]) -> bool:
    from distributed import get_worker

    offered = get_worker().state.total_resources if resources else {}
    return all(offered.get(name, 0) >= amount for name, amount in resources.items())


def run_task(job: Job, task: Task, edges: tuple[npt.NDArray[np.float64], ...] | None) -> Reply:
    """Run a task in the calling thread; one that is slow by the block in all threads of the worker.

    `edges` are the arrays of `Bins`, whose own module may not be imported before Numba is set up;
    None for the block 0 of a point only.

    Raises
    ------
    VersionMismatchError
        If the worker's software is not the client's.
    """
    _check(job)
    sampler = _sampler(job)
    from simcore.statistics.moments import Bins

    bins = None if edges is None else Bins(*edges)
    threads = _threads()
    if threads > 1 and sampler.seconds_per_block(task.point) > SLOW_BLOCK_SECONDS:
        with _ALL_THREADS, ThreadPoolExecutor(threads) as pool:
            return _timed(
                lambda piece, bins: sampler.run_shared(piece, bins, _unwatched(), pool, threads),
                1,
                task,
                bins,
            )
    size = sampler.blocks_per_task(task.point)
    return _timed(lambda piece, bins: sampler.run(piece, bins, _unwatched()), size, task, bins)


def _timed(run: Piece, size: int, task: Task, bins: Bins | None) -> Reply:
    from simcore.machine.gpu import gpu_watched

    before = time.perf_counter()
    with gpu_watched():
        result = run(task, bins) if task.blocks <= size else _in_pieces(run, size, task, bins)
    return Reply(_narrow(result), time.perf_counter() - before, _address())


def _in_pieces(run: Piece, size: int, task: Task, bins: Bins | None) -> TaskResult:
    """Run a task in pieces of at most `size` blocks, and fold them by the tree of moments."""
    from simcore.statistics.blocks import Task
    from simcore.statistics.tree import MomentTree

    first, end = task.first_block, task.first_block + task.blocks
    tree, parts = MomentTree(), []
    while first < end:
        piece = Task.cut(task.point, first, end, size)
        part = run(piece, bins)
        bins = part.bins
        tree.add(piece.level, first >> piece.level, part.moments)
        parts.append(part)
        first += piece.blocks
    ((_, _, moments),) = tree.ordered()
    histogram = parts[0].histogram
    for part in parts[1:]:
        histogram = histogram + part.histogram
    kept = np.concatenate([part.kept for part in parts])
    return replace(parts[0], task=task, moments=moments, histogram=histogram, kept=kept)


def _unwatched() -> Signals:
    """Return signals that nobody sets or reads: a cluster's tasks are short."""
    from simcore.sampling.contract import Signals

    return Signals.sharing()


def _narrow(result: TaskResult) -> TaskResult:
    """Send the counts in as few bytes as hold them; the client adds them up as uint32."""
    histogram: npt.NDArray[Any] = result.histogram
    most = int(histogram.max(initial=0))
    dtype = np.uint8 if most < 2**8 else np.uint16 if most < 2**16 else np.uint32
    return replace(result, histogram=histogram.astype(dtype))


@lru_cache(maxsize=1)
def _own_versions() -> tuple[tuple[str, str], ...]:
    return versions()


def _check(job: Job) -> None:
    own = _own_versions()
    if own != job.versions:
        here = dict(own)
        differing = [
            f"{name} {here.get(name, 'missing')} there and {version} here"
            for name, version in job.versions
            if here.get(name) != version
        ]
        raise VersionMismatchError(_address(), ", ".join(differing))


def _sampler(job: Job) -> Sampler:
    with _SETTING_UP:
        return _made(job)


@lru_cache(maxsize=4)
def _made(job: Job) -> Sampler:
    """Return the run's sampler with its kernels compiled."""
    import json

    from simcore.machine.gpu import gpu_watched, require_cuda
    from simcore.runs.run import Run
    from simcore.sampling.beside import one_compiles
    from simcore.sampling.choose import sampler_for

    run = Run.from_config(json.loads(job.config_json))
    if run.device == "cuda":
        require_cuda(run)
    if run.inputs is not None:
        run = replace(run, inputs=replace(run.inputs, source=job.source))
    sampler = sampler_for(run)
    with one_compiles(sampler), gpu_watched():
        sampler.prepare()
    return sampler


def _threads() -> int:
    """Return how many threads this worker has."""
    from distributed import get_worker

    return int(get_worker().state.nthreads)


def _address() -> str:
    """Return this worker's address; "" outside of a task."""
    from distributed import get_worker

    try:
        return str(get_worker().address)
    except ValueError:
        return ""
