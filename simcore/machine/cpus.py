"""Number of threads that a process may use: affinity mask, control groups, Slurm's share."""

from __future__ import annotations

import math
import os
from collections.abc import Mapping

from simcore.errors import InputError
from simcore.physics.parameters import whole

from .cgroups import cpu_limit

MAX_THREADS = 4096
"""Most threads that can be asked for: a larger number is a typing error."""


def resolve_threads(threads: int | None) -> int:
    """Return the number asked for, or `default_threads`; InputError beyond 1 … `MAX_THREADS`."""
    if threads is None:
        return default_threads()
    count = whole("threads", threads)
    if not 1 <= count <= MAX_THREADS:
        rule = f"must be between 1 and {MAX_THREADS}"
        remedy = f"Leave it out to use the {default_threads()} that this process may use."
        raise InputError("threads", count, rule, remedy)
    return count


def default_threads(environment: Mapping[str, str] = os.environ) -> int:
    """Return the least of the affinity mask, the cgroups' limit and SLURM_CPUS_PER_TASK."""
    limits = [affinity()]
    quota = cpu_limit()
    if quota is not None:
        limits.append(math.ceil(quota))
    share = environment.get("SLURM_CPUS_PER_TASK", "")
    if share.isdecimal():
        limits.append(int(share))
    return max(1, min(limits))


def affinity() -> int:
    """Return the number of processors that this process may run on."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1
