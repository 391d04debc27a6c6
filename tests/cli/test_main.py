"""The command `simcore`, on a file that a real run has written."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest
from simcore.cli.main import main

from simcore.execution.execute import execute
from simcore.runs.run import Run


@pytest.fixture(scope="module")
def run_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("run") / "x.h5"
    execute(Run(depth=4, width=(16, 32), trials=70), output=path, threads=1)
    return path


def test_info(run_file: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["info", str(run_file)]) == 0
    out = capsys.readouterr().out
    assert re.search(r"^trials_done +70$", out, re.MULTILINE)
    assert re.search(r"^  sigma_w +norm-preserving$", out, re.MULTILINE)
    assert "\x1b" not in out


def test_info_as_json(run_file: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["info", "--json", str(run_file)]) == 0
    facts = json.loads(capsys.readouterr().out)
    assert facts["config"]["width"] == [16, 32]
    assert facts["complete"] is True


def test_plot(
    run_file: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
) -> None:
    monkeypatch.chdir(tmp_path)
    assert main(["plot", str(run_file), "correlation"]) == 0
    assert capsys.readouterr().out == "written to x-correlation.png\n"
    assert (tmp_path / "x-correlation.png").read_bytes().startswith(b"\x89PNG")
    assert main(["plot", str(run_file), "q", "-o", "q.svg"]) == 0
    assert "<svg" in (tmp_path / "q.svg").read_text()


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        ("info none.h5", "none.h5: does not exist"),
        ("info .", ".: is a folder"),
        ("info bad.h5", "bad.h5: is not"),
        ("plot none.h5 correlation", "none.h5: does not exist"),
        ("plot bad.h5 correlation", "bad.h5: is not"),
        ("plot bad.h5 pie", "KIND pie: is not known. Choose one of: correlation"),
        ("plot {run} correlation -o x.pie", "--output x.pie: has no known ending"),
        ("plot {run} deviation --observable dead", "--observable dead: has no deviation. Choose"),
        ("plot {run} correlation --size 0", "--size 0.0: must lie between 50 and 400 mm"),
        ("plot {run} correlation -o no/x.png", "--output no/x.png: is in no folder"),
        ("plot bad.h5", "bad.h5: is not"),
        ("plot", "Missing argument"),
        ("inof x", "No such command"),
        ("info", "Missing argument"),
    ],
)
def test_a_mistake_is_one_line(
    run_file: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
    arguments: str,
    told: str,
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("bad.h5").write_text("not a run")
    assert main(arguments.format(run=run_file).split()) == 2
    err = capsys.readouterr().err
    assert err.startswith(told)
    assert err.count("\n") == 1
    assert [path.name for path in tmp_path.iterdir()] == ["bad.h5"]


def test_without_arguments_it_helps(capsys: pytest.CaptureFixture[str]) -> None:
    assert main([]) == 0
    out = capsys.readouterr().out
    assert "info" in out
    assert "plot" in out


def test_version(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--version"]) == 0
    assert capsys.readouterr().out.startswith("simcore ")
