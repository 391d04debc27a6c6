"""The command `simulate` against a stand-in for the simulation: parsing, files, output, signals."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import h5py
import numpy as np
import pytest
import xarray as xr
from simcore.cli.errors import run_app
from simcore.cli.options import EPILOG
from simcore.cli.simulate import app, main

from simcore.errors import OutputError
from simcore.plan import DEFAULTS, Run
from simcore.progress import Control, Progress

BASIC = ["--width", "64", "--depth", "5"]


def fake_dataset(run: Run, *_: object) -> xr.Dataset:
    """Results as `to_dataset` gives them, with the few variables that the table shows."""
    dims, shape = (*run.dimensions, "layer"), (*run.shape, run.depth)
    values = {"correlation": 0.5, "correlation_stderr": 0.01, "correlation_theory": 0.48}
    return xr.Dataset({name: (dims, np.full(shape, value)) for name, value in values.items()})


@dataclass
class FakeRun:
    """Stands for `simcore.run.execute`; `during` happens in the middle of it."""

    during: Callable[[Control], None] = lambda _: None
    calls: list[dict[str, Any]] = field(default_factory=list)

    def __call__(self, run: Run, **settings: Any) -> SimpleNamespace:
        self.calls.append({"run": run, **settings})
        total = run.trials * len(run.points)
        if settings["report"] is not None:
            settings["report"](Progress("running", 0, total, 0, 1000, 0.1))
        control = settings["control"]
        self.during(control)
        done = 64 if control.stop.is_set() else run.trials
        points = [SimpleNamespace(trials=lambda: done) for _ in run.points]
        output = settings["output"]
        with h5py.File(output, "w") as file:
            file.attrs["config_sha256"] = run.digest()
            file.attrs["complete"] = np.uint8(done == run.trials)
        return SimpleNamespace(
            run=run,
            points=points,
            output=output,
            complete=done == run.trials,
            seconds=2.0,
            node_updates=1000,
        )

    @property
    def run(self) -> Run:
        """The run that was executed."""
        assert len(self.calls) == 1
        run = self.calls[0]["run"]
        assert isinstance(run, Run)
        return run


@pytest.fixture
def fake(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> FakeRun:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("simcore.cli.execution.prefer_wide_vectors", lambda: None)
    execute = FakeRun()
    monkeypatch.setattr("simcore.run.execute", execute)
    monkeypatch.setattr("simcore.analysis.to_dataset", fake_dataset)
    return execute


# --- what reaches the run -----------------------------------------------------------------------


def test_defaults_are_those_of_a_run(fake: FakeRun) -> None:
    assert main(BASIC) == 0
    assert fake.run == Run(depth=5, width=(64,))
    assert fake.calls[0]["checkpoint"] == DEFAULTS.checkpoint
    assert fake.calls[0]["output"] == Path(fake.run.default_filename())


def test_every_option_reaches_the_run(fake: FakeRun) -> None:
    options = (
        "--width 128,64 --depth 1e1 --ensemble correlated --k 0:1:3,inf --sigma-w 1.2:1.4:3 "
        "--sigma-b 0.1 --distance 1e-20 --q0 2 --trials 1_000 --first-trial 128 --keep 7 --bins 9 "
        "--seed 3 --sampler gram --weights normal --device cpu --threads 3 --checkpoint 5 -o x.h5"
    )
    assert main(options.split()) == 0
    assert fake.run == Run(
        depth=10,
        width=(64, 128),
        ensemble="correlated",
        k=(0.0, 0.5, 1.0, float("inf")),
        sigma_w=(1.2, 1.3, 1.4),
        sigma_b=(0.1,),
        distance=(1e-20,),
        q0=(2.0,),
        trials=1000,
        first_trial=128,
        keep=7,
        bins=9,
        seed=3,
    )
    assert fake.calls[0]["threads"] == 3
    assert fake.calls[0]["checkpoint"] == 5.0
    assert fake.calls[0]["output"] == Path("x.h5")


def test_k_alone_means_correlated(fake: FakeRun) -> None:
    assert main([*BASIC, "--k", "-0.5"]) == 0
    assert fake.run.ensemble == "correlated"


def test_critical_is_the_default_scale(fake: FakeRun) -> None:
    assert main([*BASIC, "--sigma-w", "critical"]) == 0
    assert fake.run.sigma_w is None


def test_a_profile_gives_the_depth(fake: FakeRun) -> None:
    assert main(["--widths", "784,512x3"]) == 0
    assert fake.run.layer_widths == (784, 512, 512, 512)
    assert fake.run.depth == 4


def test_help_names_every_default(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--help"]) == 0
    words = re.sub(r"[│\s]+", " ", capsys.readouterr().out)
    for option, value in {
        "sigma-b": f"{DEFAULTS.sigma_b:g}",
        "correlation": f"{DEFAULTS.correlation:g}",
        "q0": f"{DEFAULTS.q0:g}",
        "trials": DEFAULTS.trials,
        "seed": DEFAULTS.seed,
        "keep": DEFAULTS.keep,
        "bins": DEFAULTS.bins,
        "checkpoint": f"{DEFAULTS.checkpoint:g}",
    }.items():
        told = re.search(rf"--{option} [A-Z].*?Default: (\S+)\. ", words)
        assert told is not None, option
        assert told[1] == str(value), option


def test_examples_of_the_help_are_valid(fake: FakeRun, capsys: pytest.CaptureFixture[str]) -> None:
    examples = [line for line in EPILOG.splitlines() if line.startswith("simulate ")]
    assert len(examples) >= 4
    for example in examples:
        arguments = [word for word in example.split()[1:] if word != "--dry-run"]
        assert main([*arguments, "--dry-run"]) == 0, example
    assert fake.calls == []


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
    ("--width 64 --depth 5 --ensemble rai", "--ensemble rai:"),
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
    ("--width 64 --depth 5 --device cuda", "--device cuda: no CUDA support"),
    ("--width 64 --depth 5 --device tpu", "--device tpu:"),
    ("--width 64 --depth 5 --sampler dense", "--sampler dense:"),
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


# --- the output file ----------------------------------------------------------------------------


def test_a_named_file_is_not_overwritten(
    fake: FakeRun, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    (tmp_path / "x.h5").write_text("precious")
    assert main([*BASIC, "-o", "x.h5"]) == 2
    assert capsys.readouterr().err.startswith("--output x.h5: exists already. Add --overwrite")
    assert (tmp_path / "x.h5").read_text() == "precious"
    assert main([*BASIC, "-o", "x.h5", "--overwrite"]) == 0
    assert len(fake.calls) == 1


def test_the_same_run_is_shown_not_repeated(
    fake: FakeRun, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    assert main(BASIC) == 0
    first = capsys.readouterr().out
    monkeypatch.setattr("simcore.analysis.open_run", lambda _: fake_dataset(fake.run))
    assert main(BASIC) == 0
    second = capsys.readouterr()
    assert len(fake.calls) == 1
    assert "holds this run, complete" in second.out
    assert first.splitlines()[0] in second.out.splitlines()
    assert second.err == ""
    assert main([*BASIC, "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["already_complete"] is True
    assert main([*BASIC, "--overwrite", "--quiet"]) == 0
    assert len(fake.calls) == 2


def test_an_unfinished_default_file_is_named(
    fake: FakeRun, capsys: pytest.CaptureFixture[str]
) -> None:
    fake.during = lambda control: control.stop.set()
    assert main([*BASIC, "--quiet"]) == 130
    assert main(BASIC) == 2
    err = capsys.readouterr().err
    assert "is an unfinished run of this configuration" in err
    assert "--overwrite" in err
    assert len(fake.calls) == 1


def test_a_foreign_file_of_the_default_name_stays(
    fake: FakeRun, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    path = tmp_path / Run(depth=5, width=(64,)).default_filename()
    path.write_text("precious")
    assert main(BASIC) == 2
    assert "is not this run" in capsys.readouterr().err
    assert path.read_text() == "precious"


def test_dry_run(fake: FakeRun, capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    arguments = [*BASIC, "--k", "0,1", "--sigma-b", "0.1", "--dry-run"]
    assert main(arguments) == 0
    out = capsys.readouterr().out
    assert re.search(r"^points +2 \(k 2\)$", out, re.MULTILINE)
    assert re.search(r"^node updates +6\.4e\+05$", out, re.MULTILINE)
    assert "without bound" in out
    assert main([*arguments, "--json"]) == 0
    plan = json.loads(capsys.readouterr().out)
    assert plan["node_updates"] == 2 * 1000 * 64 * 5
    assert plan["file_bytes"] > 0
    assert plan["memory_bytes"] > 0
    assert main([*arguments, "--quiet"]) == 0
    assert capsys.readouterr().out == ""
    assert fake.calls == []
    assert list(tmp_path.iterdir()) == []


# --- what is printed ----------------------------------------------------------------------------


def test_the_table_and_what_to_do_next(fake: FakeRun, capsys: pytest.CaptureFixture[str]) -> None:
    assert main([*BASIC, "--sigma-b", "0.1", "-o", "my run.h5"]) == 0
    told = capsys.readouterr()
    lines = told.out.splitlines()
    assert lines[0].split()[:2] == ["layer", "c"]
    assert lines[5].split()[:4] == ["5", "0.500(10)", "0.48", "+2.0"]
    assert "  simcore info 'my run.h5'" in lines
    assert "  simcore plot 'my run.h5' correlation" in lines
    assert "1000 trials, 5 layers in 2 s (500 node updates/s" in told.out
    assert "\x1b" not in told.out + told.err
    assert told.err.startswith("note: with --sigma-b above 0")
    assert "0 of 1000 trials" in told.err


def test_quiet_is_quiet(fake: FakeRun, capsys: pytest.CaptureFixture[str]) -> None:
    assert main([*BASIC, "--sigma-b", "0.1", "--quiet"]) == 0
    assert capsys.readouterr() == ("", "")


def test_json_is_one_object(fake: FakeRun, capsys: pytest.CaptureFixture[str]) -> None:
    assert main([*BASIC, "--k", "0,inf", "--json", "-o", "x.h5"]) == 0
    result = json.loads(capsys.readouterr().out)
    assert result["configuration"] == fake.run.config()
    assert result["output"] == "x.h5"
    assert result["complete"] is True
    assert (result["seconds"], result["node_updates"]) == (2.0, 1000)
    assert result["node_updates_per_second"] == 500.0
    assert [row["k"] for row in result["table"]] == [0.0, "inf"]
    assert result["table"][0]["z"] == pytest.approx(2.0)
    assert result["table"][0]["log_distance"] is None


def test_version(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--version"]) == 0
    assert re.fullmatch(r"simcore \d+\.\d+\.\d+\n", capsys.readouterr().out)


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


# --- signals ------------------------------------------------------------------------------------


@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_a_signal_stops_the_run_and_leaves_its_file(
    fake: FakeRun, capfd: pytest.CaptureFixture[str], number: signal.Signals, code: int
) -> None:
    def interrupted(control: Control) -> None:
        os.kill(os.getpid(), number)
        assert control.stop.wait(5.0)

    fake.during = interrupted
    before = signal.getsignal(number)
    assert main([*BASIC, "-o", "x.h5"]) == code
    assert signal.getsignal(number) == before
    told = capfd.readouterr()
    assert told.out == ""
    assert f"{number.name}: writing what is done" in told.err
    assert "stopped: x.h5 holds 64 of 1000 trials, unfinished" in told.err.splitlines()[-1]


def test_a_signal_at_the_very_end_changes_nothing(fake: FakeRun) -> None:
    fake.during = lambda _: os.kill(os.getpid(), signal.SIGUSR1)
    assert main([*BASIC, "--quiet"]) == 0
    assert fake.calls[0]["control"].checkpoint.is_set()
    assert not fake.calls[0]["control"].stop.is_set()


def test_outside_the_main_thread_signals_are_left_alone(fake: FakeRun) -> None:
    codes: list[int] = []
    thread = threading.Thread(target=lambda: codes.append(main([*BASIC, "--quiet"])))
    thread.start()
    thread.join()
    assert codes == [0]


STUBBORN = """
import os, sys, time
import simcore.cli.execution as execution
from simcore.cli.simulate import main
def execute(*_, **__):
    print("started", flush=True)
    while True:
        time.sleep(0.1)
import simcore.run
simcore.run.execute = execute
sys.exit(main(["--width", "8", "--depth", "2", "-o", "x.h5"]))
"""


def test_a_second_interrupt_ends_at_once(tmp_path: Path) -> None:
    with subprocess.Popen(
        [sys.executable, "-c", STUBBORN],
        cwd=tmp_path,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    ) as process:
        assert process.stdout is not None
        assert process.stderr is not None
        assert process.stdout.readline() == "started\n"
        process.send_signal(signal.SIGINT)
        assert process.stderr.readline().startswith("SIGINT")
        time.sleep(0.2)
        assert process.poll() is None
        process.send_signal(signal.SIGINT)
        # Ended by the signal itself, which a shell shows as 130.
        assert process.wait(5.0) == -signal.SIGINT
        assert "Traceback" not in process.stderr.read()


# --- the whole way ------------------------------------------------------------------------------


def test_help_loads_nothing_heavy() -> None:
    code = (
        "import sys\nfrom simcore.cli.{0} import main\ncode = main(['--help'])\n"
        "heavy = {{'numba', 'numpy', 'h5py', 'xarray', 'scipy'}} & set(sys.modules)\n"
        "sys.exit(code or ' '.join(heavy) or 0)"
    )
    for command in ("simulate", "main"):
        done = subprocess.run(
            [sys.executable, "-c", code.format(command)],
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == 0, done.stderr


def test_a_real_run(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "simcore.cli.simulate", "--width", "32", "--depth", "6"]
    command += ["--k", "1", "--trials", "100", "-o", "x.h5", "--json"]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    result = json.loads(done.stdout)
    assert [row["layer"] for row in result["table"]] == [1, 2, 3, 4, 5, 6]
    assert result["node_updates"] == 100 * 32 * 6
    # Six layers of one run: |z| > 6 has a probability below 1e-8, and the seed is fixed.
    assert all(abs(row["z"]) < 6.0 for row in result["table"])
    assert "Warning" not in done.stderr
    assert (tmp_path / "x.h5").is_file()
