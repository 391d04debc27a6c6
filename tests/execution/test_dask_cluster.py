"""Tasks that come back without a result, schedulers that are none, workers of this machine."""

from __future__ import annotations

import socket
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from simcore.errors import ClusterError
from simcore.execution.dask import connection
from simcore.execution.dask.cluster import MOST_LOSSES, ClusterEngine, _Flight
from simcore.execution.dask.connection import Connection
from simcore.execution.execute import execute
from simcore.execution.progress import EventLog
from simcore.runs.run import Run
from simcore.statistics.blocks import Task

TASK = Task(point=0, first_block=0, blocks=1, trials=64)


def engine(status: str) -> Any:
    """An engine whose client is in this state, and what it does."""
    made: Any = object.__new__(ClusterEngine)
    made._connection = Connection("tcp://here:1", None, 1, [], EventLog(None), print)
    made._connection._client = SimpleNamespace(status=status)
    made.sent, made.told = [], []
    made._send = made.sent.append
    made._log = lambda event, **about: made.told.append((event, about["losses"]))
    return made


def flight() -> _Flight:
    return _Flight(TASK, None, expected=1.0, since=0.0)


@pytest.mark.parametrize("state", ["lost", "pending"])
def test_a_result_that_went_with_its_worker_is_computed_again(state: str) -> None:
    made, lost = engine("running"), flight()
    made._mend(lost, SimpleNamespace(status=state), None)
    assert made.sent == [lost]
    assert made.told == [("lost", 1)]


def test_a_task_that_always_loses_its_worker_ends_the_run() -> None:
    made, lost = engine("running"), flight()
    for _ in range(MOST_LOSSES - 1):
        made._mend(lost, SimpleNamespace(status="lost"), None)
    with pytest.raises(ClusterError, match="again and again"):
        made._mend(lost, SimpleNamespace(status="lost"), None)


@pytest.mark.parametrize(
    ("state", "client"), [("cancelled", "running"), ("lost", "connecting"), ("pending", "closed")]
)
def test_without_its_scheduler_a_run_ends(state: str, client: str) -> None:
    with pytest.raises(ClusterError, match="scheduler at tcp://here:1 is lost"):
        engine(client)._mend(flight(), SimpleNamespace(status=state), None)


@pytest.mark.parametrize("error", [OSError("in <TCP>: reset"), RuntimeError("closed")])
def test_a_scheduler_that_goes_while_kernels_are_compiled_is_lost(error: Exception) -> None:
    made = engine("running")

    def fail(_: object) -> None:
        raise error

    made._connection.open = fail
    with pytest.raises(ClusterError, match="scheduler at tcp://here:1 is lost"):
        made.prepare(lambda: False)


def opened(scheduler: str) -> None:
    Connection(scheduler, None, 1, [], EventLog(None), print).open(lambda: False)


def test_a_port_that_says_nothing_is_no_scheduler(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(connection, "CONNECT_SECONDS", 0.5)
    with socket.create_server(("127.0.0.1", 0)) as silent:
        address = f"tcp://127.0.0.1:{silent.getsockname()[1]}"
        with pytest.raises(ClusterError, match=r"no Dask scheduler answers.*understands within"):
            opened(address)


def test_tls_needs_certificates() -> None:
    with pytest.raises(ClusterError, match=r"needs certificates.*ca-file"):
        opened("tls://127.0.0.1:1")


def test_workers_of_this_machine_import_nothing_from_the_current_folder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("numbers", "simcore", "distributed"):
        (tmp_path / f"{name}.py").write_text("raise SystemExit('a file of the user')")
    monkeypatch.chdir(tmp_path)
    execute(Run(depth=2, width=(8,), trials=64), scheduler="local:1", threads=1)
