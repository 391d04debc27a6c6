"""Training a plan, or resuming its file: jobs to threads, results to the file."""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Iterator, Mapping
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from simcore.execution.progress import Control, Progress, Report
from simcore.files.destination import claim
from simcore.files.lock import only_writer
from simcore.machine.cpus import resolve_threads
from simcore.machine.provenance import collect_provenance, version

from ..errors import DeviceError, InputError
from .agenda import networks_in_all, outstanding
from .jobs import Job, Trained
from .plan import Plan
from .results import Results
from .room import check_room, is_memory_error, no_room
from .store import read_results, to_dataset, write_training

if TYPE_CHECKING:
    import xarray as xr


LOOK = 0.2
"""Seconds between two checks for requests to stop and two reports of progress."""

CHECKPOINT = 2.0
"""Least seconds between two writes; the last one is made at once."""


@dataclass(frozen=True)
class Outcome:
    """Results of a run, and its wall time in seconds.

    `complete` is False if it was stopped; its file then holds the results so far.
    """

    results: Results
    complete: bool
    seconds: float


def train(
    plan: Plan,
    *,
    output: str | os.PathLike[str] | None = None,
    overwrite: bool = False,
    threads: int | None = None,
    report: Report | None = None,
) -> xr.Dataset:
    """Train networks from several kinds of initial weights, each at its own best rate.

    Parameters
    ----------
    plan
        A `TeacherStudent` or `Digits`.
    output
        File to write, readable by `open_training`; None keeps the results in memory.
    overwrite
        Whether an existing `output` may be replaced.
    threads
        Threads to use; None is what the machine grants this process. Results do not depend on it.
    report
        Called a few times a second with a `progress.Progress`, whose trials are networks and whose
        updates are those of a network's weights.

    Returns
    -------
    xarray.Dataset
        As from `open_training`.

    Raises
    ------
    InputError
        If PyTorch is missing, or `output` exists.
    DeviceError
        If the GPU that was asked for can't be used.
    OutputError
        If the file can't be written, or another process writes it.
    """
    path = None if output is None else Path(output)
    if path is not None:
        claim(path, overwrite=overwrite, replaces_results=True)
    return to_dataset(execute(plan, output=path, threads=threads, report=report).results)


def resume(
    path: str | os.PathLike[str], *, threads: int | None = None, report: Report | None = None
) -> xr.Dataset:
    """Resume a training run that was stopped or killed; the bytes are those of an unbroken run.

    Parameters
    ----------
    path
        The file of the run; it is replaced, unless it is complete.
    threads, report
        As for `train`.

    Raises
    ------
    FileFormatError
        If the file is no training run, is damaged, or was written by a newer program.
    InputError, OutputError
        As for `train`.
    """
    return to_dataset(go_on(Path(path), threads=threads, report=report).results)


def execute(
    plan: Plan,
    *,
    output: Path | None = None,
    threads: int | None = None,
    report: Report | None = None,
    control: Control | None = None,
    provenance: Mapping[str, object] | None = None,
) -> Outcome:
    """Train a plan; a file at `output` is replaced.

    Parameters as for `train`; `control` holds requests to stop, and `provenance` is added to the
    description of this process.
    """
    check_torch(plan)
    check_room(plan, resolve_threads(threads))
    _check_data(plan)
    loop = _Loop(Results(plan), output, threads, report, control, provenance)
    if output is None:
        return loop.run()
    with only_writer(output):
        loop.write(complete=False)
        return loop.run()


def go_on(
    path: Path,
    *,
    threads: int | None = None,
    report: Report | None = None,
    control: Control | None = None,
    provenance: Mapping[str, object] | None = None,
) -> Outcome:
    """Resume the run of a file; parameters as for `execute`."""
    with only_writer(path):
        results, complete = read_results(path)
        if complete:
            return Outcome(results, complete=True, seconds=0.0)
        check_torch(results.plan)
        check_room(results.plan, resolve_threads(threads))
        return _Loop(results, path, threads, report, control, provenance).run()


def check_torch(plan: Plan) -> None:
    """Raise InputError unless PyTorch is installed and has the plan's device."""
    try:
        import torch
    except ImportError as error:
        rule = "needs PyTorch, which is not installed"
        raise InputError("train", plan.task, rule, "Run: pip install 'torch>=2.4'.") from error
    if plan.device == "cuda" and not torch.cuda.is_available():
        rule = f"can't be used: PyTorch {torch.__version__} sees no GPU here"
        raise DeviceError("device", "cuda", rule, "Leave it out, or install PyTorch for CUDA.")


def _check_data(plan: Plan) -> None:
    """Raise InputError if the task has no data, before a file is written."""
    from .tasks import draw_data

    with _one_thread_each():
        draw_data(plan, "pilot", 0, plan.pilots)


class _Loop:
    """One process that trains: it hands jobs to threads and collects their results."""

    def __init__(
        self,
        results: Results,
        output: Path | None,
        threads: int | None,
        report: Report | None,
        control: Control | None,
        provenance: Mapping[str, object] | None,
    ) -> None:
        self._results, self._output = results, output
        self._threads = resolve_threads(threads)
        self._report, self._control = report, control or Control()
        self._given = provenance or {}
        self._updates: dict[Job, int] = {}
        self._stop = threading.Event()
        self._start = time.monotonic()
        self._before = results.networks()
        self._written = -CHECKPOINT

    def run(self) -> Outcome:
        """Train the networks that are left.

        On Ctrl-C where no handler was set, KeyboardInterrupt follows when the file is written.
        """
        # Several jobs would share a GPU, and gain nothing.
        workers = self._threads if self._results.plan.device == "cpu" else 1
        with _one_thread_each(), ThreadPoolExecutor(workers, "train") as pool:
            try:
                self._work(pool)
            except BaseException:
                self._stop.set()
                pool.shutdown(cancel_futures=True)
                self.write(complete=False)
                raise
        complete = not outstanding(self._results.plan, self._results)
        self.write(complete=complete)
        return Outcome(self._results, complete, time.monotonic() - self._start)

    def _work(self, pool: ThreadPoolExecutor) -> None:
        running: dict[Future[Trained], Job] = {}
        while not self._control.stop.is_set():
            for job in outstanding(self._results.plan, self._results):
                if job not in self._updates:
                    self._updates[job] = 0
                    running[pool.submit(self._train, job)] = job
            self._tell()
            if not running:
                return
            finished, _ = wait(running, LOOK, FIRST_COMPLETED)
            for future in finished:
                self._results.add(running.pop(future), future.result())
            due = time.monotonic() - self._written >= CHECKPOINT
            if finished and (due or self._control.checkpoint.is_set()):
                self.write(complete=False)
        self._stop.set()
        for future in running:
            future.cancel()

    def _train(self, job: Job) -> Trained:
        from .engine import Stopped, train_group

        networks = job.end - job.first

        def advance() -> None:
            if self._stop.is_set():
                raise Stopped
            self._updates[job] += networks

        plan = self._results.plan
        try:
            return train_group(plan, job, advance)
        except RuntimeError as error:
            if is_memory_error(error):
                raise no_room(plan) from error
            raise

    def _tell(self) -> None:
        if self._report is None:
            return
        plan, results = self._results.plan, self._results
        total = networks_in_all(plan, results)
        before = self._before * plan.steps
        self._report(
            Progress(
                phase="running",
                trials=results.networks(),
                total_trials=total,
                node_updates=before + sum(self._updates.values()),
                total_node_updates=total * plan.steps,
                seconds=time.monotonic() - self._start,
                resumed_updates=before,
            )
        )

    def write(self, *, complete: bool) -> None:
        """Write the file, if there is one."""
        self._control.checkpoint.clear()
        if self._output is None:
            return
        provenance = {
            **collect_provenance(device=self._results.plan.device, threads=self._threads),
            "torch_version": version("torch"),
            **self._given,
        }
        write_training(self._output, self._results, complete=complete, provenance=provenance)
        self._written = time.monotonic()


@contextmanager
def _one_thread_each() -> Iterator[None]:
    """Let each of our threads compute alone: sums then do not depend on their number."""
    import torch

    before = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(before)
