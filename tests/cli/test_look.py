"""`simcore show` and `simcore compare`: the table again, the verdict, and the exit code."""

from __future__ import annotations

import shutil
from pathlib import Path

import h5py
import numpy as np
import pytest
from simcore.cli.main import main as simcore
from simcore.cli.simulate import main as simulate
from simcore.cli.verdict import MOST_POINTS

import simcore as library
from simcore.execution.progress import Control, Progress
from simcore.runs.run import Run
from tests.promises.test_damage import change_attribute

Told = pytest.CaptureFixture[str]

SMALL = ["--width", "32", "--depth", "3", "--device", "cpu"]


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("made")
    runs = {"a.h5": "0 --trials 128", "far.h5": "640 --trials 10"}
    runs["old.h5"] = "0 --trials 128 --controls off"
    for name, more in runs.items():
        options = [*SMALL, "--first-trial", *more.split(), "--quiet"]
        assert simulate([*options, "-o", str(folder / name)]) == 0
    return folder


@pytest.fixture
def here(made: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    for name in ("a.h5", "far.h5", "old.h5"):
        shutil.copy(made / name, name)
    return tmp_path


def test_show_prints_what_simulate_printed(here: Path, capsys: Told) -> None:
    assert simulate([*SMALL, "--trials", "128", "-o", "new.h5"]) == 0
    first = capsys.readouterr().out
    assert simcore(["show", "new.h5"]) == 0
    shown = capsys.readouterr().out
    assert first.startswith(shown.rstrip())
    assert "Infinite width fails for ln q" in shown
    assert "No network of 128 died for signal 1 (below 2.3 % at 95 %)." in shown


def test_show_of_merged_files_says_what_is_missing(here: Path, capsys: Told) -> None:
    assert simcore(["merge", "a.h5", "far.h5", "-o", "both.h5", "--allow-gaps", "--quiet"]) == 0
    assert simcore(["show", "both.h5"]) == 0
    out = capsys.readouterr().out
    assert "The file lacks the trials 128-639." in out
    assert "Infinite width" in out


@pytest.mark.parametrize("version", [0, 1, 2])
def test_show_reads_older_formats(version: int, here: Path, capsys: Told) -> None:
    """First order, and the covariance of ln q1, came with 1.2; control variates with 1.3."""
    with h5py.File("old.h5", "r+") as file:
        entry = file["entry"]
        first = [f"{name}/{kind}" for name in entry for kind in ("theory_1n", "theory_1n_std")]
        covariance = [f"covariance/log_q1{end}" for end in ("", "_mean", "_count")]
        for path in [*first, *covariance] if version < 2 else []:
            if path in entry:
                del entry[path]
    change_attribute(here / "old.h5", "format_version", [1, version])
    assert simcore(["show", "old.h5"]) == 0
    out = capsys.readouterr().out
    assert ("1/N" in out.splitlines()[0]) == (version == 2)
    assert "Infinite width" in out
    assert "control variates" not in out


def test_show_of_an_unfinished_run(here: Path, capsys: Told) -> None:
    control = Control()

    def stop(progress: Progress) -> None:
        if progress.trials >= 64:
            control.stop.set()

    from simcore.execution.execute import execute

    run = Run(depth=3, width=(32,), trials=6400)
    execute(run, output=here / "part.h5", threads=1, control=control, report=stop)
    assert simcore(["show", "part.h5"]) == 0
    out = capsys.readouterr().out
    assert "mean field" not in out
    assert "part.h5 is unfinished: " in out
    assert "of 6400 trials" in out
    assert "To finish it: simcore resume part.h5" in out
    assert simcore(["compare", "part.h5"]) == 2
    told = capsys.readouterr().err
    assert told.startswith("part.h5: is unfinished, and theory comes with the last write.")


def test_the_exit_code_says_whether_theory_holds(here: Path, capsys: Told) -> None:
    """First order holds; without it infinite width is what fails."""
    assert simcore(["compare", "a.h5"]) == 0
    out = capsys.readouterr().out
    assert out.startswith("Infinite width fails for ln q")
    assert "ln q deviates from mean field (p = " in out
    with h5py.File("a.h5", "r+") as file:
        for name in ("log_q1", "correlation", "log_distance"):
            del file[f"entry/{name}/theory_1n"]
    assert simcore(["compare", "a.h5"]) == 3
    assert "First order in 1/N makes no prediction here." in capsys.readouterr().out
    assert simcore(["compare", "--help"]) == 0
    assert "exit code is 3" in capsys.readouterr().out


def test_compare_of_several_widths_fits_them(here: Path, capsys: Told) -> None:
    grid = ["--width", "16,32,64", "--depth", "3", "--trials", "128", "--device", "cpu"]
    assert simulate([*grid, "-o", "widths.h5"]) == 0
    assert "Infinite width fails" in capsys.readouterr().out
    assert simcore(["compare", "widths.h5"]) in (0, 3)
    assert "Fits of a + b/N over N = 16, 32, 64" in capsys.readouterr().out


def test_large_grids_name_the_command(here: Path, capsys: Told) -> None:
    count = MOST_POINTS + 1
    correlation = ",".join(f"{x:.3f}" for x in np.linspace(0.1, 0.6, count))
    run = ["--width", "8", "--depth", "2", "--trials", "2", "--correlation", correlation]
    assert simulate([*run, "--device", "cpu", "-o", "large.h5"]) == 0
    told = f"Whether theory holds at the {count} points: simcore compare large.h5"
    assert told in capsys.readouterr().out


def test_training_is_shown_and_not_compared(here: Path, capsys: Told) -> None:
    pytest.importorskip("torch")
    small = ["--ensembles", "he", "--width", "4", "--depth", "1", "--steps", "2", "--seeds", "2"]
    small += ["--pilots", "1", "--rates", "0.1", "--inputs", "2", "--samples", "20"]
    train = ["train", "teacher-student", *small, "--batch", "4", "-o", "students.h5"]
    assert simcore(train) == 0
    trained = capsys.readouterr().out
    assert simcore(["show", "students.h5"]) == 0
    assert trained.startswith(capsys.readouterr().out.rstrip())
    assert simcore(["compare", "students.h5"]) == 2
    assert "is training, and theory is of runs" in capsys.readouterr().err


def test_mistakes_are_one_line(here: Path, capsys: Told) -> None:
    Path("text.h5").write_text("text")
    for command in ("show", "compare"):
        for name, line in (("no.h5", "does not exist"), ("text.h5", "is not an HDF5 file")):
            assert simcore([command, name]) == 2
            err = capsys.readouterr().err
            assert err.startswith(f"{name}: {line}")
            assert err.count("\n") == 1
    assert simcore(["compare", "*.nothing"]) == 2
    assert "matches no file" in capsys.readouterr().err


def test_the_library_says_the_same(made: Path) -> None:
    found = library.compare(library.open_run(made / "a.h5"))
    assert found.holds
    assert found.conclusion.startswith("Infinite width fails for ln q")
