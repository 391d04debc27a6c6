"""Remaining work: for every point the trials up to its next look, cut into aligned tasks.

A *look* is a number of trials at which a point is judged: the end of the run, or with a target for
the standard error a pilot, then the number of trials that the pilot says are needed, then, where
the error is still too large, the number that this one says. No trial beyond the next look is begun,
so where a point stops depends on its numbers alone, never on threads or on the order of arrival.
"""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Callable, Iterator, Sequence

from simcore.runs.run import Run
from simcore.statistics.blocks import BLOCK, Task
from simcore.statistics.tree import PointStatistics

from .stopping import PILOT, deciding_error, needed, outlook

EARLIER_STEP = 2**20
"""Largest step between two looks in files of format 1.2, which doubled their trials."""


class _Stage:
    """One point on its way to its next look."""

    def __init__(self, run: Run, number: int, point: PointStatistics) -> None:
        self._run, self._number, self._point = run, number, point
        self._missing: list[tuple[int, int]] = []
        self._partial = 0
        self.flying = 0
        self.queued = False
        self._target = run.target
        self.error = math.nan
        """`deciding_error` at the last look; NaN before."""
        self.look = 0
        if self._target is not None:
            point.look = max(point.look, PILOT)
            reached = max((end for _, end in point.tree.spans()), default=0) * BLOCK
            while point.look < reached:
                point.look += min(point.look, EARLIER_STEP)
        self.finished = not self._advance()

    @property
    def wanted(self) -> int:
        """Trials that the point needs, as far as is known; 0 before its pilot has ended."""
        return self._point.look if self._point.look > PILOT else 0

    @property
    def waiting_for_bins(self) -> bool:
        """True if block 0 must come first, since it fixes the bins."""
        return self._point.bins is None

    @property
    def blocks(self) -> int:
        """Number of blocks to be handed out before the next look."""
        return sum(end - first for first, end in self._missing) + (self._partial > 0)

    def first_task(self) -> Task:
        """Return block 0; a shard that does not hold it runs it for the bins alone."""
        if self._missing and self._missing[0][0] == 0:
            return self.cut(1)
        if self._run.first_trial == 0:
            return self._last_task()
        return Task(self._number, 0, 1, BLOCK)

    def cut(self, size: int) -> Task:
        """Cut off the next task: aligned, and of at most `size` blocks (a power of two)."""
        if not self._missing:
            return self._last_task()
        first, end = self._missing[0]
        task = Task.cut(self._number, first, end, size)
        if first + task.blocks == end:
            del self._missing[0]
        else:
            self._missing[0] = (first + task.blocks, end)
        return task

    def _last_task(self) -> Task:
        task = Task(self._number, self.look // BLOCK, 1, self._partial)
        self._partial = 0
        return task

    def judge(self) -> None:
        """Turn to the next look, unless the last one is enough."""
        self.finished = self._enough() or not self._advance()

    def expected_trials(self) -> int:
        """Return an estimate of the trials that the point will have had in the end."""
        return self.look - self._run.first_trial

    def _advance(self) -> bool:
        """Turn to the next look that needs work; False if there is none."""
        while True:
            end = self._run.end_trial
            self.look = end if self._target is None else min(self._point.look, end)
            first, last = self._run.first_trial // BLOCK, self.look // BLOCK
            self._missing = list(_gaps(self._point, first, last))
            self._partial = self.look % BLOCK if self._point.partial is None else 0
            if self.blocks:
                return True
            if self._enough():
                return False

    def _enough(self) -> bool:
        """Judge the point at its look; if it needs more trials, find out how many."""
        moments = self._point.published()
        if self._target is None or moments is None:
            return True
        self.error = deciding_error(self._run, moments, self._target.observable)
        if not self.error > self._target.error or self.look == self._run.end_trial:
            return True
        self._point.look = needed(self.look, self.error, self._target.error)
        return False


def _gaps(point: PointStatistics, first: int, end: int) -> Iterator[tuple[int, int]]:
    """Yield the runs of blocks in [first, end) that are not in the point's tree."""
    for begun, ended in point.tree.spans():
        if begun > first:
            yield first, min(begun, end)
        first = max(first, ended)
        if first >= end:
            return
    if first < end:
        yield first, end


class Agenda:
    """Hands out the tasks of a run, in an order that keeps few points open at a time.

    `points` may be those of a new run, a checkpoint or a finished run to be extended. The loop puts
    results into them before it calls `done`.
    """

    def __init__(self, run: Run, points: Sequence[PointStatistics]) -> None:
        self._run = run
        self._stages = [_Stage(run, i, point) for i, point in enumerate(points)]
        self._fresh: deque[int] = deque()
        self._open: deque[int] = deque()
        unfinished = [i for i, stage in enumerate(self._stages) if not stage.finished]
        for i in unfinished:
            if self._stages[i].waiting_for_bins:
                self._fresh.append(i)
            else:
                self._queue(i)
        self._unfinished = len(unfinished)
        self._told = run.target is None

    @property
    def finished(self) -> bool:
        """True if every point has enough trials."""
        return self._unfinished == 0

    @property
    def points_done(self) -> int:
        """Number of points that have enough trials."""
        return len(self._stages) - self._unfinished

    @property
    def blocks(self) -> int:
        """Number of blocks to be handed out before the next looks."""
        return sum(stage.blocks for stage in self._stages)

    @property
    def error(self) -> float | None:
        """Largest standard error at the last look among unfinished points; None before the first.

        Also None where no target was set.
        """
        known = (s.error for s in self._stages if not s.finished and math.isfinite(s.error))
        return max(known, default=None) if self._run.target is not None else None

    def unmet(self) -> list[tuple[int, float]]:
        """Return the points that ended without reaching the target, and their errors."""
        target = self._run.target
        if target is None:
            return []
        ended = ((i, s.error) for i, s in enumerate(self._stages) if s.finished)
        return [(i, error) for i, error in ended if not error <= target.error]

    def news(self) -> str | None:
        """Return in words how many trials the target needs, once, when every pilot has ended."""
        going = [stage for stage in self._stages if not stage.finished]
        if self._told or not all(stage.wanted for stage in going):
            return None
        self._told = True
        telling = [stage.wanted for stage in going if not math.isinf(stage.error)]
        return outlook(self._run, telling, len(going) - len(telling))

    def expected_trials(self) -> list[int]:
        """Return an estimate of the trials that each point will have had in the end."""
        return [stage.expected_trials() for stage in self._stages]

    def next_task(self, size: Callable[[int], int]) -> Task | None:
        """Return the next task; None if all that may run is running or done.

        `size` gives the most blocks that a task of a point may have, a power of two.
        """
        while self._open and not (self._fresh and self._run.target is not None):
            stage = self._stages[self._open[0]]
            if stage.blocks:
                stage.flying += 1
                return stage.cut(size(self._open[0]))
            stage.queued = False
            self._open.popleft()
        if not self._fresh:
            return None
        stage = self._stages[self._fresh.popleft()]
        stage.flying += 1
        return stage.first_task()

    def done(self, task: Task) -> None:
        """Note that a task's result is in its point's statistics."""
        stage = self._stages[task.point]
        stage.flying -= 1
        if stage.flying == 0 and not stage.blocks:
            stage.judge()
            if stage.finished:
                self._unfinished -= 1
                return
            if stage.queued:  # the pilots of the others come first
                self._open.remove(task.point)
                self._open.append(task.point)
        if stage.blocks:
            self._queue(task.point)

    def _queue(self, point: int) -> None:
        if not self._stages[point].queued:
            self._stages[point].queued = True
            self._open.append(point)
