"""Outputs and sources that are no ordinary files: one line, at once, and nothing is lost."""

from __future__ import annotations

import os
import socket
from pathlib import Path
from typing import Any

import pytest
from simcore.cli import main as commands
from simcore.cli.simulate import main as simulate

import simcore
from simcore.errors import FileFormatError, InputError, SimcoreWarning
from simcore.execution.progress import EventLog
from simcore.figures.runs import plot

RUN = ["--width", "8", "--depth", "2", "--trials", "64", "--quiet"]

WRITERS = {
    "simulate": [*RUN, "--overwrite", "-o"],
    "log": [*RUN, "-o", "y.h5", "--overwrite", "--log-json"],
    "merge": ["merge", "x.h5", "--overwrite", "-o"],
    "report": ["report", "x.h5", "--overwrite", "-o"],
    "plot": ["plot", "x.h5", "correlation", "--overwrite", "-o"],
    "theory": ["theory", "trajectory", "--depth", "2", "--overwrite", "-o"],
}
READERS = {
    "info": ["info"],
    "resume": ["resume"],
    "merge": ["merge", "x.h5", "-o", "y.h5"],
    "report": ["report", "-o", "y.html"],
    "plot": ["plot", "-o", "y.png"],
    "config": ["--dry-run", "--config"],
    "inputs": [*RUN, "--dry-run", "--inputs"],
}
ODD = ("pipe", "socket", "folder", "device", "loop", "into nowhere", "to a pipe", "in a file")


@pytest.fixture(scope="module")
def run_bytes(tmp_path_factory: pytest.TempPathFactory) -> bytes:
    path = tmp_path_factory.mktemp("run") / "x.h5"
    assert simulate([*RUN, "-o", str(path)]) == 0
    return path.read_bytes()


@pytest.fixture
def place(run_bytes: bytes, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder to work in, with the run x.h5."""
    monkeypatch.chdir(tmp_path)
    Path("x.h5").write_bytes(run_bytes)
    return tmp_path


def odd(kind: str, ending: str) -> str:
    """Return the name of an odd file, made in the current folder."""
    path = Path(f"odd{ending}")
    match kind:
        case "pipe":
            os.mkfifo(path)
        case "socket":
            with socket.socket(socket.AF_UNIX) as bound:
                bound.bind(str(path))
        case "folder":
            path.mkdir()
        case "device":
            path.symlink_to("/dev/zero")
        case "loop":
            path.symlink_to(path)
        case "into nowhere":
            path.symlink_to(f"missing/odd{ending}")
        case "to a pipe":
            os.mkfifo("pipe")
            path.symlink_to("pipe")
        case "in a file":
            return f"x.h5/{path}"
        case _:
            return f"odd\0{ending}"
    return str(path)


def seen(folder: Path) -> dict[str, tuple[int, int]]:
    return {
        p.name: (p.lstat().st_mode, p.lstat().st_ino)
        for p in folder.iterdir()
        if not p.name.startswith("y.")
    }


def refused(command: str, words: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    main = simulate if words[0].startswith("--") else commands.main
    capsys.readouterr()
    assert main(words) in (1, 2), command
    told = capsys.readouterr()
    assert (told.out, told.err.count("\n")) == ("", 1), command


@pytest.mark.parametrize("kind", ODD)
def test_an_odd_output_is_refused(
    place: Path, run_bytes: bytes, kind: str, capsys: pytest.CaptureFixture[str]
) -> None:
    endings = {"report": ".html", "plot": ".png", "theory": ".csv"}
    for command, words in WRITERS.items():
        if (command, kind) == ("log", "device"):
            continue  # a log may go to one
        name = odd(kind, f"-{command}{endings.get(command, '.h5')}")
        before = seen(place)
        refused(command, [*words, name], capsys)
        assert seen(place) == before
        if kind == "to a pipe":
            Path("pipe").unlink()
    assert Path("x.h5").read_bytes() == run_bytes


@pytest.mark.parametrize("kind", ODD)
def test_an_odd_source_is_refused(
    place: Path, kind: str, capsys: pytest.CaptureFixture[str]
) -> None:
    for command, words in READERS.items():
        name = odd(kind, f"-{command}{'.npy' if command == 'inputs' else '.h5'}")
        named = [words[0], name, "z", *words[1:]] if command == "plot" else [*words, name]
        refused(command, named, capsys)
        assert not list(place.glob("y.*"))
        if kind == "to a pipe":
            Path("pipe").unlink()


@pytest.mark.parametrize("kind", [*ODD, "nul"])
def test_python_refuses_them_too(place: Path, kind: str) -> None:
    name = odd(kind, ".h5")
    before = seen(place)
    ensemble = simcore.Ensemble.he()
    with pytest.raises(InputError):
        simcore.simulate(ensemble, width=8, depth=2, trials=64, output=name, overwrite=True)
    with pytest.raises(InputError):
        simcore.merge(["x.h5"], name, overwrite=True)
    for read in (simcore.open_run, simcore.resume):
        with pytest.raises(InputError):
            read(name)
    with pytest.raises(FileFormatError):
        simcore.merge([name], "y.h5")
    assert seen(place) == before


def test_a_link_stays_a_link(place: Path) -> None:
    Path("folder").mkdir()
    Path("y.h5").symlink_to("folder/y.h5")
    assert simulate([*RUN, "-o", "y.h5"]) == 0
    assert Path("y.h5").is_symlink()
    assert Path("folder", "y.h5").stat().st_size > 0


@pytest.mark.parametrize(
    "name", ["a" * 300, f"*{'a' * 300}", "a\0"], ids=["long", "long pattern", "nul"]
)
def test_names_that_the_system_refuses_are_no_files(name: str) -> None:
    ensemble = simcore.Ensemble.he()
    with pytest.raises(InputError):
        simcore.open_run(name)
    for field in ("output", "inputs", "pairs", "scheduler"):
        given: dict[str, Any] = {field: name, "shared_network": field == "pairs" or None}
        with pytest.raises(InputError):
            simcore.simulate(ensemble, width=8, depth=2, trials=64, **given)
    with pytest.raises(InputError):
        plot(name, "correlation", "y.png")


def test_a_log_may_be_a_pipe_that_is_read(tmp_path: Path) -> None:
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    with pytest.raises(InputError, match=r"^log_json = .*can't be written"):
        EventLog(pipe)
    reader = os.open(pipe, os.O_RDONLY | os.O_NONBLOCK)
    with EventLog(pipe) as log:
        log("started")
        assert b'"event": "started"' in os.read(reader, 1000)
        os.close(reader)
        with pytest.warns(SimcoreWarning, match="the log ends here"):
            log("ended")
        log("a closed log is silent")
