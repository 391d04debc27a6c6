"""Every command and every Python block of the README runs as written."""

from __future__ import annotations

import re
import shlex
import subprocess
import sys
from pathlib import Path

import pytest

README = Path(__file__).parents[1] / "README.md"
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


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder in which all commands were run, in order: later ones use earlier files."""
    place = tmp_path_factory.mktemp("readme")
    (place / "data").symlink_to(README.parent / "data")
    for line in PLAIN:
        name, *arguments = shlex.split(line)
        command = [str(Path(sys.executable).with_name(name)), *arguments]
        if name == "simulate" and "--help" not in arguments:
            command.append("--quiet")
        shown = subprocess.run(command, cwd=place, capture_output=True, text=True, check=False)
        assert shown.returncode == 0, f"{line}\n{shown.stderr}"
    return place


def test_there_are_two_set_up_lines() -> None:
    assert len(SET_UP) == 2
    assert "simulate --width 4096 --depth 200" in SET_UP[0]
    assert "pytest" in SET_UP[1]


def test_the_commands_run(folder: Path) -> None:
    assert len(PLAIN) >= 8
    assert {"grid.h5", "correlation.png"} <= {path.name for path in folder.iterdir()}


def test_the_python_blocks_run(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert PYTHON
    monkeypatch.chdir(folder)
    names: dict[str, object] = {}
    for block in PYTHON:
        exec(compile(block, str(README), "exec"), names)
