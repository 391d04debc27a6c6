"""The next steps and remedies that commands print: each is run as it stands."""

from __future__ import annotations

import re
import shlex
from pathlib import Path

import pytest
from simcore.cli import main as commands
from simcore.cli import simulate as simulating

import simcore
from simcore.errors import as_typed
from simcore.execution.execute import Outcome
from simcore.execution.loop import Loop
from simcore.execution.progress import Control
from simcore.files.run_file import info

SMALL = ["--width", "8", "--depth", "3", "--trials", "128", "--controls", "off", "--threads", "1"]


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return tmp_path


def take(step: str) -> int:
    program, *words = shlex.split(step)
    return int({"simulate": simulating.main, "simcore": commands.main}[program](words))


@pytest.mark.parametrize("name", ["run.h5", "two words.h5", "-n.h5", "it's $HOME.h5", "a/b c.h5"])
def test_the_steps_after_a_run(name: str, capsys: pytest.CaptureFixture[str]) -> None:
    Path("a").mkdir()
    assert simulating.main([*SMALL, "-o", f"./{name}"]) == 0
    told = capsys.readouterr().out
    steps = re.findall(r"^  (simcore .*)$", told, re.MULTILINE)
    assert len(steps) >= 2
    for step in steps:
        assert take(step) in (0, 3), step  # 3: theory fails, as `compare` says it
    (code,) = re.findall(r"^  python: (.*)$", told, re.MULTILINE)
    with eval(code, {"simcore": simcore}) as dataset:
        assert "correlation" in dataset


@pytest.mark.parametrize("name", ["run.h5", "two words.h5", "-n.h5"])
def test_the_step_after_a_stop(
    name: str, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def stopped(self: Loop) -> Outcome:
        self.control.stop.set()
        return work(self)

    work = Loop.execute
    with monkeypatch.context() as patched:
        patched.setattr(Loop, "execute", stopped)
        assert simulating.main([*SMALL, "-o", f"./{name}"]) == 130
    (step,) = re.findall(r"To finish it: (.*)$", capsys.readouterr().err, re.MULTILINE)
    assert take(step) == 0
    assert info(name)["complete"]
    assert Control().stop.is_set() is False


def test_the_step_after_a_target_that_was_missed(capsys: pytest.CaptureFixture[str]) -> None:
    target = ["--until-stderr", "0.02", "-o", "my run.h5"]
    assert simulating.main([*SMALL, *target]) == 0
    (step,) = re.findall(r"(simcore resume .*)$", capsys.readouterr().out, re.MULTILINE)
    assert take(step) == 0
    assert "ended without" not in capsys.readouterr().out


def test_names_are_typed_as_a_shell_reads_them() -> None:
    assert as_typed("x.h5") == "x.h5"
    assert as_typed("-x y.h5") == "'./-x y.h5'"
    assert shlex.split(as_typed(Path("it's.h5"))) == ["it's.h5"]
