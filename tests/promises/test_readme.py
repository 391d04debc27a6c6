"""Every command and every Python block of the README runs as written."""

from __future__ import annotations

import re
import shlex
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import pytest

from tests.support.same_results import differences

pytestmark = pytest.mark.xdist_group("readme")

README = Path(__file__).parents[2] / "README.md"
BLOCKS = re.findall(r"^```(\w*)\n(.*?)^```", README.read_text(), flags=re.MULTILINE | re.DOTALL)
COMMANDS = [
    line
    for language, block in BLOCKS
    if not language
    for line in block.splitlines()
    if line.strip()
]
SET_UP = [line for line in COMMANDS if "-m venv" in line]
PLAIN = [line for line in COMMANDS if "-m venv" not in line]
PYTHON = [block for language, block in BLOCKS if language == "python"]


def run(line: str, place: Path) -> None:
    """Run a command; what it prints goes to the file behind a ">".

    Of the digits it takes 2 networks of 5 layers instead of 16 of 50, which take minutes: nearly
    all of it linear algebra, alike in every layer and trial. Of students it takes small ones, from
    six seeds, for the same reason.
    """
    if "--inputs data/digits.h5" in line:
        line = line.replace("--trials 16", "--trials 2").replace("--depth 50", "--depth 5")
    if line.startswith("simcore train"):
        line += " --width 8 --depth 2 --steps 20 --seeds 6 --pilots 1 --rates 0.01,0.03,0.1"
    line, _, printed = line.partition(" > ")
    name, *arguments = shlex.split(line)
    command = [str(Path(sys.executable).with_name(name)), *arguments]
    if name == "simulate" and "--help" not in arguments:
        command.append("--quiet")
    shown = subprocess.run(command, cwd=place, capture_output=True, text=True, check=False)
    assert shown.returncode == 0, f"{line}\n{shown.stderr}"
    if printed:
        (place / printed).write_text(shown.stdout)


@contextmanager
def serving(line: str, place: Path) -> Iterator[None]:
    """Run a server of Dask, on this machine alone, until the others are done."""
    name, *arguments = shlex.split(line)
    command = [str(Path(sys.executable).with_name(name)), *arguments, "--host", "127.0.0.1"]
    quiet = subprocess.DEVNULL
    with subprocess.Popen(
        [*command, "--no-dashboard"], cwd=place, stdout=quiet, stderr=quiet
    ) as process:
        end = time.monotonic() + 60.0
        while "scheduler" in arguments and not (place / "cluster.json").exists():
            assert process.poll() is None, line
            assert time.monotonic() < end, line
            time.sleep(0.1)
        yield
        process.kill()


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder in which all commands were run, in order: later ones use earlier files."""
    place = tmp_path_factory.mktemp("readme")
    (place / "data").symlink_to(README.parent / "data")
    with ExitStack() as servers:
        for line in PLAIN:
            if line.startswith("dask "):
                servers.enter_context(serving(line, place))
            else:
                run(line, place)
    return place


def test_there_are_two_set_up_lines() -> None:
    assert len(SET_UP) == 2
    assert "simulate --width 4096 --depth 200" in SET_UP[0]
    assert "pytest" in SET_UP[1]


def test_the_commands_run(folder: Path) -> None:
    assert len(PLAIN) >= 8
    made = {path.name for path in folder.iterdir()}
    assert {
        "grid.h5",
        "correlation.png",
        "whole.h5",
        "cluster.h5",
        "job.sh",
        "students.png",
    } <= made


def test_runs_of_the_same_trials_have_the_same_bytes(folder: Path) -> None:
    for one in ("processes.h5", "cluster.h5"):
        assert differences(folder / one, folder / "long.h5") == []


def test_the_python_blocks_run(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert PYTHON
    monkeypatch.chdir(folder)
    names: dict[str, object] = {}
    for block in PYTHON:
        exec(compile(block, str(README), "exec"), names)
