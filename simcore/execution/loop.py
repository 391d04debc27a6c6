"""The loop of a run: hands tasks to an engine, folds results, writes, reports progress.

It knows no device and no physics: the agenda (`simcore.execution.schedule`) chooses the tasks, an
engine (`simcore.execution.engines`, `simcore.execution.dask.cluster`) runs them.
"""

from __future__ import annotations

import json
import os
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TypedDict

import numpy as np

from simcore.errors import ClusterError, OutputError
from simcore.files.run_results import RunResults
from simcore.machine.cpus import resolve_threads
from simcore.machine.gpu import used
from simcore.numerics.kernels import compilations
from simcore.runs.limits import DEFAULTS
from simcore.runs.run import Run
from simcore.statistics.blocks import BLOCK, Task
from simcore.statistics.tree import PointStatistics

from .engines import DeviceEngine, Done, Engine, ThreadEngine
from .progress import Control, EventLog, Progress, Report
from .schedule import Agenda
from .throughput import Throughput

POLL_SECONDS = 0.1

GRACE_SECONDS = 1.0

CHECKPOINT_COST = 50.0
"""The next checkpoint comes no sooner than this many times the last one's duration."""

AGAIN_SECONDS = 0.5
"""Trials of less time are not saved before theory is computed: a file takes about 0.1 s."""


@dataclass(frozen=True)
class Outcome:
    """Outcome of a run.

    Parameters
    ----------
    results
        Its results; complete unless it was stopped before its end.
    output
        The file written, if any.
    seconds
        Wall time of the simulation in this process, without compiling.
    node_updates
        Updates of one node for a pair of signals that this process put into the statistics.
    unmet
        Points that had all their trials and missed the target for the standard error, with the
        error they reached; empty where no target was set.
    """

    results: RunResults
    output: Path | None
    seconds: float
    node_updates: int
    unmet: list[tuple[int, float]] = field(default_factory=list)

    @property
    def run(self) -> Run:
        """The run."""
        return self.results.run

    @property
    def points(self) -> Sequence[PointStatistics]:
        """Statistics of every point, in the order of `Run.points`."""
        return self.results.points

    @property
    def complete(self) -> bool:
        """False where the run was stopped before its end."""
        return self.results.complete


class Options(TypedDict, total=False):
    """Options of the execution of a run; they do not affect its results.

    Parameters
    ----------
    threads
        Threads to use; None takes what the machine grants (`threads.default_threads`).
    scheduler
        A Dask cluster to use instead of the threads of this process: an address
        (``"tcp://host:8786"``), a scheduler file, or ``"local:N"`` for N processes here.
    checkpoint
        Seconds between checkpoints.
    report
        Called a few times a second with the progress.
    control
        Requests to stop or to write a checkpoint.
    provenance
        More to note in the file about where and how it was made.
    log
        Takes every task and checkpoint.
    announce
        Called with a line that the user should see: a lost worker, where the dashboard is.
    """

    threads: int | None
    scheduler: str | None
    checkpoint: float
    report: Report | None
    control: Control | None
    provenance: Mapping[str, object] | None
    log: EventLog | None
    announce: Callable[[str], None] | None


class Loop:
    """One execution of a run.

    It fills `points`, the statistics in the order of `Run.points`. Without `output` the results
    stay in memory.
    """

    def __init__(
        self, run: Run, points: list[PointStatistics], output: Path | None, options: Options
    ) -> None:
        self.run, self.points, self.output = run, points, output
        self.threads = resolve_threads(options.get("threads"))
        self.checkpoint = options.get("checkpoint", DEFAULTS.checkpoint)
        self.report = options.get("report") or (lambda _: None)
        self.control = options.get("control") or Control()
        self.log = options.get("log") or EventLog(None)
        self.announce = options.get("announce") or (lambda _: None)
        self.provenance = dict(options.get("provenance") or {})
        self.nodes = [point.nodes(run.depth) for point in run.points]
        self.agenda = Agenda(run, points)
        self.throughput = Throughput()
        self.engine = self._engine(options.get("scheduler"))
        here = options.get("scheduler") is None
        self.device = used(run) if here else run.device
        self.pending: Task | None = None
        self.done_trials = sum(point.trials() for point in points)
        self.resumed = self._updates([point.trials() for point in points])
        self.done_nodes = 0
        self.unsaved, self.whole = False, True
        self.told = ("", 0.0)
        self.started = 0.0
        self.next_checkpoint = 0.0
        self.written = 0.0

    def _engine(self, scheduler: str | None) -> Engine:
        if scheduler is None and self.run.device == "cuda":
            return DeviceEngine(self.run)
        if scheduler is None:
            return ThreadEngine(self.run, self.threads)
        from .dask.cluster import ClusterEngine

        return ClusterEngine(self.run, scheduler, self.threads, self.log, self.announce)

    def _updates(self, trials: list[int]) -> int:
        return sum(n * nodes for n, nodes in zip(trials, self.nodes, strict=True))

    def execute(self) -> Outcome:
        """Prepare, run, write."""
        self.log("start", config=self.run.digest(), trials_done=self.done_trials)
        try:
            results = self._work()
        except BaseException as error:
            self.log("stop", reason=str(error) or type(error).__name__)
            if not isinstance(error, OutputError):
                self._save()
            raise
        seconds = time.monotonic() - self.started if self.started else 0.0
        event = "end" if results.complete else "stop"
        self.log(event, trials_done=self.done_trials, seconds=seconds)
        unmet = self.agenda.unmet() if results.complete else []
        return Outcome(results, self.output, seconds, self.done_nodes, unmet)

    def _work(self) -> RunResults:
        """Run the tasks and write the file."""
        try:
            if not self.agenda.finished and self._prepare():
                self.started = time.monotonic()
                self.next_checkpoint = self.started + self.checkpoint
                self._run()
        except ClusterError:
            # A job that is ended loses its scheduler at the same moment as it is asked to stop.
            if not self.control.stop.wait(GRACE_SECONDS):
                raise
        finally:
            self.engine.close()
        results = self._finish() if self.agenda.finished else None
        if results is None:
            self._save()
            return RunResults(self.run, self.points, complete=False)
        return results

    def _save(self) -> None:
        """Write the work since the last checkpoint, if there is any."""
        if self.output is not None and self.unsaved and self.whole:
            self.write()

    def _finish(self) -> RunResults | None:
        """Add theory and write the file for the last time; None if asked to stop meanwhile."""
        from simcore.files.run_file import WriteStopped

        results = RunResults(self.run, self.points, complete=True)
        if self.output is not None:
            self._tell("writing")
            # Theory and the last write may take long, and may be killed: no work is to be lost by
            # it, but for what takes no longer than a file.
            if time.monotonic() - self.written > AGAIN_SECONDS:
                self._save()
            try:
                results.predict(self._look)
                self._tell("writing")
                self.write(results)
            except WriteStopped:
                return None
        return results

    def _look(self, detail: str) -> None:
        """Tell how far theory is; raise WriteStopped if a stop was asked for."""
        from simcore.files.run_file import WriteStopped

        self._tell("theory", detail)
        if self.control.stop.is_set():
            raise WriteStopped

    def _prepare(self) -> bool:
        """Make the engine ready; False if asked to stop meanwhile.

        In a thread of its own, since the compiler can't be stopped.
        """
        failure: list[BaseException] = []
        begun, done, before = compilations.begun, compilations.done, time.monotonic()

        def tell() -> None:
            phase = self.engine.phase
            if phase == "loading" and compilations.begun > begun:
                self._tell("compiling", f"{compilations.done - done} so far")
            else:
                self._tell(phase)

        def prepare() -> None:
            try:
                self.engine.prepare(self.control.stop.is_set)
            except BaseException as error:  # noqa: BLE001 - raised again by the other thread
                failure.append(error)

        tell()
        preparing = threading.Thread(target=prepare, daemon=True)
        preparing.start()
        while preparing.is_alive() and not self.control.stop.is_set():
            preparing.join(POLL_SECONDS)
            tell()
        if self.control.stop.is_set():
            return False  # what stops this process often stops a cluster's others, which then fails
        if failure:
            raise failure[0]
        if compiled := compilations.done - done:
            seconds = round(time.monotonic() - before, 1)
            kernels = "1 kernel" if compiled == 1 else f"{compiled} kernels"
            self.announce(f"compiled {kernels} in {seconds:g} s, kept for other runs")
        return True

    # --- tasks ----------------------------------------------------------------------------------

    def _run(self) -> None:
        while not self.control.stop.is_set():
            if (news := self.agenda.news()) is not None:
                self.announce(news)
            if not self.engine.busy:
                self.engine.plan(self.agenda.blocks + (self.pending is not None))
            self._hand_out()
            if not self.engine.busy:
                return
            for done in self.engine.poll(POLL_SECONDS):
                self._absorb(done)
            self._tell("running")
            due = time.monotonic() >= self.next_checkpoint or self.control.checkpoint.is_set()
            if due and self.output is not None:
                self.control.checkpoint.clear()
                self.write()

    def _hand_out(self) -> None:
        while True:
            task = self.pending or self.agenda.next_task(self.engine.task_blocks)
            if task is None or not self.engine.accepts(task):
                self.pending = task
                return
            self.pending = None
            self.engine.submit(task, self.points[task.point].bins)

    def _absorb(self, done: Done) -> None:
        result = done.result
        # An interrupt in the middle of this leaves a point that is not whole, and not to be saved.
        self.whole, self.unsaved = False, True
        task, point = result.task, self.points[result.task.point]
        if point.bins is None:
            point.bins = result.bins
        first = task.first_block * BLOCK
        if first >= self.run.first_trial:
            if task.partial:
                point.partial, point.partial_histogram = result.moments, result.histogram
            else:
                point.tree.add(task.level, task.first_block >> task.level, result.moments)
                point.histogram += result.histogram
            self._keep(point, first - self.run.first_trial, result.kept)
            self.done_trials += task.trials
            self.done_nodes += task.trials * self.nodes[task.point]
        self.whole = True
        self.agenda.done(task)
        self.throughput.add(done.worker, done.seconds, task.trials * self.nodes[task.point])
        self.log(
            "task",
            point=task.point,
            first_block=task.first_block,
            blocks=task.blocks,
            trials=task.trials,
            worker=done.worker,
            seconds=round(done.seconds, 6),
        )

    def _keep(self, point: PointStatistics, at: int, kept: np.ndarray) -> None:
        if kept.shape[0]:
            point.trajectories[at : at + kept.shape[0]] = kept
            point.count_kept()

    # --- telling and writing --------------------------------------------------------------------

    def _tell(self, phase: str, detail: str = "") -> None:
        now = time.monotonic()
        if phase == self.told[0] and now < self.told[1]:
            return
        self._report(phase, detail)
        # Sums over a large grid take a while: they may take a twentieth of the time.
        after = time.monotonic()
        self.told = (phase, after + 20.0 * (after - now))

    def _report(self, phase: str, detail: str) -> None:
        expected = self.agenda.expected_trials()
        self.report(
            Progress(
                phase=phase,
                trials=self.done_trials,
                total_trials=sum(expected),
                node_updates=self.resumed + self.done_nodes + self.engine.updates_in_flight(),
                total_node_updates=self._updates(expected),
                seconds=time.monotonic() - self.started if self.started else 0.0,
                resumed_updates=self.resumed,
                points_done=self.agenda.points_done,
                points=len(self.points),
                error=self.agenda.error,
                target=None if self.run.target is None else self.run.target.error,
                detail=detail,
            )
        )

    def write(self, results: RunResults | None = None) -> None:
        """Write the file: its complete results, or a checkpoint.

        Raises
        ------
        OutputError
            If it can't be written.
        WriteStopped
            If asked to stop during the last write, which may take long.
        """
        from simcore.files.run_file import write_run
        from simcore.machine.provenance import collect_provenance

        assert self.output is not None
        before = time.monotonic()
        notes = collect_provenance(threads=self.threads, device=self.device)
        write_run(
            self.output,
            results or RunResults(self.run, self.points, complete=False),
            provenance=notes | self.provenance | self._notes(before),
            stopping=None if results is None else self.control.stop.is_set,
        )
        self.unsaved = False
        now = self.written = time.monotonic()
        self.next_checkpoint = now + max(self.checkpoint, CHECKPOINT_COST * (now - before))
        self.log("checkpoint", complete=results is not None, seconds=round(now - before, 6))

    def _notes(self, now: float) -> dict[str, object]:
        """Return the facts about progress that `simcore info` shows."""
        expected = self._updates(self.agenda.expected_trials())
        notes: dict[str, object] = {
            "process": os.getpid(),
            "seconds": now - self.started if self.started else 0.0,
            "node_updates": self.done_nodes,
            "node_updates_left": max(0, expected - self.resumed - self.done_nodes),
            "points_done": self.agenda.points_done,
            "throughput": json.dumps(self.throughput.by_worker()),
        }
        if self.run.inputs is not None and self.run.inputs.source:
            notes["inputs"] = self.run.inputs.absolute_source
        return notes
