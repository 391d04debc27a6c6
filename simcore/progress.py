"""What a running simulation tells, and what it can be told: progress, stop, checkpoint."""

from __future__ import annotations

import threading
from collections.abc import Callable
from dataclasses import dataclass, field

__all__ = ["Control", "Progress", "Report"]


@dataclass(frozen=True)
class Progress:
    """How far a run is.

    Parameters
    ----------
    phase
        "compiling", "running" or "writing".
    trials, total_trials
        Trials done and to do, over all points.
    node_updates, total_node_updates
        Updates of one node for a pair of signals, done (unfinished blocks included) and to do.
    seconds
        Wall time since the first trial started (0 while compiling).
    """

    phase: str
    trials: int
    total_trials: int
    node_updates: int
    total_node_updates: int
    seconds: float

    @property
    def rate(self) -> float:
        """Node updates per second so far; 0 before anything is done."""
        return self.node_updates / self.seconds if self.seconds > 0.0 else 0.0

    @property
    def seconds_left(self) -> float | None:
        """Estimate of the time left at the rate so far; None before anything is done."""
        if self.node_updates == 0 or self.seconds <= 0.0:
            return None
        return (self.total_node_updates - self.node_updates) / self.rate


Report = Callable[[Progress], None]
"""Called a few times a second from the thread that runs the loop."""


@dataclass
class Control:
    """Requests to a running simulation; safe to set from a signal handler or another thread.

    Parameters
    ----------
    stop
        Finish nothing more; write what whole blocks there are and return.
    checkpoint
        Write a checkpoint soon, and go on.
    """

    stop: threading.Event = field(default_factory=threading.Event)
    checkpoint: threading.Event = field(default_factory=threading.Event)
