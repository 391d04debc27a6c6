"""The command `simcore train`, and `simcore resume` of its files."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import xarray as xr
from simcore.cli.main import main

from simcore.execution.progress import Control
from simcore.training import TeacherStudent, open_training, run

SMALL = ["--ensembles", "he,torch", "--width", "6", "--depth", "2", "--steps", "10"]
SMALL += ["--seeds", "3", "--pilots", "1", "--rates", "0.03,0.1", "--threads", "1"]
TEACHER = ["train", "teacher-student", "--inputs", "3", "--samples", "40", "--batch", "8", *SMALL]


def test_a_run_its_table_and_the_same_command_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    assert main([*TEACHER, "--figure", "losses.png"]) == 0
    told = capsys.readouterr()
    assert "running: 0 of 10 networks" in told.err
    assert "dead after" in told.out
    assert "With fewer than 6 pairs, as here, it can call none." in told.out
    assert Path("losses.png").read_bytes().startswith(b"\x89PNG")
    (file,) = tmp_path.glob("teacher-student-n6-l2-*.h5")
    assert open_training(file).loss.shape[:2] == (2, 3)
    assert main([*TEACHER, "--json"]) == 0
    shown = json.loads(capsys.readouterr().out)
    assert [row["ensemble"] for row in shown["table"]] == ["he", "torch"]
    assert main(["resume", file.name]) == 0
    assert "complete; nothing was trained" in capsys.readouterr().out
    assert main([*TEACHER, "-o", file.name]) == 2
    assert "exists already" in capsys.readouterr().err


@pytest.mark.parametrize("name", ["", "losses.h5", "nowhere/losses.png"])
def test_a_figure_that_can_not_be_written_is_refused_before_anything_is_trained(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    assert main([*TEACHER, "--figure", name]) == 2
    told = capsys.readouterr().err
    assert told.count("\n") == 1
    assert "--figure" in told
    assert not list(tmp_path.iterdir())


def test_where_no_rate_is_stable_none_is_called_the_best(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main([*TEACHER, "-o", str(tmp_path / "wild.h5"), "--rates", "1e5,1e6"]) == 0
    told = capsys.readouterr().out
    assert "note:" not in told
    assert "Some pilot of he and torch diverged at every learning rate" in told


def test_resume_goes_on_with_training(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path, control = tmp_path / "stopped.h5", Control()
    control.stop.set()
    plan = TeacherStudent(
        ensembles=("he",), width=6, depth=2, samples=20, batch=4, steps=5, seeds=2, pilots=1
    )
    run.execute(plan, output=path, control=control)
    assert main(["resume", str(path), "--trials", "9"]) == 2
    assert "--trials 9: is for runs of simulate" in capsys.readouterr().err
    assert main(["resume", str(path), "--quiet", "--threads", "1"]) == 0
    assert capsys.readouterr() == ("", "")
    assert open_training(path).attrs["complete"] == 1
    xr.testing.assert_identical(xr.open_dataset(path), open_training(path))


def test_digits_at_a_common_rate(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    command = ["train", "digits", *SMALL, "-o", str(tmp_path / "d.h5"), "--rates", "0.1"]
    assert main(command) == 0
    told = capsys.readouterr().out
    assert "accuracy" in told
    assert "at the edge" not in told
    assert "All were trained at one learning rate, 0.1, which suits some" in told


@pytest.mark.parametrize(
    ("options", "line"),
    [
        (["--ensembles", "he,raai"], "--ensembles raai: lacks k after a colon."),
        (["--width", "1"], "--width 1: must be between 2 and"),
        (["--ensembles", "he,torch@1"], "--ensembles torch@1: has more scales than torch takes."),
        (["--clip", "0"], "--clip 0: must be"),
        (["--rates", "fast"], "--rates fast: must be a finite number."),
        (["--device", "cuda"], "--device cuda: can't be used: PyTorch"),
        (["--width", "60000", "--depth", "1000"], "--width 60000: needs about"),
        (["-o", "nowhere/run.h5"], "--output nowhere/run.h5: is in no folder."),
    ],
)
def test_mistakes_are_told_in_one_line(
    options: list[str],
    line: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.chdir(tmp_path)
    assert main(["train", "teacher-student", *options]) == 2
    told = capsys.readouterr().err
    assert told.startswith(line)
    assert told.count("\n") == 1


def test_without_pytorch_the_remedy_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setitem(__import__("sys").modules, "torch", None)
    assert main(["train", "digits"]) == 2
    told = capsys.readouterr().err
    assert "needs PyTorch, which is not installed" in told
    assert "pip install 'torch>=2.4'." in told
    assert not list(tmp_path.iterdir())
