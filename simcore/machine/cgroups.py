"""Limits of the control groups of this process, v1 and v2: CPUs and memory.

A batch system or a container sets the limit in the process's own group or in one above it. Neither
psutil nor loky looks there: psutil reports the whole machine, loky reads the root group alone.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

MEMBERSHIP = Path("/proc/self/cgroup")
"""The groups of the process, lines of ``number:controllers:path``."""

ROOT = Path("/sys/fs/cgroup")
"""The folder where the hierarchies are mounted."""


def cpu_limit(membership: Path = MEMBERSHIP, root: Path = ROOT) -> float | None:
    """Return the number of CPUs that the groups of this process grant; None if unlimited."""
    limits = []
    for folder in _groups("cpu", membership, root):
        quota, period, *_ = [
            *_words(folder / "cpu.max"),
            *_words(folder / "cpu.cfs_quota_us"),
            *_words(folder / "cpu.cfs_period_us"),
            *("", ""),
        ]
        if quota.isdecimal() and period.isdecimal() and int(period):
            limits.append(int(quota) / int(period))
    return min(limits, default=None)


def memory_left(membership: Path = MEMBERSHIP, root: Path = ROOT) -> int | None:
    """Return the bytes that the groups of this process may still take; None if unlimited.

    Cached files that are not in use count as free, since the kernel drops them first.
    """
    left = []
    for folder in _groups("memory", membership, root):
        v2 = _numbers(folder / "memory.max"), _numbers(folder / "memory.current")
        v1 = (
            _numbers(folder / "memory.limit_in_bytes"),
            _numbers(folder / "memory.usage_in_bytes"),
        )
        for limit, usage in (v2, v1):
            if limit and usage:
                left.append(max(0, limit[0] - usage[0] + _unused_cache(folder)))
    return min(left, default=None)


def _groups(controller: str, membership: Path, root: Path) -> Iterator[Path]:
    """Yield the folders of the process's groups for a controller, and of those above them.

    In a container the path is often that of the host; the container's own root then has the limit.
    """
    try:
        lines = membership.read_text().splitlines()
    except OSError:
        return
    for line in lines:
        _, controllers, path = [*line.split(":", 2), "", ""][:3]
        if controllers and controller not in controllers.split(","):
            continue
        mounts = (root / controller, root / controllers) if controllers else ("", "unified")
        for mount in {root / name for name in mounts}:
            folder = mount / path.lstrip("/")
            yield folder
            yield from (above for above in folder.parents if above.is_relative_to(mount))


def _words(path: Path) -> list[str]:
    try:
        return path.read_text().split()
    except OSError:
        return []


def _numbers(path: Path) -> list[int]:
    return [int(word) for word in _words(path) if word.isdecimal()]


def _unused_cache(folder: Path) -> int:
    """Return the bytes of files in the cache that were not used lately."""
    words = _words(folder / "memory.stat")
    fields = dict(zip(words[::2], words[1::2], strict=False))
    return int(fields.get("total_inactive_file", fields.get("inactive_file", "0")))
