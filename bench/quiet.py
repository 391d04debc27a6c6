"""How much of the machine others take during a measurement, and waiting until they don't."""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from typing import Any

import psutil

QUIET = 0.05
"""Share of the machine's processor time that others may take in a measurement that counts."""


def processor_seconds() -> float:
    """Processor seconds used on this machine so far, by anybody, the host's other guests too."""
    times = psutil.cpu_times()
    return times.user + times.nice + times.system + times.irq + times.softirq + times.steal


def own_seconds() -> float:
    """Processor seconds of this process and all its descendants so far, ended ones too."""
    used = 0.0
    for process in [psutil.Process(), *psutil.Process().children(recursive=True)]:
        try:
            times = process.cpu_times()
        except psutil.NoSuchProcess:
            continue
        used += times.user + times.system + times.children_user + times.children_system
    return used


class Watch:
    """Share of the machine's processor time that others have taken since it was made."""

    def __init__(self) -> None:
        self._start = self._now()

    @staticmethod
    def _now() -> tuple[float, float, float]:
        return time.monotonic(), processor_seconds(), own_seconds()

    def others(self) -> float:
        wall, everybody, own = (b - a for a, b in zip(self._start, self._now(), strict=True))
        return max(0.0, everybody - own) / (wall * (os.cpu_count() or 1))


def undisturbed(run: Callable[[], Any], patience: float) -> tuple[Any, float]:
    """Run until others left the machine alone meanwhile, or patience has run out.

    Each time after two seconds in which they did. Returns what `run` returned the last time, and
    the share that others took then.
    """
    end = time.monotonic() + patience
    while True:
        _wait(end)
        watch = Watch()
        result, others = run(), watch.others()
        if others <= QUIET or time.monotonic() >= end:
            return result, others


def _wait(end: float) -> None:
    while time.monotonic() < end:
        watch = Watch()
        time.sleep(2.0)
        if watch.others() <= QUIET:
            return
