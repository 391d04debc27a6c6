"""Nothing is lost: new results alone replace results, and other files need --overwrite."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
from simcore.cli import main as commands
from simcore.cli.simulate import main as simulate

import simcore
from simcore.execution.execute import execute
from simcore.figures.runs import plot
from simcore.figures.theory import draw
from simcore.report import report
from simcore.runs.run import Run
from simcore.theory import tables

NEW = "--width 8 --depth 2 --trials 64 --quiet --controls off"

PAGES = {
    "report": "report run.h5 -o {}",
    "plot": "plot run.h5 correlation -o {}.png",
    "theory as a table": "theory map --correlation 0,1 -o {}.h5",
    "theory as a figure": "theory map --correlation 0,1 -o {}.png",
    "theory as text": "theory map --correlation 0,1 -o {}.csv",
}
RESULTS = {
    "simulate": f"simulate {NEW} -o {{}}.h5",
    "merge": "merge run.h5 rest.h5 --quiet -o {}.h5",
}
"""Writers: the command, with the file's name without its ending."""


def call(words: str) -> int:
    program, *rest = words.split()
    return int(simulate(rest) if program == "simulate" else commands.main([program, *rest]))


@pytest.fixture(scope="module")
def runs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("runs")
    run = Run(depth=2, width=(8,), trials=64, controls="off")
    execute(run, output=folder / "run.h5", threads=1)
    rest = Run(depth=2, width=(8,), trials=64, first_trial=64, controls="off")
    execute(rest, output=folder / "rest.h5", threads=1)
    return folder


@pytest.fixture(autouse=True)
def folder(runs: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    for name in ("run.h5", "rest.h5"):
        shutil.copy(runs / name, name)
    return tmp_path


def place(command: str) -> Path:
    return Path(command.rsplit(maxsplit=1)[-1].format("there"))


def state() -> dict[str, bytes]:
    return {str(path): path.read_bytes() for path in Path().iterdir() if path.suffix != ".lock"}


@pytest.mark.parametrize("command", [*PAGES.values(), *RESULTS.values()])
def test_another_file_is_replaced_only_where_that_is_allowed(
    command: str, capsys: pytest.CaptureFixture[str]
) -> None:
    there = place(command)
    there.write_text("mine")
    before = state()
    assert call(command.format("there")) == 2
    told = capsys.readouterr().err
    assert told.startswith(f"--output {there}: exists already. Add --overwrite")
    assert told.count("\n") == 1
    assert state() == before
    assert call(f"{command.format('there')} --overwrite") == 0
    assert there.read_bytes() != b"mine"
    assert state().keys() == before.keys()


@pytest.mark.parametrize("command", PAGES.values())
@pytest.mark.parametrize("content", ["whole", "damaged", "linked"])
def test_results_are_never_replaced_by_a_page_or_a_table(
    command: str, content: str, capsys: pytest.CaptureFixture[str]
) -> None:
    there = place(command)
    if content == "linked":
        there.symlink_to("rest.h5")
    else:
        held = Path("rest.h5").read_bytes()
        there.write_bytes(held if content == "whole" else held[: len(held) // 2])
    before = state()
    assert call(f"{command.format('there')} --overwrite") == 2
    told = capsys.readouterr().err
    assert told.startswith(f"--output {there}: holds results")
    assert told.count("\n") == 1
    assert state() == before


def test_a_table_of_theory_is_no_result() -> None:
    """Tables are made again in a moment, so --overwrite is enough."""
    command = f"{PAGES['theory as a table'].format('there')} --overwrite"
    assert [call(command), call(command)] == [0, 0]


@pytest.mark.parametrize(
    ("command", "option"),
    [
        (f"simulate {NEW} --inputs x.csv --overwrite -o x.csv", "--output x.csv"),
        (f"simulate {NEW} --config run.toml --overwrite -o run.toml", "--output run.toml"),
        (f"simulate {NEW} -o new.h5 --log-json run.h5", "--log-json run.h5"),
        (f"simulate {NEW} -o new.h5 --log-json new.h5", "--log-json new.h5"),
        ("resume run.h5 --trials 128 --log-json run.h5", "--log-json run.h5"),
        ("report run.h5 rest.h5 --overwrite -o rest.h5", "--output rest.h5"),
        ("train digits --overwrite --figure run.h5", "--figure run.h5"),
        ("train digits --overwrite --figure x.png -o x.png", "--figure x.png"),
    ],
)
def test_a_file_has_one_purpose(
    command: str, option: str, capsys: pytest.CaptureFixture[str]
) -> None:
    Path("x.csv").write_text("1,0\n0,1\n")
    Path("run.toml").write_text("seed = 1\n")
    before = state()
    assert call(command) == 2
    told = capsys.readouterr().err
    assert told.startswith(f"{option}: ")
    assert told.count("\n") == 1
    assert state() == before


@pytest.mark.parametrize(
    "command",
    [
        f"simulate {NEW} -o -",
        f"simulate {NEW} --log-json -",
        "merge run.h5 rest.h5 -o -",
        "report run.h5 -o -",
        "plot run.h5 correlation -o -",
        "theory map -o -",
        "train digits -o -",
        "train digits --figure -",
        f"slurm -- simulate {NEW} -o -",
    ],
)
def test_a_dash_is_no_file(command: str, capsys: pytest.CaptureFixture[str]) -> None:
    before = state()
    assert call(command) == 2
    told = capsys.readouterr()
    assert "-: is not the name of a file" in told.err
    assert told.err.count("\n") == 1
    assert not told.out
    assert state() == before


def test_python_follows_the_same_rules() -> None:
    ensemble = simcore.Ensemble.he()
    table = tables.maps(correlation=[0.0, 1.0])
    writers: dict[str, Callable[..., object]] = {
        "there.html": lambda name, **more: report(["run.h5"], name, **more),
        "there.png": lambda name, **more: plot("run.h5", "correlation", name, **more),
        "there.svg": lambda name, **more: draw(table, name, **more),
        "there.h5": lambda name, **more: simcore.simulate(
            ensemble, width=8, depth=2, trials=64, controls="off", output=name, **more
        ),
    }
    for name, write in writers.items():
        Path(name).write_text("mine")
        with pytest.raises(simcore.InputError, match="exists already"):
            write(name)
        assert Path(name).read_text() == "mine"
        write(name, overwrite=True)
        assert Path(name).read_bytes() != b"mine"
        if name != "there.h5":
            shutil.copy("rest.h5", name)
            with pytest.raises(simcore.InputError, match="holds results"):
                write(name, overwrite=True)
            assert Path(name).read_bytes() == Path("rest.h5").read_bytes()
