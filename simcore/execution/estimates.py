"""What a run takes, before it starts."""

from __future__ import annotations

from typing import TypedDict

from simcore.files.estimate import estimate_bytes
from simcore.machine.memory import memory_bytes
from simcore.runs.run import Run
from simcore.sampling.choose import sampler_for
from simcore.statistics.blocks import BLOCK


class Estimates(TypedDict):
    """Estimates of a run: seconds (None on a GPU), and bytes of its file and of memory."""

    node_updates: int
    seconds: float | None
    file_bytes: int
    memory_bytes: int


def estimates(run: Run, threads: int) -> Estimates:
    """Return what a run takes on threads of this machine."""
    return {
        "node_updates": run.node_updates,
        "seconds": _seconds(run, threads) if run.device == "cpu" else None,
        "file_bytes": estimate_bytes(run),
        "memory_bytes": memory_bytes(run, threads),
    }


def _seconds(run: Run, threads: int) -> float:
    sampler = sampler_for(run)
    each = sum(sampler.seconds_per_block(point) for point in range(len(run.points)))
    return each * run.trials / BLOCK / threads
