"""The loop: hands tasks to a sampler, folds what comes back, writes checkpoints, tells progress.

It knows no device and no physics. Two ways of work, which give the same bytes: many blocks at once,
one thread each; or, where blocks are few or slow, one block after the other with all threads.
"""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Iterator, Mapping
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from .moments import MomentTree, PointStatistics, zero_histogram
from .plan import BLOCK, DEFAULTS, KEPT, Run, Task
from .progress import Control, Progress, Report
from .samplers import sampler_for
from .samplers.contract import Sampler, Signals, TaskResult
from .threads import resolve_threads

__all__ = ["Outcome", "execute"]

POLL_SECONDS = 0.1
SLOW_BLOCK_SECONDS = 5.0
"""Blocks slower than this are shared by all threads, so that whole blocks come often."""

CHECKPOINT_COST = 50.0
"""The next checkpoint comes no sooner than this many times the last one's duration."""


@dataclass(frozen=True)
class Outcome:
    """What a run has left.

    Parameters
    ----------
    run
        Its description.
    points
        Statistics of every point, in the order of `Run.points`.
    output
        The file written, if any.
    complete
        False where it was stopped before its end.
    seconds
        Wall time of the simulation, without compiling.
    node_updates
        Updates of one node for a pair of signals that went into the statistics.
    """

    run: Run
    points: list[PointStatistics]
    output: Path | None
    complete: bool
    seconds: float
    node_updates: int


def execute(
    run: Run,
    *,
    output: Path | None = None,
    threads: int | None = None,
    checkpoint: float = DEFAULTS.checkpoint,
    report: Report | None = None,
    control: Control | None = None,
    provenance: Mapping[str, object] | None = None,
) -> Outcome:
    """Simulate a run.

    Parameters
    ----------
    run
        What to simulate.
    output
        Where to write; an existing file is replaced. None keeps the results in memory only.
    threads
        Threads to use; None takes what the machine grants (`threads.default_threads`).
    checkpoint
        Seconds between checkpoints.
    report
        Called a few times a second with the progress.
    control
        Requests to stop or to write a checkpoint.
    provenance
        More to note in the file about where and how it was made.

    Returns
    -------
    Outcome
        With `complete` False if it was stopped; the file then holds the whole blocks done so far.

    Raises
    ------
    OutputError
        If the file can't be written.
    KeyboardInterrupt
        On Ctrl-C where no handler was set, after the file was written.
    """
    loop = _Loop(run, sampler_for(run), output, resolve_threads(threads), checkpoint)
    loop.report = report or (lambda _: None)
    loop.control = control or Control()
    loop.provenance = dict(provenance or {})
    return loop.execute()


class _Loop:
    """One execution of a run."""

    report: Report
    control: Control
    provenance: dict[str, object]

    def __init__(
        self, run: Run, sampler: Sampler, output: Path | None, threads: int, checkpoint: float
    ) -> None:
        self.run, self.sampler, self.output, self.threads = run, sampler, output, threads
        self.points = [_empty_point(run) for _ in run.points]
        self.nodes = [point.nodes(run.depth) for point in run.points]
        self.checkpoint = checkpoint
        self.stop = np.zeros(16, dtype=np.int64)[8:9]
        self.flying: dict[Future[TaskResult], tuple[Task, Signals]] = {}
        self.shared: Signals | None = None
        self.done_trials = self.done_nodes = 0
        self.started = 0.0
        self.next_checkpoint = 0.0

    def execute(self) -> Outcome:
        """Compile, run, write."""
        if self.output is not None:
            self._write(complete=False)
        if not self._prepare():
            return Outcome(self.run, self.points, self.output, False, 0.0, 0)
        self.started = time.monotonic()
        self.next_checkpoint = self.started + self.checkpoint
        pool = ThreadPoolExecutor(self.threads)
        try:
            self._run(pool)
        except BaseException:
            self.stop[0] = 1
            pool.shutdown(cancel_futures=True)
            if self.output is not None:
                self._write(complete=False)
            raise
        self.stop[0] = 1
        pool.shutdown(cancel_futures=True)
        seconds = time.monotonic() - self.started
        complete = self.done_trials == self.run.trials * len(self.points)
        if self.output is not None:
            self._tell("writing")
            self._write(complete=complete, seconds=seconds)
        return Outcome(self.run, self.points, self.output, complete, seconds, self.done_nodes)

    def _prepare(self) -> bool:
        """Compile; False if asked to stop meanwhile, since the compiler itself can't be stopped."""
        failure: list[BaseException] = []

        def prepare() -> None:
            try:
                self.sampler.prepare()
            except BaseException as error:  # noqa: BLE001 - raised again by the other thread
                failure.append(error)

        self._tell("compiling")
        compiler = threading.Thread(target=prepare, daemon=True)
        compiler.start()
        while compiler.is_alive() and not self.control.stop.is_set():
            compiler.join(POLL_SECONDS)
        if failure:
            raise failure[0]
        return not self.control.stop.is_set()

    # --- tasks ----------------------------------------------------------------------------------

    def _run(self, pool: ThreadPoolExecutor) -> None:
        blocks = -(-self.run.trials // BLOCK) * len(self.points)
        slowest = max(self.sampler.seconds_per_block(p) for p in range(len(self.points)))
        few = blocks < 4 * self.threads or slowest > SLOW_BLOCK_SECONDS
        if self.threads > 1 and (few or len(self.points) < self.threads):
            for point in range(len(self.points)):
                self._share(self._first_task(point), pool)
                for task in self._later_tasks(point, blocks=1) if few else ():
                    self._share(task, pool)
            if few:
                return
            ready = deque(self._later_tasks(p) for p in range(len(self.points)))
            self._spread(pool, ready, iter(()))
        else:
            first = (self._first_task(point) for point in range(len(self.points)))
            self._spread(pool, deque(), first)

    def _first_task(self, point: int) -> Task:
        """Block 0, which fixes the bins; a shard that does not hold it runs it for them alone."""
        run = self.run
        trials = min(BLOCK, run.end_trial)
        return Task(point, 0, 1, trials)

    def _later_tasks(self, point: int, blocks: int | None = None) -> Iterator[Task]:
        first = max(self.run.first_trial, BLOCK)
        if first < self.run.end_trial:
            size = blocks or self._task_size(point)
            yield from self.run.tasks(point, first, self.run.end_trial, size)

    def _task_size(self, point: int) -> int:
        """Return the sampler's choice, but so small that every thread gets several tasks."""
        share = self.run.trials * len(self.points) // (BLOCK * 4 * self.threads)
        return min(self.sampler.blocks_per_task(point), 1 << max(0, share.bit_length() - 1))

    def _share(self, task: Task, pool: ThreadPoolExecutor) -> None:
        """Run one block with all threads, and wait for it in this one."""
        if self.control.stop.is_set():
            return
        signals = Signals.sharing(self.stop)
        bins = self.points[task.point].bins
        with ThreadPoolExecutor(1) as conductor:
            future = conductor.submit(
                self.sampler.run_shared, task, bins, signals, pool, self.threads
            )
            self.flying[future] = (task, signals)
            self._wait()

    def _spread(
        self, pool: ThreadPoolExecutor, ready: deque[Iterator[Task]], first: Iterator[Task]
    ) -> None:
        """Run many tasks at once; a point's later tasks are ready once its first is done."""
        more = True
        while (more or self.flying) and not self.control.stop.is_set():
            while more and len(self.flying) < 2 * self.threads:
                task = _next_task(ready, first)
                if task is None:
                    break
                signals = Signals.sharing(self.stop)
                bins = self.points[task.point].bins
                future = pool.submit(self.sampler.run, task, bins, signals)
                self.flying[future] = (task, signals)
            more = bool(self.flying)
            for task in self._poll():
                if task.first_block == 0:
                    ready.append(self._later_tasks(task.point))

    def _wait(self) -> None:
        while self.flying:
            self._poll()

    def _poll(self) -> list[Task]:
        """Wait a moment; take in what is done; look after checkpoints, stop and progress."""
        done, _ = wait(self.flying, timeout=POLL_SECONDS, return_when=FIRST_COMPLETED)
        if self.control.stop.is_set():
            self.stop[0] = 1
            wait(self.flying)
            self.flying.clear()
            return []
        tasks = []
        for future in done:
            task, _ = self.flying.pop(future)
            self._absorb(future.result())
            tasks.append(task)
        self._tell("running")
        due = time.monotonic() >= self.next_checkpoint or self.control.checkpoint.is_set()
        if due and self.output is not None:
            self.control.checkpoint.clear()
            self._write(complete=False)
        return tasks

    def _absorb(self, result: TaskResult) -> None:
        task, point = result.task, self.points[result.task.point]
        if point.bins is None:
            point.bins = result.bins
        first = task.first_block * BLOCK
        if first < self.run.first_trial:
            return
        if task.partial:
            point.partial, point.partial_histogram = result.moments, result.histogram
        else:
            point.tree.add(task.level, task.first_block >> task.level, result.moments)
            point.histogram += result.histogram
        if result.kept.shape[0]:
            at = first - self.run.first_trial
            point.trajectories[at : at + result.kept.shape[0]] = result.kept
            missing = np.isnan(point.trajectories[:, 0, KEPT.index("inactive1")])
            point.kept = int(np.argmax(missing)) if missing.any() else missing.size
        self.done_trials += task.trials
        self.done_nodes += task.trials * self.nodes[task.point]

    # --- telling and writing --------------------------------------------------------------------

    def _tell(self, phase: str) -> None:
        flying = sum(int(signals.progress[0]) for _, signals in self.flying.values())
        self.report(
            Progress(
                phase=phase,
                trials=self.done_trials,
                total_trials=self.run.trials * len(self.points),
                node_updates=self.done_nodes + flying,
                total_node_updates=self.run.trials * sum(self.nodes),
                seconds=time.monotonic() - self.started if self.started else 0.0,
            )
        )

    def _write(self, *, complete: bool, seconds: float | None = None) -> None:
        from .provenance import collect_provenance
        from .store import write_run

        assert self.output is not None
        before = time.monotonic()
        notes = collect_provenance(threads=self.threads, device=self.run.device)
        notes |= self.provenance
        if seconds is not None:
            notes |= {"seconds": seconds, "node_updates": self.done_nodes}
        write_run(self.output, self.run, self.points, complete=complete, provenance=notes)
        now = time.monotonic()
        self.next_checkpoint = now + max(self.checkpoint, CHECKPOINT_COST * (now - before))


def _next_task(ready: deque[Iterator[Task]], first: Iterator[Task]) -> Task | None:
    """Take a task of a point that is under way, else start the next point."""
    while ready:
        task = next(ready[0], None)
        if task is not None:
            return task
        ready.popleft()
    return next(first, None)


def _empty_point(run: Run) -> PointStatistics:
    pairs = run.columns.pairs
    return PointStatistics(
        tree=MomentTree(),
        histogram=zero_histogram(run.depth, run.bins, pairs),
        trajectories=np.full((run.kept, run.depth, pairs * len(KEPT)), np.nan),
    )
