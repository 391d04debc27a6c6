"""Reports of a running simulation, and requests to it: progress, stop, checkpoint."""

from __future__ import annotations

import json
import os
import threading
import warnings
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from types import TracebackType

from simcore.errors import InputError, SimcoreWarning


@dataclass(frozen=True)
class Progress:
    """Progress of a run.

    Parameters
    ----------
    phase
        "loading" (kernels), "compiling" (them), "waiting" (for workers), "running", "theory" or
        "writing".
    trials, total_trials
        Trials done and to do, over all points; the total is an estimate where a target is set.
    node_updates, total_node_updates
        Updates of one node for a pair of signals, done (unfinished blocks included) and to do.
    seconds
        Wall time since the first trial started (0 before).
    resumed_updates
        Node updates that were done before this process began.
    points_done, points
        Points that have all they need, and all points.
    error, target
        The largest standard error among unfinished points at their last look, and the one to be
        reached; None where it is not known, or no target was set.
    detail
        How far compiling or theory is, in words; "" is unknown.
    """

    phase: str
    trials: int
    total_trials: int
    node_updates: int
    total_node_updates: int
    seconds: float
    resumed_updates: int = 0
    points_done: int = 0
    points: int = 1
    error: float | None = None
    target: float | None = None
    detail: str = ""

    @property
    def rate(self) -> float:
        """Node updates per second so far; 0 before anything is done."""
        return self._fresh / self.seconds if self.seconds > 0.0 else 0.0

    @property
    def seconds_left(self) -> float | None:
        """Estimate of the time left at the rate so far; None before anything is done."""
        if self._fresh <= 0 or self.seconds <= 0.0:
            return None
        return max(0, self.total_node_updates - self.node_updates) / self.rate

    @property
    def _fresh(self) -> int:
        return self.node_updates - self.resumed_updates


Report = Callable[[Progress], None]
"""Called a few times a second from the thread that runs the loop."""


@dataclass
class Control:
    """Requests to a running simulation; safe to set from a signal handler or another thread.

    Parameters
    ----------
    stop
        Finish no further task; write the whole blocks done so far and return.
    checkpoint
        Write a checkpoint soon, and continue.
    """

    stop: threading.Event = field(default_factory=threading.Event)
    checkpoint: threading.Event = field(default_factory=threading.Event)


def _at_once(path: str, flags: int) -> int:
    """Open a file; a pipe without a reader is refused, and a full one is not waited for."""
    return os.open(path, flags | os.O_NONBLOCK, 0o666)


class EventLog:
    """Events of a run as lines of JSON, one each: time (UTC), event, and its facts.

    docs/long-runs.md lists the events. A log that can't be written any more is given up with a
    warning: the run is worth more.

    Parameters
    ----------
    path
        The file, which is appended to; None keeps no log.

    Raises
    ------
    InputError
        If the file can't be opened.
    """

    def __init__(self, path: Path | None) -> None:
        try:
            self._file = None
            if path is not None:
                self._file = open(path, "a", 1, "utf-8", opener=_at_once)  # noqa: SIM115
        except (OSError, ValueError) as error:
            rule = f"can't be written ({getattr(error, 'strerror', None) or error})"
            raise InputError("log_json", str(path), rule, "Name another file.") from error

    def __enter__(self) -> EventLog:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._close()

    def __call__(self, event: str, **facts: object) -> None:
        """Write an event."""
        if self._file is not None:
            time = datetime.now(UTC).isoformat(timespec="milliseconds")
            try:
                self._file.write(json.dumps({"time": time, "event": event, **facts}) + "\n")
            except OSError as error:
                warnings.warn(
                    f"the log ends here, since it can't be written ({error.strerror})",
                    SimcoreWarning,
                    stacklevel=2,
                )
                self._close()

    def _close(self) -> None:
        if self._file is not None:
            with suppress(OSError):
                self._file.close()
            self._file = None
