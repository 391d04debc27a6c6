"""A Dask cluster as the engine of a run: tasks out, results in, losses mended.

The client alone folds and writes. A worker that is lost costs its tasks, which Dask, and in the end
this module, hands out again; whichever copy of a task comes first counts, since all give the same
bytes. Workers may join at any time.
"""

from __future__ import annotations

import contextlib
import secrets
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from simcore.errors import ClusterError, InputError, SimcoreError
from simcore.execution.engines import Done
from simcore.execution.progress import EventLog
from simcore.machine.gpu import local_gpus
from simcore.runs.costs import SLOW_BLOCK_SECONDS
from simcore.runs.run import Run
from simcore.sampling.choose import sampler_for
from simcore.statistics.blocks import BLOCK, Task
from simcore.statistics.moments import Bins

from .address import check_scheduler
from .connection import Connection
from .worker import Job, Reply, VersionMismatchError, run_task, versions

if TYPE_CHECKING:
    from distributed import Future


SHORTEST_TASK, LONGEST_TASK = 0.2, 5.0
"""Seconds of a task: below, the coordinator's time shows; above, a lost worker costs much."""

TASKS_PER_SECOND = 300.0
"""Tasks a second that the coordinator handles at most; many workers get longer tasks for it."""

TASKS_PER_SLOT = 8
"""Tasks that a thread of the cluster should get in all, so that none waits long at the end."""

HANG_FACTOR = 20.0
"""A task that takes so many times its expected time is started again on another worker."""

HANG_FLOOR = 60.0
"""… but not before so many seconds, for a new worker compiles first."""

MOST_LOSSES = 5
"""Number of times that a task may lose its workers before it is assumed to be the cause."""

LOOK_SECONDS = 1.0
"""Between two looks at the cluster: how many threads, which tasks are late."""


@dataclass
class _Flight:
    """A task on its way, in one copy or two."""

    task: Task
    bins: Bins | None
    expected: float
    since: float
    futures: dict[str, Future] = field(default_factory=dict)
    losses: int = 0
    where: str = ""
    """The worker on which it hung."""


class ClusterEngine:
    """A Dask cluster (`engines.Engine`).

    Raises
    ------
    InputError
        If `scheduler` is not understood, or Dask is not installed; if the run is for GPUs and
        ``"local:N"`` names more processes than this machine has.
    DeviceError
        If it has none that can be used.
    """

    phase = "waiting"

    def __init__(
        self,
        run: Run,
        scheduler: str,
        threads: int,
        log: EventLog,
        announce: Callable[[str], None],
    ) -> None:
        processes = check_scheduler(scheduler)
        self._log, self._announce = log, announce
        self._estimate = sampler_for(run)
        self._points = len(run.points)
        self._resources = {"GPU": 1} if run.device == "cuda" else {}
        gpus = local_gpus(processes, run) if self._resources and processes is not None else []
        self._connection = Connection(scheduler, processes, threads, gpus, log, announce)
        source = "" if run.inputs is None else run.inputs.absolute_source
        if run.inputs is not None and not source:
            rule = "needs inputs from a file, which its workers read"
            remedy = "Save the array with numpy.save, and name that file."
            raise InputError("scheduler", scheduler, rule, remedy)
        self._job = Job(run.config_json(), source, versions())
        self._run_id = secrets.token_hex(4)
        self._copies = 0
        self._flights: dict[str, _Flight] = {}
        self._slots = self._most_threads = 1
        self._next_look = 0.0
        self._target = SHORTEST_TASK
        self._measured = self._estimated = 0.0
        self._starving = False

    # --- making ready ---------------------------------------------------------------------------

    def prepare(self, stopping: Callable[[], bool]) -> None:
        """Connect, wait for a worker (all of ``"local:N"``), check the versions, compile.

        Raises
        ------
        ClusterError
            If there is no scheduler or it is lost, or a worker's software differs from this
            process's.
        """
        try:
            if self._connection.open(stopping):
                self.phase = "compiling"
                self._connection.prepare_workers(self._job, self._resources, self._run_id, stopping)
                self._log("workers", threads=self._connection.ask("ncores", workers=None))
        except (OSError, RuntimeError) as error:
            raise self._connection.lost() from error

    # --- tasks ----------------------------------------------------------------------------------

    def plan(self, blocks: int) -> None:
        """Choose how long tasks should take: every thread of the cluster gets several."""
        self._look()
        seconds = [self._block_seconds(point) for point in range(self._points)]
        work = blocks * sum(seconds) / len(seconds)
        least = max(SHORTEST_TASK, self._slots / TASKS_PER_SECOND)
        wanted = work / (self._slots * TASKS_PER_SLOT)
        self._target = min(max(wanted, least), max(LONGEST_TASK, least))

    def _block_seconds(self, point: int) -> float:
        """Return the time of a block, by what tasks took so far."""
        ratio = self._measured / self._estimated if self._estimated else 1.0
        return self._estimate.seconds_per_block(point) * ratio

    def task_blocks(self, point: int) -> int:
        """Return how many blocks take about the time that a task should."""
        blocks = int(self._target / self._block_seconds(point))
        return 1 << (max(1, blocks).bit_length() - 1)

    def accepts(self, task: Task) -> bool:
        """Return whether there is room: two tasks for every thread, and a few."""
        del task
        return len(self._flights) < 2 * self._slots + 2

    def submit(self, task: Task, bins: Bins | None) -> None:
        """Hand a task to the cluster."""
        depth = max(1.0, (len(self._flights) + 1) / self._slots)
        if self._estimate.seconds_per_block(task.point) > SLOW_BLOCK_SECONDS:
            # All threads of a worker share a block, so its tasks wait for each other.
            depth *= self._most_threads
        expected = task.blocks * self._block_seconds(task.point) * depth
        self._send(_Flight(task, bins, expected, time.monotonic()))

    def _send(self, flight: _Flight, elsewhere: list[str] | None = None) -> None:
        task = flight.task
        self._copies += 1
        key = f"simcore-{self._run_id}-{self._copies}-point{task.point}-block{task.first_block}"
        try:
            flight.futures[key] = self._connection.client.submit(
                run_task,
                self._job,
                task,
                None if flight.bins is None else tuple(flight.bins),
                key=key,
                pure=False,
                resources=self._resources or None,
                workers=elsewhere,
                allow_other_workers=elsewhere is not None,
            )
        except (OSError, RuntimeError) as error:
            raise self._connection.lost() from error
        self._flights[key] = flight
        self._connection.arrivals.add(flight.futures[key])

    @property
    def busy(self) -> bool:
        """True if any task is in flight."""
        return bool(self._flights)

    def poll(self, seconds: float) -> list[Done]:
        """Return finished tasks; hand out again those that were lost or hang.

        Raises
        ------
        ClusterError
            If the scheduler is lost, a worker can't be used, or a task hangs twice.
        """
        arrivals = self._connection.arrivals
        with arrivals.thread_condition:
            if not arrivals.has_ready():
                arrivals.thread_condition.wait(seconds)
        found = []
        for future, result in arrivals.next_batch(block=False):
            flight = self._flights.pop(future.key, None)
            if flight is None:
                continue  # another copy came first
            del flight.futures[future.key]
            if future.status == "finished":
                found.append(self._take(flight, result))
            else:
                self._mend(flight, future, result)
        if time.monotonic() >= self._next_look:
            self._look()
        return found

    def _take(self, flight: _Flight, reply: Reply) -> Done:
        for key, copy in flight.futures.items():
            del self._flights[key]
            copy.cancel()
        if reply.seconds > 0.0:
            task = flight.task
            self._measured += reply.seconds
            self._estimated += task.blocks * self._estimate.seconds_per_block(task.point)
        return Done(reply.result, reply.worker, reply.seconds)

    def _mend(self, flight: _Flight, future: Future, result: Any) -> None:
        """Hand out a task again that came back without a result, or say why that is no use."""
        from distributed import KilledWorker

        # Its worker may have died between the end of the task and the sending of the result.
        lost = future.status != "error"
        if lost and (future.status == "cancelled" or not self._connection.running):
            raise self._connection.lost()
        error = None if lost else result[1]
        if lost or isinstance(error, KilledWorker):
            flight.losses += 1
            self._log("lost", **_named(flight.task), losses=flight.losses)
            if flight.losses >= MOST_LOSSES:
                raise ClusterError(
                    f"{_spoken(flight.task)} lost its worker again and again. Look at the memory "
                    "and the logs of the workers; then resume."
                ) from None
        elif isinstance(error, VersionMismatchError):
            self._refuse(*error.args)
        elif isinstance(error, SimcoreError):
            raise error
        else:
            reason = " ".join(str(error).split()) or type(error).__name__
            raise ClusterError(
                f"{_spoken(flight.task)} failed on a worker ({type(error).__name__}: {reason})."
            ) from error
        if not flight.futures:
            flight.since = time.monotonic()
            self._send(flight)

    def _refuse(self, worker: str, differing: str) -> None:
        """Send away a worker that joined later with other software."""
        self._announce(f"worker {worker} is sent away: {differing}")
        self._log("refused", worker=worker, differing=differing)
        with contextlib.suppress(OSError, KeyError):
            self._connection.client.retire_workers([worker], close_workers=True)

    def _look(self) -> None:
        """See how many threads there are, whether the scheduler lives, and which tasks are late."""
        self._next_look = time.monotonic() + LOOK_SECONDS
        self._connection.restart_workers()
        try:
            on = self._connection.ask("ncores", workers=None).values()
            threads, self._most_threads = sum(on), max(on, default=1)
            self._tell_starving(threads == 0)
            self._slots = max(1, threads)
            late = [flight for flight in self._flights.values() if self._is_late(flight)]
            if late:
                self._retry(late)
        except (OSError, RuntimeError) as error:
            raise self._connection.lost() from error
        if not self._connection.running:
            raise self._connection.lost()

    def _tell_starving(self, starving: bool) -> None:
        if starving != self._starving:
            self._starving = starving
            self._announce("no workers are left; waiting" if starving else "workers are back")
            self._log("starving", starving=starving)

    def _is_late(self, flight: _Flight) -> bool:
        limit = max(HANG_FLOOR, HANG_FACTOR * flight.expected)
        return time.monotonic() - flight.since > limit

    def _retry(self, late: list[_Flight]) -> None:
        """Start late tasks again on other workers; those that wait for a worker are not late."""
        on = self._connection.ask("processing", workers=None)
        worker_of = {key: worker for worker, keys in on.items() for key in keys}
        # A result that is there and does not come lies on a worker that does not answer.
        done = [k for f in late for k, future in f.futures.items() if future.status == "finished"]
        holders = self._connection.ask("who_has", keys=done) if done else {}
        worker_of |= {key: workers[0] for key, workers in holders.items() if workers}
        for flight in late:
            flight.since = time.monotonic()
            places = [worker_of[key] for key in flight.futures if key in worker_of]
            if not places:
                continue
            others = [worker for worker in on if worker not in places]
            self._log("hang", **_named(flight.task), workers=places)
            if flight.where or not others:
                workers = " and ".join(dict.fromkeys([flight.where or places[0], *places]))
                raise ClusterError(
                    f"{_spoken(flight.task)} hangs on {workers}: more than {HANG_FACTOR:g} times "
                    "its expected time. Look at these workers; then resume."
                )
            self._announce(f"{_spoken(flight.task)} hangs on {places[0]}: started again elsewhere")
            flight.where = places[0]
            self._send(flight, others)

    def updates_in_flight(self) -> int:
        """Return 0: workers tell of whole tasks only."""
        return 0

    def close(self) -> None:
        """Abandon tasks in flight, leave the scheduler, and end the processes started here."""
        self._connection.close()


def _named(task: Task) -> dict[str, object]:
    return {"point": task.point, "first_block": task.first_block, "blocks": task.blocks}


def _spoken(task: Task) -> str:
    first = task.first_block * BLOCK
    return f"trials {first} to {first + task.trials - 1} of point {task.point}"
