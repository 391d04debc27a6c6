"""`simulate --gradients`: table, verdicts, figures and report of the way back."""

from __future__ import annotations

from pathlib import Path

import pytest
from simcore.cli.main import main as simcore
from simcore.cli.simulate import main as simulate

import simcore as library
from simcore.physics.observables import GRADIENT_COVARIANCE, GRADIENT_NAMES

Told = pytest.CaptureFixture[str]


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("gradients") / "run.h5"
    options = ["--width", "64", "--depth", "4", "--k", "1", "--trials", "256", "--gradients"]
    assert simulate([*options, "--device", "cpu", "--quiet", "-o", str(path)]) == 0
    return path


@pytest.mark.parametrize("columns", [60, 80, 120])
def test_a_second_table_shows_the_way_back(
    run: Path, columns: int, monkeypatch: pytest.MonkeyPatch, capsys: Told
) -> None:
    monkeypatch.setenv("COLUMNS", str(columns))
    assert simcore(["show", str(run)]) == 0
    out = capsys.readouterr().out
    assert max(map(len, out.splitlines())) <= columns
    headings = next(line for line in out.splitlines() if "ln grad" in line).split("  ")
    assert ("tangent11" in map(str.strip, headings)) == (columns > 60)
    told = " ".join(out.split())
    assert "On the way back a typical squared gradient is multiplied by 1.1" in told
    assert "a layer, at infinite width by 1.189." in told
    assert "signal 1, with control variates; z of ln grad against 1/N" in told
    assert "-0.73325" in out  # the read-out's layer: a mean without an error


def test_every_observable_has_theory_and_three_may_have_a_verdict(run: Path) -> None:
    dataset = library.open_run(run)
    for name in GRADIENT_NAMES:
        assert dataset[f"{name}_theory"].notnull().all(), name
    assert "log_gradient1" in {v.observable for v in library.compare(dataset).verdicts}
    found = library.compare(dataset, observables=GRADIENT_COVARIANCE)
    assert {verdict.observable for verdict in found.verdicts} == set(GRADIENT_COVARIANCE)
    grown = dataset["log_gradient1_theory_1n"] - dataset["log_gradient1"]
    assert abs(grown / dataset["log_gradient1_stderr"]).max() < 4.5  # 4 layers: 3e-5


@pytest.mark.parametrize(
    "kind",
    [
        *(["gradient"], ["gradient-correlation"], ["tangent"]),
        *(["z", "--observable", "tangent12"], ["deviation", "--observable", "log_gradient1"]),
    ],
)
def test_figures(run: Path, kind: list[str], tmp_path: Path, capsys: Told) -> None:
    made = tmp_path / "figure.svg"
    assert simcore(["plot", str(run), *kind, "--output", str(made), "--caption"]) == 0
    assert made.stat().st_size > 5000
    assert "256 networks" in capsys.readouterr().out


def test_the_report_has_their_figures(run: Path, tmp_path: Path) -> None:
    page = tmp_path / "page.html"
    assert simcore(["report", str(run), "-o", str(page)]) == 0
    text = page.read_text("utf-8")
    for name in ("gradient", "gradient_correlation", "tangent"):
        assert f'id="figure-{name}"' in text
    assert "--gradients" in text  # of the command that repeats the run


def test_runs_without_gradients_say_so(tmp_path: Path, capsys: Told) -> None:
    path = str(tmp_path / "run.h5")
    options = ["--width", "8", "--depth", "2", "--trials", "64", "--device", "cpu", "--json"]
    assert simulate([*options, "-o", path]) == 0
    assert "log_gradient1" not in capsys.readouterr().out
    assert simcore(["plot", path, "tangent", "--output", str(tmp_path / "a.svg")]) == 2
    assert "Simulate with --gradients." in capsys.readouterr().err
