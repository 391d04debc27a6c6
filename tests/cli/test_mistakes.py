"""Every mistake is one line on stderr, exit code 2, and nothing is left behind."""

from __future__ import annotations

from pathlib import Path

import pytest
from simcore.cli.errors import run_app
from simcore.cli.simulate import app, main

from simcore.errors import OutputError
from simcore.execution.progress import Control
from simcore.runs.run import Run
from tests.cli.fakes import BASIC, FakeRun

# --- mistakes -----------------------------------------------------------------------------------

MISTAKES = [
    ("--width 0 --depth 5", "--width 0:"),
    ("--width 64 --depth 0", "--depth 0:"),
    ("--width 64 --depth 16777216", "--depth 16777216:"),
    ("--width 64 --depth x", "--depth x:"),
    ("--depth 5", "--width: is missing"),
    ("--width 64", "--depth: is missing"),
    ("--width 64 --depth 5 --k -1", "--k -1:"),
    ("--width 64 --depth 5 --k 0,-2", "--k -2:"),
    ("--width 64 --depth 5 --sigma-w -1", "--sigma-w -1:"),
    ("--width 64 --depth 5 --sigma-w nan", "--sigma-w nan:"),
    ("--width 64 --depth 5 --sigma-b -0.1", "--sigma-b -0.1:"),
    ("--width 64 --depth 5 --correlation 1.5", "--correlation 1.5:"),
    ("--width 64 --depth 5 --correlation nan", "--correlation nan:"),
    ("--width 64 --depth 5 --distance inf", "--distance inf:"),
    ("--width 64 --depth 5 --q0 0", "--q0 0:"),
    ("--width 64 --depth 5 --ensemble rail", "--ensemble rail:"),
    ("--width 64 --depth 5 --ensemble rai --k 1", "--k 1: must be 0 for the ensemble rai."),
    ("--width 64 --depth 5 --ensemble raai", "--ensemble raai: needs the strength"),
    ("--width 2e7 --depth 5 --ensemble rai", "--width 2e7:"),
    ("--width 64 --depth 5 --ensemble he --k 1", "--k 1:"),
    ("--width 64 --depth 5 --ensemble correlated", "--ensemble correlated:"),
    ("--width 64 --depth 5 --correlation 0 --distance 1", "--distance 1: excludes --correlation"),
    ("--width 64 --depth 5 --widths 8x5", "--widths 8x5: excludes --width"),
    ("--widths 8x5 --depth 6", "--widths 8x5:"),
    ("--width 64,64 --depth 5", "--width 64,64:"),
    ("--width 64, --depth 5", "--width 64,:"),
    ("--width 64 --depth 5 --k 0:1", "--k 0:1:"),
    ("--width 64 --depth 5 --trials 0", "--trials 0:"),
    ("--width 64 --depth 5 --first-trial 3", "--first-trial 3:"),
    ("--width 64 --depth 5 --seed -1", "--seed -1:"),
    ("--width 64 --depth 5 --bins 0", "--bins 0:"),
    ("--width 64 --depth 5 --keep -1", "--keep -1:"),
    ("--width 64 --depth 5 --threads 0", "--threads 0:"),
    ("--width 64 --depth 5 --checkpoint 0", "--checkpoint 0:"),
    ("--width 64 --depth 5 --device cuda", "--device cuda: finds no NVIDIA driver"),
    ("--width 64 --depth 5 --device tpu", "--device tpu:"),
    ("--width 64 --depth 5 --sampler exact", "--sampler exact:"),
    ("--width 64 --depth 5 --sampler gram --weights uniform", "--sampler gram: draws layers from"),
    ("--width 64 --depth 5 --weights student:4", "--weights student:4:"),
    ("--width 64 --depth 5 --weights bernoulli", "--weights bernoulli:"),
    ("--width 64 --depth 5 --pairs 3", "--pairs 3: goes with --shared-network or --inputs"),
    ("--width 64 --depth 5 --shared-network --pairs 0", "--pairs 0:"),
    ("--width 64 --depth 5 --shared-network --pairs 5000", "--pairs 5000:"),
    ("--width 64 --depth 5 --shared-network --pairs x.csv", "--pairs x.csv: must be a whole"),
    (
        "--width 64 --depth 5 --shared-network --pairs 3 --correlation 0.1,0.2",
        "--correlation 0.1,0.2: must name one overlap",
    ),
    ("--width 64 --depth 5 --inputs none.npy", "--inputs none.npy:"),
    ("--width 64 --depth 5 --inputs none.npy --q0 2", "--inputs none.npy: excludes --q0"),
    (
        "--width 64 --depth 5 --inputs none.npy --shared-network",
        "--inputs none.npy: excludes --shared-network",
    ),
    ("--width 64 --depth 5 --weights cauchy", "--weights cauchy:"),
    ("--width 64 --depth 5 -o nowhere/x.h5", "--output nowhere/x.h5: is in no folder"),
    ("--width 64 --depth 5 -o .", "--output .: is a folder"),
    ("--width 64 --depth 5 -o /dev/null --overwrite", "--output /dev/null: is no ordinary file"),
    ("--width 64 --depth 5 -o /proc/x.h5", "--output /proc/x.h5: can't be written"),
    (f"--width 64 --depth 5 -o {'x' * 300}", "--output xxx"),
    ("--width 64 --depth 5 --config none.toml", "--config none.toml: can't be read"),
    ("--widht 64", "No such option: --widht"),
    ("--width", "Option '--width' requires an argument"),
    ("64", "Got unexpected extra argument"),
]


@pytest.mark.parametrize(("arguments", "start"), MISTAKES)
def test_a_mistake_is_one_line_and_leaves_nothing(
    fake: FakeRun, capsys: pytest.CaptureFixture[str], tmp_path: Path, arguments: str, start: str
) -> None:
    assert main(arguments.split()) == 2
    told = capsys.readouterr()
    assert told.out == ""
    assert told.err.startswith(start)
    assert told.err.count("\n") == 1
    assert told.err.endswith("\n")
    assert fake.calls == []
    assert list(tmp_path.iterdir()) == []


def test_a_failure_to_write_is_one_line(fake: FakeRun, capsys: pytest.CaptureFixture[str]) -> None:
    def fail(_: Control) -> None:
        raise OutputError("x.h5: no room on the disk; free some and run it again")

    fake.during = fail
    assert main([*BASIC, "--quiet"]) == 1
    assert capsys.readouterr().err == "x.h5: no room on the disk; free some and run it again\n"


def test_bugs_keep_their_traceback(fake: FakeRun) -> None:
    def fail(_: Control) -> None:
        raise ZeroDivisionError

    fake.during = fail
    with pytest.raises(ZeroDivisionError):
        main([*BASIC, "--quiet"])


def test_lack_of_memory_is_one_line(fake: FakeRun, capsys: pytest.CaptureFixture[str]) -> None:
    def fail(_: Control) -> None:
        raise MemoryError

    fake.during = fail
    assert run_app(app, "simulate", [*BASIC, "--quiet"]) == 1
    assert capsys.readouterr().err.startswith("not enough memory")


# --- configuration file -------------------------------------------------------------------------


def test_a_file_holds_options_and_the_command_line_wins(fake: FakeRun, tmp_path: Path) -> None:
    (tmp_path / "run.toml").write_text(
        'width = [64, 128]\ndepth = 5\nk = [0, inf]\nsigma-w = "1.2:1.4:3"\n'
        "correlation = 0.25\ntrials = 100\nquiet = true\n"
    )
    assert main(["--config", "run.toml", "--depth", "7", "--distance", "1e-3"]) == 0
    assert fake.run == Run(
        depth=7,
        width=(64, 128),
        ensemble="correlated",
        k=(0.0, float("inf")),
        sigma_w=(1.2, 1.3, 1.4),
        distance=(1e-3,),
        trials=100,
    )
    assert fake.calls[0]["report"] is None


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("width = ", "--config run.toml: is not valid TOML"),
        ("widht = 64", "--config run.toml: has the unknown key widht. Did you mean width"),
        ("config = 'other.toml'", "--config run.toml: has the unknown key config"),
        ("[run]\nwidth = 64", "--config run.toml: has the unknown key run"),
        ("width = true", "--config run.toml: width must be a number"),
        ("width = []", "--config run.toml: width must be a number"),
        ("width = 2020-01-01", "--config run.toml: width must be a number"),
        ("quiet = 1", "--config run.toml: quiet must be true or false"),
        ("sigma-w = 1\nsigma_w = 1", "--config run.toml: names sigma_w twice"),
        ("width = 64\ndepth = 5\nq0 = -1", "--q0 -1 (in run.toml): must be"),
        ("width = 64\ndepth = 5\nq0 = nan", "--q0 nan (in run.toml): must be"),
        ("\xff", "--config run.toml: is not valid TOML"),
    ],
)
def test_a_bad_file_is_one_line(
    fake: FakeRun, capsys: pytest.CaptureFixture[str], tmp_path: Path, text: str, told: str
) -> None:
    (tmp_path / "run.toml").write_text(text, encoding="latin-1")
    assert main(["--config", "run.toml"]) == 2
    err = capsys.readouterr().err
    assert err.startswith(told)
    assert err.count("\n") == 1
    assert fake.calls == []
