"""What the engine of a cluster makes of a task that comes back without a result."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest

from simcore.errors import ClusterError
from simcore.execution.dask.cluster import MOST_LOSSES, ClusterEngine, _Flight
from simcore.execution.dask.connection import Connection
from simcore.execution.progress import EventLog
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
