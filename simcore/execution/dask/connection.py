"""The connection of a run to a Dask cluster: to a scheduler, or to processes started here."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from simcore.errors import ClusterError
from simcore.execution.progress import EventLog

from .address import address_of
from .local_workers import LocalWorkers
from .worker import Job, VersionMismatchError, prepare

if TYPE_CHECKING:
    from distributed import Client, Future, LocalCluster


TALKATIVE = ("distributed", "tornado", "asyncio")
"""Loggers that report lost connections at length; `announce` says what matters in a line."""

CONNECT_SECONDS = 30.0
CLOSE_SECONDS = 3.0

PREPARE_SECONDS = 60.0
"""Wait for workers that are slow to compile, once one is ready."""

NO_GPU = (
    "no worker offers a GPU; waiting for one. Start it with dask worker --nthreads 1 "
    "--resources GPU=1"
)

LOCAL_FAILURES = 100
"""Workers of this machine that may die under a task: each is started again."""


@dataclass
class Connection:
    """A client of a Dask scheduler.

    `gpus` names the GPU of each process of ``"local:N"``; `threads` are shared by them.
    """

    scheduler: str
    processes: int | None
    threads: int
    gpus: list[str]
    log: EventLog
    announce: Callable[[str], None]
    _client: Client | None = None
    arrivals: Any = None
    """Futures that are done (`distributed.as_completed`)."""
    _cluster: LocalCluster | None = None
    _workers: LocalWorkers | None = None
    _closed: bool = False
    _levels: dict[str, int] = field(default_factory=dict)

    def open(self, stopping: Callable[[], bool]) -> bool:
        """Connect and wait for a worker (all of ``"local:N"``); False if asked to stop meanwhile.

        Raises
        ------
        ClusterError
            If there is no scheduler.
        """
        import distributed  # noqa: F401 - it sets up its loggers

        self._silence()
        client = self._connect()
        dashboard = ""
        if "dashboard" in client.scheduler_info()["services"]:
            dashboard = client.dashboard_link
            self.announce(f"dashboard: {dashboard}")
        self.log("cluster", scheduler=self.scheduler, dashboard=dashboard)
        while len(self.ask("ncores", workers=None)) < (self.processes or 1):
            if stopping():
                return False
            if self._workers is not None:
                self._workers.check()
                self._workers.restart()
            time.sleep(0.1)
        return True

    def prepare_workers(
        self, job: Job, resources: dict[str, int], run_id: str, stopping: Callable[[], bool]
    ) -> None:
        """Compile on every worker, until all are ready, or one is and the others take too long.

        A worker that is lost or slow meanwhile compiles with its first task.

        Raises
        ------
        ClusterError
            If a worker's software differs from this process's.
        """
        from distributed import KilledWorker

        under_way: dict[str, Future] = {}
        ready, told, patience = False, False, 0.0
        while not stopping():
            present = self.ask("ncores", workers=None)
            for worker in present.keys() - under_way.keys():
                under_way[worker] = self.client.submit(
                    prepare,
                    job,
                    resources,
                    key=f"simcore-{run_id}-prepare-{worker}",
                    pure=False,
                    workers=[worker],
                    allow_other_workers=False,
                )
            status = {worker: under_way[worker].status for worker in present}
            for worker in [worker for worker, how in status.items() if how == "error"]:
                error = under_way[worker].exception()
                if not isinstance(error, KilledWorker):
                    raise _unfit(worker, error or RuntimeError("it says nothing"))
            done = [under_way[worker] for worker, how in status.items() if how == "finished"]
            if not ready and self._any_able(done, resources):
                ready, patience = True, time.monotonic() + PREPARE_SECONDS
            if done and not (ready or told) and len(done) == len(status):
                told = True
                self.announce(NO_GPU)
            if ready and ("pending" not in status.values() or time.monotonic() > patience):
                return
            time.sleep(0.1)

    def _any_able(self, prepared: list[Future], resources: dict[str, int]) -> bool:
        """Return whether any worker that is ready offers what the run needs."""
        if not resources:
            return bool(prepared)
        return any(self.client.gather(prepared, errors="skip"))

    def _silence(self) -> None:
        for name in logging.root.manager.loggerDict:
            if name.partition(".")[0] in TALKATIVE:
                self._levels[name] = logging.getLogger(name).level
                logging.getLogger(name).setLevel(logging.CRITICAL + 1)

    def _connect(self) -> Client:
        from distributed import Client, as_completed

        try:
            if self.processes is not None:
                self._cluster = self._start(self.processes)
                client = Client(self._cluster, set_as_default=False)
            else:
                address = address_of(self.scheduler)
                asyncio.run(_greet(address))
                client = Client(address, timeout=CONNECT_SECONDS, set_as_default=False)
        except ClusterError:
            raise
        except Exception as error:
            self._drop_clients()
            reason = " ".join(str(error).split()) or type(error).__name__
            raise ClusterError(
                f"no Dask scheduler answers at {self.scheduler} ({reason}). Start one with "
                "dask scheduler, and workers with dask worker."
            ) from error
        self._client = client
        self.arrivals = as_completed(with_results=True, raise_errors=False, loop=client.loop)
        if self._closed:
            self.close()
        return client

    @staticmethod
    def _drop_clients() -> None:
        """Close a client that could not connect: it would wait at the end."""
        from distributed import Client

        for client in list(Client._instances):
            if client.status != "running":
                with contextlib.suppress(Exception):
                    client.close(timeout=0)

    def _start(self, processes: int) -> LocalCluster:
        import dask
        from distributed import LocalCluster

        with dask.config.set({"distributed.scheduler.allowed-failures": LOCAL_FAILURES}):
            cluster = LocalCluster(
                n_workers=0,
                host="127.0.0.1",
                dashboard_address="127.0.0.1:0",
                silence_logs=logging.CRITICAL,
            )
        # A GPU is driven by one thread.
        threads = 1 if self.gpus else max(1, self.threads // processes)
        address = cluster.scheduler_address
        self._workers = LocalWorkers(address, processes, threads, self.gpus)
        return cluster

    def ask(self, question: str, **about: object) -> dict[str, Any]:
        """Ask the scheduler something; a scheduler that does not answer is lost."""
        method = getattr(self.client.scheduler, question)
        found: dict[str, Any] = self.client.sync(method, callback_timeout=CONNECT_SECONDS, **about)
        return found

    @property
    def client(self) -> Client:
        """The client, once `open` has connected it."""
        assert self._client is not None
        return self._client

    @property
    def running(self) -> bool:
        """True while the client has its scheduler."""
        return self._client is not None and self._client.status == "running"

    def restart_workers(self) -> None:
        """Start processes of ``"local:N"`` again that have died."""
        if self._workers is not None and (dead := self._workers.restart()):
            self.log("restarted", processes=dead)

    def lost(self) -> ClusterError:
        """Return the error of a lost scheduler."""
        return ClusterError(
            f"the Dask scheduler at {self.scheduler} is lost. Start it again, or leave "
            "--scheduler out; then resume."
        )

    def close(self) -> None:
        """Leave the scheduler, and end the processes started here."""
        self._closed = True
        if self._workers is not None:
            self._workers.close()
        for part in (self._client, self._cluster):
            if part is not None:
                with contextlib.suppress(Exception):
                    part.close(timeout=CLOSE_SECONDS)
        for name, level in self._levels.items():
            logging.getLogger(name).setLevel(level)


async def _greet(address: str) -> None:
    """Connect once and leave: Dask's client waits for ever for a port that says nothing.

    Raises
    ------
    ClusterError
        If the address needs certificates and Dask's configuration names none.
    OSError, ValueError
        If no scheduler answers; from other programs' answers anything may be raised.
    """
    from distributed import Security
    from distributed.comm.core import connect

    options = Security().get_connection_args("client")
    if address.startswith(("tls:", "wss:")) and options.get("ssl_context") is None:
        raise ClusterError(
            f"{address} needs certificates, and Dask's configuration names none. Set "
            "distributed.comm.tls.ca-file, and cert and key of distributed.comm.tls.client."
        )
    try:
        async with asyncio.timeout(CONNECT_SECONDS):
            comm = await connect(address, timeout=CONNECT_SECONDS, **options)
    except TimeoutError:
        raise OSError(f"nothing that Dask understands within {CONNECT_SECONDS:g} s") from None
    comm.abort()


def _unfit(worker: str, error: BaseException) -> ClusterError:
    if isinstance(error, VersionMismatchError):
        _, differing = error.args
        return ClusterError(
            f"worker {worker} has other software: {differing}. Install the same versions on the "
            "client and on all workers."
        )
    if isinstance(error, ModuleNotFoundError):
        return ClusterError(
            f"worker {worker} can't import {error.name}. Install the same simcore there as here."
        )
    reason = " ".join(str(error).split()) or type(error).__name__
    return ClusterError(f"worker {worker} can't be used ({type(error).__name__}: {reason}).")
