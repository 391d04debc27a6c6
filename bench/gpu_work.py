"""What `bench/gpu.py` times and counts of pairs: kernels, tasks, runs, normals, PyTorch."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from functools import partial
from typing import Any
from unittest.mock import patch

from harness import interleaved, timed

from simcore.runs.run import Run

DEEP, SHALLOW, WIDE = 100, 8, 4096
"""Layers of a run that is timed, up to a width and beyond it."""

ROWS_BYTES, CARRIED_BYTES, EXPLICIT_BYTES = 2**30, 2**33, 2**31
"""Room for the rows of a launch, for what its trials carry, and for PyTorch's weights."""

FEW = (1, 8, 64)
"""Trials that leave most of a GPU idle, a thread block each."""

FEW_DEPTH = 20

WARP, SCHEDULERS = 32, 4
"""Threads that issue together, and how many such issues a multiprocessor makes in a cycle."""

INSTRUCTIONS = 235 / 2
"""Machine instructions of a node: half a pass of the loop in the kernel `advance`, for 9.0."""

Work = Callable[[], float]
"""Work that returns the seconds it took."""


# --- runs ---------------------------------------------------------------------------------------


def sized(width: int, nodes: float, **settings: Any) -> Run:
    """Return a run on a GPU of about so many node updates, whose rows fit in `ROWS_BYTES`."""
    from simcore.statistics.blocks import BLOCK

    depth = max(1, min(DEEP if width <= WIDE else SHALLOW, int(nodes // (BLOCK * width))))
    run = Run(width=(width,), depth=depth, trials=BLOCK, keep=0, device="cuda", **settings)
    most = ROWS_BYTES // (8 * run.columns.count * depth)
    trials = int(min(nodes / (width * depth), most))
    return replace(run, trials=max(1, trials // BLOCK) * BLOCK)


def nodes_of(run: Run) -> int:
    """Return the node updates of a run."""
    return len(run.points) * run.trials * run.depth * run.width[0]


# --- launches -----------------------------------------------------------------------------------


@dataclass
class Launches:
    """Launches of kernels of Numba, each between two events."""

    events: list[tuple[Any, Any]] = field(default_factory=list)

    def seconds(self) -> float:
        """Return the seconds of the kernels, when all have ended."""
        from numba import cuda

        cuda.synchronize()
        return sum(cuda.event_elapsed_time(*pair) for pair in self.events) / 1e3


@contextmanager
def watched() -> Iterator[Launches]:
    """Note all launches meanwhile."""
    from numba import cuda

    from simcore.sampling.cuda.device import Device

    seen, start = Launches(), Device.start

    def noted(device: Device, *given: Any) -> None:
        before, after, stream = cuda.event(), cuda.event(), cuda.per_thread_default_stream()
        before.record(stream)
        start(device, *given)
        after.record(stream)
        seen.events.append((before, after))

    with patch.object(Device, "start", noted):
        yield seen


def of_kernels(work: Callable[[], Any]) -> float:
    """Return the seconds of the kernels that some work launches."""
    with watched() as seen:
        work()
    return seen.seconds()


def cost(work: Work, rounds: int) -> dict[str, float]:
    """Return the seconds of some work, its launches, and the host's part: all but the kernels."""
    work()
    seconds = statistics.median(work() for _ in range(rounds))
    with watched() as seen:
        work()
    kernels = seen.seconds()
    return {
        "seconds": seconds,
        "launches": len(seen.events),
        "kernels_ms": kernels * 1e3,
        "host_ms": max(0.0, seconds - kernels) * 1e3,
    }


def on_device(launch: Callable[[], Any]) -> float:
    """Return the seconds from a launch to its end, gaps between its kernels included."""
    from numba import cuda

    cuda.synchronize()
    before = time.perf_counter()
    launch()
    cuda.synchronize()
    return time.perf_counter() - before


# --- work ---------------------------------------------------------------------------------------


def layers(run: Run) -> tuple[Callable[[], Any], int]:
    """Return work that takes trials through all layers at once, without statistics, and nodes."""
    from simcore.sampling.choose import sampler_for

    sampler: Any = sampler_for(run)
    trials = min(run.trials, max(1, CARRIED_BYTES // sampler.carried_bytes(0)))
    rows = sampler.device.room((trials, run.depth, run.columns.count))
    work = lambda: sampler.make_rows(0, 0, 0, sampler.start(0, 0, trials), rows)  # noqa: E731
    return work, trials * run.depth * run.width[0]


def whole_task(run: Run) -> tuple[Work, int]:
    """Return work that runs the largest task of a run, statistics included, and its nodes."""
    import numpy as np

    from simcore.sampling.choose import sampler_for
    from simcore.sampling.contract import Signals
    from simcore.statistics.blocks import BLOCK, Task

    sampler: Any = sampler_for(run)
    task = Task.cut(0, 0, run.trials // BLOCK, sampler.blocks_per_task(0))
    signals = Signals.sharing(np.zeros(1, dtype=np.int64))
    nodes = task.trials * run.depth * run.width[0]
    return lambda: timed(lambda: sampler.run(task, None, signals)), nodes


def whole_run(run: Run) -> tuple[Work, int]:
    """Return work that is a run as a user has it, without a file, and its nodes."""
    from simcore.execution.execute import execute

    return lambda: execute(run).seconds, nodes_of(run)


def normals_kernel() -> Any:
    """Return a kernel that draws the normals of trials, a block each, and adds them up.

    It is compiled as `advance`.
    """
    import numpy as np
    from numba import cuda

    from simcore.numerics.rng import counter_word3
    from simcore.sampling.cuda.kernels import kernel
    from simcore.sampling.pair.cuda_kernels import (
        BLOCKS_PER_MULTIPROCESSOR,
        THREADS,
        group_normals,
    )

    @kernel(launch_bounds=(THREADS, BLOCKS_PER_MULTIPROCESSOR), lto=False)
    def normals(key0, key1, groups, layers, sums):
        trial, thread = np.uint64(cuda.blockIdx.x), np.uint32(cuda.threadIdx.x)
        total = np.float32(0.0)
        layer = np.uint32(0)
        while layer < layers:
            word = counter_word3(np.uint64(layer) + np.uint64(1), trial)
            group = thread
            while group < groups:
                z1, z2, z3, z4 = group_normals(group, trial, word, key0, key1)
                total += (z1 + z2) + (z3 + z4)
                group = np.uint32(group + np.uint32(THREADS))
            layer = np.uint32(layer + np.uint32(1))
        sums[cuda.blockIdx.x, thread] = total

    return normals


def normals_alone(run: Run) -> Work:
    """Return work that draws as many normals as a run, by as many threads."""
    import numpy as np

    from simcore.sampling.cuda.device import Device
    from simcore.sampling.pair.cuda_kernels import THREADS
    from simcore.sampling.pair.physics import Physics

    physics, device, kernel = Physics.of(run.points[0]), Device(), normals_kernel()
    groups, layers = np.uint32(run.width[0] // 2), np.uint32(run.depth)
    sums = device.room((run.trials, THREADS), np.float32)
    given = (physics.key0, physics.key1, groups, layers, sums)
    return lambda: of_kernels(lambda: device.launch(kernel, run.trials, THREADS, *given))


def explicit_weights(width: int, columns: int) -> tuple[Work, int]:
    """Return PyTorch's work for a layer of some networks with many signals, and the networks."""
    import torch

    networks = max(1, EXPLICIT_BYTES // (4 * width * width))
    signals = torch.randn(networks, width, columns, device="cuda")
    weights = torch.empty(networks, width, width, device="cuda")
    torch.backends.cuda.matmul.allow_tf32 = False

    @torch.inference_mode()
    def work() -> float:
        torch.cuda.synchronize()
        before = time.perf_counter()
        weights.normal_(std=(2.0 / width) ** 0.5)
        torch.relu(torch.bmm(weights, signals))
        torch.cuda.synchronize()
        return time.perf_counter() - before

    return work, networks


# --- measurements -------------------------------------------------------------------------------


def rates(work: Mapping[str, tuple[Work, int]], rounds: int) -> dict[str, dict[str, float]]:
    """Return node updates a second of each piece of work, all in the same rounds."""
    times = interleaved({name: run for name, (run, _) in work.items()}, rounds)
    found = {}
    for name, seconds in times.items():
        own = [work[name][1] / each for each in seconds]
        found[name] = {"median": statistics.median(own), "min": min(own), "max": max(own)}
    return found


def pairs(width: int, nodes: float, rounds: int, **settings: Any) -> dict[str, Any]:
    """Return the rates of pairs of one width, and what a task costs the host."""
    run = sized(width, nodes, **settings)
    kernel, of_kernel = layers(run)
    task, of_task = whole_task(run)
    work = {
        "kernel": (lambda: of_kernels(kernel), of_kernel),
        "task": (task, of_task),
        "run": whole_run(run),
    }
    if run.ensemble == "he":
        work["normals"] = normals_alone(run), nodes_of(run)
    found: dict[str, Any] = {"width": width, "depth": run.depth, "trials": run.trials}
    return found | rates(work, rounds) | {"of_a_task": cost(task, rounds)}


def options(width: int, nodes: float, rounds: int) -> dict[str, Any]:
    """Return the rates of whole runs without and with controls and gradients."""
    kinds = {
        "plain": {"controls": "off"},
        "controls": {"controls": "on"},
        "gradients": {"controls": "off", "gradients": True},
    }
    work = {name: whole_run(sized(width, nodes, **kind)) for name, kind in kinds.items()}
    return {"width": width, **rates(work, rounds)}


def few_trials(width: int, rounds: int, depth: int = FEW_DEPTH) -> list[dict[str, Any]]:
    """Return rates of few trials, by their number and by who sums a layer: one block or many."""
    from simcore.sampling.pair import cuda as pair_cuda

    def shared_from(least: int, work: Callable[[], Any]) -> float:
        with patch.object(pair_cuda, "WIDE", least):
            return on_device(work)

    found = []
    for trials in FEW:
        run = Run(width=(width,), depth=depth, trials=trials, keep=0, device="cuda")
        launch, nodes = layers(run)
        work = {
            "one block": (partial(shared_from, width + 1, launch), nodes),
            "many blocks": (partial(shared_from, width, launch), nodes),
        }
        found.append({"width": width, "trials": trials, **rates(work, rounds)})
    return found


def against_torch(width: int, nodes: float, rounds: int) -> dict[str, Any]:
    """Return the rates of a run and of PyTorch with explicit weights, and their ratio."""
    explicit, networks = explicit_weights(width, 2)
    work = {"run": whole_run(sized(width, nodes)), "torch": (explicit, networks * width)}
    found = rates(work, rounds)
    ratio = found["run"]["median"] / found["torch"]["median"]
    return {"width": width, "networks": networks, **found, "ratio": ratio}


def static_limit() -> tuple[float, float]:
    """Return node updates a second if every cycle issued what it can, and the clock, in Hz.

    The clock is the highest; under load it is lower.
    """
    from numba import cuda

    device = cuda.get_current_device()
    clock = device.CLOCK_RATE * 1e3
    cycles = device.MULTIPROCESSOR_COUNT * SCHEDULERS * clock
    return float(cycles * WARP / INSTRUCTIONS), float(clock)
