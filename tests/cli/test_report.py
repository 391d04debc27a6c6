"""The command `simcore report`: what it writes and says, and its exit codes."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
from simcore.cli.main import main

from simcore.files.run_file import write_run
from simcore.files.run_results import RunResults
from simcore.runs.run import Run
from tests.support.results import statistics

RUN = Run(depth=3, width=(8,), trials=128, keep=0)


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    write_run(
        "run.h5", RunResults(RUN, statistics(RUN), complete=True), provenance={"host": "here"}
    )
    Path("noise.h5").write_text("noise")
    return tmp_path


def test_it_writes_a_page(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["report", "run.h5"]) == 0
    told = capsys.readouterr()
    assert told.out == "written to run.html\n"
    assert told.err.count("\n") == 1
    assert told.err.startswith("run.h5: The file keeps no single networks")
    page = (folder / "run.html").read_text()
    assert "simulate --width 8 --depth 3" in page
    assert "here" in page


def test_the_rest_of_the_report_is_made(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["report", "noise.h5", "run.h5", "-o", "both.html"]) == 0
    told = capsys.readouterr()
    assert told.out == "written to both.html\n"
    assert told.err.startswith("noise.h5: is not")
    assert "noise.h5: is not" in (folder / "both.html").read_text()


MISTAKES = [
    (["none.h5"], "none.h5: does not exist"),
    (["noise.h5"], "noise.h5: is not"),
    (["."], ".: is a folder"),
    (["run.h5", "-o", "."], "--output .: is a folder"),
    (["run.h5", "-o", "run.h5"], "--output run.h5: is another file of this command"),
    (["noise.h5", "none.h5"], "noise.h5: is not"),
]


@pytest.mark.parametrize(("words", "start"), MISTAKES)
def test_a_mistake_is_one_line(
    folder: Path, capsys: pytest.CaptureFixture[str], words: list[str], start: str
) -> None:
    before = sorted(folder.iterdir())
    assert main(["report", *words]) == 2
    told = capsys.readouterr()
    assert told.out == ""
    assert told.err.count("\n") == 1
    assert start in told.err
    assert sorted(folder.iterdir()) == before


def test_a_folder_that_is_not_there(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["report", "run.h5", "-o", "none/page.html"]) == 2
    assert "--output none/page.html: is in no folder" in capsys.readouterr().err


def test_the_help_imports_nothing_heavy() -> None:
    code = (
        "import sys; from simcore.cli.main import main; main(['report', '--help']);"
        "heavy = {'bokeh', 'jinja2', 'numba', 'h5py', 'xarray', 'matplotlib'} & set(sys.modules);"
        "sys.exit(', '.join(heavy) or 0)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert "FILE..." in done.stdout
