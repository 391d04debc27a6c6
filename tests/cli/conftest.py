"""`fake`: an empty folder to work in, and no simulation behind the command."""

from __future__ import annotations

from pathlib import Path

import pytest
from simcore.cli.summary import rows

from tests.cli.fakes import FakeRun, fake_dataset


@pytest.fixture
def fake(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> FakeRun:
    monkeypatch.chdir(tmp_path)
    execute = FakeRun()
    monkeypatch.setattr("simcore.execution.execute.execute", execute)
    monkeypatch.setattr(
        "simcore.cli.execution.rows_of_results",
        lambda results: rows(results.run, fake_dataset(results.run)),
    )
    for verdict in ("verdict_of_results", "verdict_on"):
        monkeypatch.setattr(f"simcore.cli.execution.{verdict}", lambda *_: [])
    return execute
