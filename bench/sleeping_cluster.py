"""A simulated cluster: a scheduler and sleeping workers, each process a child of this one."""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from pathlib import Path
from unittest import mock

import psutil
from events import Events
from sleeping_workers import result_of_a_task

from simcore.execution.dask.cluster import ClusterEngine
from simcore.execution.execute import Outcome, execute
from simcore.runs.run import Run
from simcore.statistics.blocks import BLOCK

__all__ = ["Cluster", "cluster", "on_cluster", "run_of"]

MOST_IN_A_PROCESS = 32
"""Workers that share a process; in the end it is their own work that keeps it busy."""


class Cluster:
    """A scheduler in a process of its own, and workers in others."""

    def __init__(self, folder: Path) -> None:
        self._file = folder / "scheduler.json"
        self._processes: list[subprocess.Popen[bytes]] = []
        self.workers = 0
        options = ["--host", "127.0.0.1", "--port", "0", "--no-dashboard", "--no-show"]
        options += ["--scheduler-file", str(self._file)]
        self._start("-m", "distributed.cli.dask_scheduler", *options)
        while not self._file.exists():
            time.sleep(0.05)
        self.address: str = json.loads(self._file.read_text())["address"]

    def _start(self, *arguments: str) -> None:
        quiet = subprocess.DEVNULL
        command = [sys.executable, *arguments]
        self._processes.append(subprocess.Popen(command, stdout=quiet, stderr=quiet))

    def grow(self, workers: int) -> None:
        """Start workers until there are so many, and wait for them."""
        from distributed import Client

        program = str(Path(__file__).with_name("sleeping_workers.py"))
        while self.workers < workers:
            more = min(workers - self.workers, MOST_IN_A_PROCESS)
            self._start(program, self.address, str(more))
            self.workers += more
        with Client(self.address, set_as_default=False) as client:
            client.wait_for_workers(workers, timeout=120)

    def processor_seconds(self) -> dict[str, float]:
        """Processor seconds so far of the client, the scheduler and all workers."""
        scheduler, *workers = [psutil.Process(process.pid) for process in self._processes]
        parts = {"client": [psutil.Process()], "scheduler": [scheduler], "workers": workers}
        times = {name: [process.cpu_times() for process in own] for name, own in parts.items()}
        return {name: sum(t.user + t.system for t in own) for name, own in times.items()}

    def close(self) -> None:
        for process in self._processes:
            process.kill()
            process.wait()


@contextmanager
def cluster() -> Iterator[Cluster]:
    with tempfile.TemporaryDirectory() as folder:
        made = Cluster(Path(folder))
        try:
            yield made
        finally:
            made.close()


def run_of(depth: int, milliseconds_per_block: int, blocks: int) -> Run:
    trials = blocks * BLOCK
    return Run(depth=depth, width=(milliseconds_per_block,), trials=trials, keep=0)


def on_cluster(where: Cluster, run: Run, blocks: int | None) -> tuple[Outcome, int]:
    """Run with tasks of so many blocks, None for the engine's choice; return the tasks, too."""
    events = Events()
    forced = mock.patch.object(ClusterEngine, "task_blocks", return_value=blocks)
    with forced if blocks else nullcontext():
        outcome = execute(run, scheduler=where.address, log=events)
    tasks = len(events.tasks())
    verify(outcome, tasks)
    return outcome, tasks


def verify(outcome: Outcome, tasks: int) -> None:
    """Hold the folded statistics against so many times what every task sends."""
    one, point = result_of_a_task(outcome.run.depth), outcome.points[0]
    moments = point.published()
    assert outcome.complete
    assert moments is not None
    assert (moments.count == tasks * one.moments.count).all()
    assert abs(moments.mean - one.moments.mean).max() <= 1e-12 * abs(one.moments.mean).max()
    assert (point.histogram == tasks * one.histogram).all()
