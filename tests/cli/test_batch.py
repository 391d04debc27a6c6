"""Options about several inputs through one network, from the command line to the `Run`."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from simcore.cli.simulate import main

from cli.result_table import columns
from cli.summary import rows_of_results
from simcore.files.run_results import RunResults
from simcore.runs.run import Run
from tests.cli.fakes import BASIC, FakeRun
from tests.support.results import statistics


@pytest.fixture
def inputs(tmp_path: Path) -> Path:
    """Twelve inputs of five components, one of them zero."""
    values = np.random.default_rng(0).standard_normal((12, 5))
    values[3] = 0.0
    path = tmp_path / "x.npy"
    np.save(path, values)
    return path


def test_pairs_share_a_network(fake: FakeRun) -> None:
    assert main([*BASIC, "--shared-network", "--pairs", "3", "--correlation", "0.9,-1,0.9"]) == 0
    assert fake.run.columns.pairs == 3
    assert fake.run.batch == 6
    assert fake.run.points[0].distances == pytest.approx((0.1, 2.0, 0.1))
    assert fake.run.dimensions == {}


def test_one_overlap_serves_all_pairs(fake: FakeRun) -> None:
    assert main([*BASIC, "--shared-network", "--pairs", "4", "--distance", "1e-20"]) == 0
    assert fake.run.points[0].distances == (1e-20,) * 4


@pytest.mark.usefixtures("inputs")
def test_inputs_of_a_file(fake: FakeRun, capsys: pytest.CaptureFixture[str]) -> None:
    assert main([*BASIC, "--inputs", "x.npy", "--pairs", "7", "--seed", "5"]) == 0
    run = fake.run
    assert run.inputs is not None
    assert (run.inputs.count, run.inputs.size, run.columns.pairs) == (12, 5, 7)
    assert run.points[0].fan_ins(3).tolist() == [5, 64, 64]
    told = capsys.readouterr().err
    assert "note: 12 inputs through each network, sampler dense" in told
    assert "zero" in told


def test_pairs_are_all_there_are_if_not_said(fake: FakeRun, tmp_path: Path) -> None:
    np.save(tmp_path / "y.npy", np.eye(3))
    assert main([*BASIC, "--inputs", "y.npy"]) == 0
    assert fake.run.inputs is not None
    assert fake.run.inputs.pairs == ((0, 1), (0, 2), (1, 2))


@pytest.mark.usefixtures("inputs")
def test_pairs_from_a_file(fake: FakeRun, tmp_path: Path) -> None:
    (tmp_path / "pairs.csv").write_text("0,1\n4,2\n")
    assert main([*BASIC, "--inputs", "x.npy", "--pairs", "pairs.csv"]) == 0
    assert fake.run.inputs is not None
    assert fake.run.inputs.pairs == ((0, 1), (4, 2))


@pytest.mark.usefixtures("inputs")
@pytest.mark.parametrize(
    ("pairs", "start"),
    [("67", "--pairs 67:"), ("none.csv", "--pairs none.csv:"), ("1.5", "--pairs")],
)
def test_pairs_that_can_not_be(
    fake: FakeRun, capsys: pytest.CaptureFixture[str], pairs: str, start: str
) -> None:
    assert main([*BASIC, "--inputs", "x.npy", "--pairs", pairs]) == 2
    told = capsys.readouterr().err
    assert told.startswith(start)
    assert told.count("\n") == 1
    assert fake.calls == []


@pytest.mark.usefixtures("inputs")
def test_a_batch_that_does_not_fit_is_refused_with_what_fits(
    fake: FakeRun, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("simcore.machine.memory.available_bytes", lambda: 100_000_000)
    wide = ["--width", "1e6", "--depth", "5", "--trials", "10", "--threads", "1"]
    assert main([*wide, "--inputs", "x.npy", "--pairs", "2"]) == 2
    told = capsys.readouterr().err
    assert told.startswith("--inputs x.npy: needs about 0.3")
    assert "At most 1 inputs fit" in told
    assert main([*wide, "--shared-network", "--pairs", "9"]) == 2
    told = capsys.readouterr().err
    assert told.startswith("--pairs 9: needs about 0.4")
    assert "At most 1 pairs fit" in told
    assert fake.calls == []


def test_the_same_inputs_are_the_same_run_wherever_they_lie(
    fake: FakeRun, inputs: Path, tmp_path: Path
) -> None:
    (tmp_path / "elsewhere").mkdir()
    inputs.rename(tmp_path / "elsewhere" / "y.npy")
    assert main([*BASIC, "--inputs", "elsewhere/y.npy"]) == 0
    np.savetxt(tmp_path / "z.csv", np.load(tmp_path / "elsewhere" / "y.npy"), delimiter=",")
    assert main([*BASIC, "--inputs", "z.csv", "--overwrite"]) == 0
    first, second = (call["run"] for call in fake.calls)
    assert first.digest() == second.digest()
    assert first.points[0].key == second.points[0].key


@pytest.mark.parametrize(("ensemble", "theory"), [("he", "0.06"), ("rai", "")])
def test_the_table_has_the_theory_of_dead_nodes(ensemble: str, theory: str) -> None:
    """Four independent inputs: 1/16 in the first layer."""
    run = Run(
        depth=1, width=(4,), ensemble=ensemble, correlation=(0.0,), pairs=2, shared_network=True
    )
    results = RunResults(run, statistics(run, 64), complete=True)
    shown = {column.heading: column.cells[0] for column in columns(rows_of_results(results))}
    assert "dead inputs" in shown
    of_nodes = [c for c in columns(rows_of_results(results)) if c.key == "nodes theory"]
    assert [column.cells[0][:4] for column in of_nodes] == ([theory] if theory else [])
