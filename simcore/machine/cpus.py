"""How many threads a process may use: the affinity mask, the cgroup's limit, Slurm's share."""

from __future__ import annotations

import math
import os
from collections.abc import Mapping
from pathlib import Path

from simcore.errors import InputError

__all__ = ["MAX_THREADS", "cgroup_limit", "default_threads", "resolve_threads"]

MAX_THREADS = 4096
"""More threads than any machine has: a larger number is a slip of the keyboard."""


def resolve_threads(threads: int | None) -> int:
    """Return the number of threads to use.

    Parameters
    ----------
    threads
        What was asked for; None is `default_threads`.

    Raises
    ------
    InputError
        If the number is not in 1 … `MAX_THREADS`.
    """
    if threads is None:
        return default_threads()
    if not 1 <= threads <= MAX_THREADS:
        raise InputError(
            "threads",
            threads,
            f"must be between 1 and {MAX_THREADS}",
            f"Leave it out to use {default_threads()}, what this process may use.",
        )
    return threads


def default_threads(environment: Mapping[str, str] = os.environ) -> int:
    """Return the least of the affinity mask, the cgroup's limit and SLURM_CPUS_PER_TASK."""
    limits = [_affinity()]
    quota = cgroup_limit()
    if quota is not None:
        limits.append(math.ceil(quota))
    share = environment.get("SLURM_CPUS_PER_TASK", "")
    if share.isdecimal():
        limits.append(int(share))
    return max(1, min(limits))


def _affinity() -> int:
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def cgroup_limit(
    membership: Path = Path("/proc/self/cgroup"), root: Path = Path("/sys/fs/cgroup")
) -> float | None:
    """Return the CPUs that the control groups (v1 and v2) of this process grant; None if no limit.

    Parameters
    ----------
    membership
        The list of groups of the process, lines of ``number:controllers:path``.
    root
        Where the hierarchies are mounted.
    """
    try:
        lines = membership.read_text().splitlines()
    except OSError:
        return None
    quotas = []
    for line in lines:
        _, controllers, path = [*line.split(":", 2), "", ""][:3]
        if not controllers:
            for mount in (root, root / "unified"):
                quotas += [_quota_v2(folder) for folder in _ancestors(mount, path)]
        elif "cpu" in controllers.split(","):
            for mount in (root / "cpu", root / controllers):
                quotas += [_quota_v1(folder) for folder in _ancestors(mount, path)]
    return min((quota for quota in quotas if quota is not None), default=None)


def _ancestors(mount: Path, path: str) -> list[Path]:
    """Return the group's folder and those above it: a limit of any of them holds.

    In a container the path is often that of the host; the container's own root then has the limit.
    """
    folder = mount / path.lstrip("/")
    return [folder, *(parent for parent in folder.parents if parent.is_relative_to(mount))]


def _quota_v2(folder: Path) -> float | None:
    try:
        quota, period = (folder / "cpu.max").read_text().split()
        return None if quota == "max" else int(quota) / int(period)
    except (OSError, ValueError, ZeroDivisionError):
        return None


def _quota_v1(folder: Path) -> float | None:
    try:
        quota = int((folder / "cpu.cfs_quota_us").read_text())
        period = int((folder / "cpu.cfs_period_us").read_text())
        return quota / period if quota > 0 else None
    except (OSError, ValueError, ZeroDivisionError):
        return None
