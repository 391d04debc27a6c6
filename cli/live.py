"""Progress of a run on stderr: a live line on a terminal, occasional plain lines elsewhere."""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext

import typer

from simcore.api import Progress, Report

from .numbers import counted, duration, rate_text

FIRST_INTERVAL = 5.0
LONGEST_INTERVAL = 60.0
"""Seconds between plain lines: the first ones, and those of a long run."""

PHASES = {
    "loading": "loading kernels",
    "compiling": "compiling kernels, once per installation, about half a minute",
    "waiting": "waiting for workers of the Dask cluster",
    "running": "running",
    "theory": "computing theory",
    "writing": "writing",
}
PREPARING = ("loading", "compiling", "waiting")
"""Phases before the first trial."""
BETWEEN = ("theory", "writing")
"""Phases that are no news: checkpoints alternate with work, and theory mostly takes a moment."""


def describe(progress: Progress) -> str:
    """Return the progress of a run in words: trials, rate and time left, each once it is known."""
    if progress.phase in (*PREPARING, "theory"):
        return progress.detail
    parts = [f"{_trials(progress)} of {counted(progress.total_trials, 'trial')}"]
    if progress.rate > 0.0:
        parts.append(rate_text(progress.rate))
    if progress.target is not None and progress.error is not None:
        parts.append(f"error {progress.error:.2g} of {progress.target:.2g}")
    if progress.points > 1:
        parts.append(f"{progress.points_done} of {progress.points} points done")
    left = progress.seconds_left
    if progress.phase == "running" and left is not None:
        parts.append(f"about {duration(max(left, 0.0))} left")
    return ", ".join(parts)


def _trials(progress: Progress) -> int:
    """Return the trials that are done, with what running ones amount to where all cost the same."""
    if progress.points > 1:
        return progress.trials
    in_all = progress.node_updates / max(1, progress.total_node_updates) * progress.total_trials
    return min(max(progress.trials, int(in_all)), progress.total_trials)


def choose_report(
    *, quiet: bool, words: Callable[[Progress], str] = describe
) -> AbstractContextManager[Report | None]:
    """Return the report that suits stderr, as a context manager; None if `quiet`.

    `words` turns progress into text.
    """
    if quiet:
        return nullcontext()
    # A live line needs a terminal that can move its cursor.
    if sys.stderr.isatty() and os.environ.get("TERM", "dumb") not in ("dumb", "unknown"):
        return live_report(words)
    return nullcontext(PlainReport(words=words))


class PlainReport:
    """A line when the phase changes and then at most every few seconds, ever more rarely."""

    def __init__(
        self,
        clock: Callable[[], float] = time.monotonic,
        words: Callable[[Progress], str] = describe,
    ) -> None:
        self._clock, self._words = clock, words
        self._start = clock()
        self._due = self._start + FIRST_INTERVAL
        self._phase = ""

    def __call__(self, progress: Progress) -> None:
        """Write a line if one is due."""
        now = self._clock()
        last = self._phase
        news = progress.phase not in (last, "loading", *BETWEEN) and last not in BETWEEN
        # How many kernels there are is not known, so that a second line would say nothing.
        again = progress.phase == last == "compiling"
        if again or (not news and now < self._due):
            return
        self._phase = progress.phase
        elapsed = now - self._start
        self._due = now + min(max(FIRST_INTERVAL, elapsed / 10.0), LONGEST_INTERVAL)
        detail = "" if progress.phase == "compiling" else self._words(progress)
        label = PHASES.get(progress.phase, progress.phase)
        typer.echo(f"{label}: {detail}" if detail else label, err=True)


@contextmanager
def live_report(words: Callable[[Progress], str] = describe) -> Iterator[Report]:
    """Show a live line with a bar, and yield the function that brings it up to date."""
    from rich.console import Console
    from rich.progress import BarColumn, SpinnerColumn, TextColumn
    from rich.progress import Progress as Bar

    columns = (
        SpinnerColumn(),
        TextColumn("{task.description}"),
        BarColumn(bar_width=20),
        TextColumn("{task.fields[detail]}"),
    )
    with Bar(*columns, console=Console(stderr=True), transient=True) as bar:
        task = bar.add_task("starting", total=None, detail="")

        def show(progress: Progress) -> None:
            preparing = progress.phase in PREPARING
            bar.update(
                task,
                description=PHASES.get(progress.phase, progress.phase),
                total=None if preparing else float(progress.total_node_updates),
                completed=float(progress.node_updates),
                detail=words(progress),
            )

        yield show
