"""The size that a dry run tells, against files."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from simcore.execution.execute import execute
from simcore.files.estimate import estimate_bytes
from simcore.files.run_file import write_run
from simcore.files.run_results import RunResults
from simcore.runs.run import Run
from tests.support.results import statistics

FACTOR = 1.3

RUNS: dict[str, dict[str, Any]] = {
    "small": {"depth": 3, "width": (16,), "trials": 64},
    "without controls": {"depth": 20, "width": (64,), "trials": 256, "controls": "off"},
    "grid, nothing kept": {"depth": 10, "width": (32, 64, 128), "trials": 256, "keep": 0},
    "two axes": {"depth": 10, "width": (64, 128), "k": (0.0, 1.0), "trials": 192, "keep": 20},
    "many kept": {"depth": 30, "width": (64,), "trials": 1000, "keep": 1000},
    "many bins": {"depth": 20, "width": (64,), "trials": 1000, "bins": 1000},
    "batch": {"depth": 5, "width": (32,), "pairs": 3, "shared_network": True, "trials": 128},
    "shard": {"depth": 20, "width": (64,), "trials": 6400, "first_trial": 64, "keep": 0},
}


def check(run: Run, path: Path) -> None:
    real, told = path.stat().st_size, estimate_bytes(run)
    assert real / FACTOR <= told <= real * FACTOR, (real, told)


@pytest.mark.parametrize("name", RUNS)
def test_the_size_is_known_before_the_start(name: str, tmp_path: Path) -> None:
    run = Run(**RUNS[name])
    results = RunResults(run, statistics(run), complete=True)
    write_run(tmp_path / "run.h5", results, provenance={"host": "here", "command_line": "x" * 80})
    check(run, tmp_path / "run.h5")


@pytest.mark.parametrize(
    "values",
    [
        {"depth": 100, "width": (512,), "trials": 200},
        {"depth": 40, "width": (6,), "trials": 500},  # networks die
        {"depth": 30, "width": (100,), "trials": 300, "k": (0.0, float("inf"))},
    ],
)
def test_the_size_of_real_runs(values: dict[str, Any], tmp_path: Path) -> None:
    run = Run(**values)
    execute(run, output=tmp_path / "run.h5", threads=1)
    check(run, tmp_path / "run.h5")
