"""`simcore resume` and `merge`, `--until-stderr`, `--scheduler`, `--log-json`, as typed."""

from __future__ import annotations

import json
import re
import shutil
from pathlib import Path

import pytest
from simcore.cli.live import describe
from simcore.cli.main import main as simcore
from simcore.cli.simulate import main as simulate

from simcore.execution.progress import Control, EventLog, Progress
from simcore.files.run_file import info
from tests.cli.fakes import BASIC, FakeRun

SMALL = ["--width", "8", "--depth", "3"]


@pytest.fixture
def here(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a complete run, run.h5, and another far behind its trials, far.h5."""
    folder = tmp_path_factory.mktemp("made")
    for name, trials in (("run.h5", "0 --trials 128"), ("far.h5", "640 --trials 10")):
        options = [*SMALL, "--device", "cpu", "--first-trial", *trials.split(), "--quiet"]
        assert simulate([*options, "-o", str(folder / name)]) == 0
    return folder


@pytest.fixture
def run(here: Path, made: Path) -> Path:
    return Path(shutil.copy(made / "run.h5", here))


Told = pytest.CaptureFixture[str]


def test_a_complete_run_is_shown_and_left_alone(run: Path, capsys: Told) -> None:
    before = run.read_bytes()
    assert simcore(["resume", "run.h5"]) == 0
    assert "run.h5 holds this run, complete; nothing was simulated." in capsys.readouterr().out
    assert run.read_bytes() == before


def test_an_extension_shows_the_table_and_the_new_trials(run: Path, capsys: Told) -> None:
    assert simcore(["resume", "run.h5", "--trials", "200", "--log-json", "log"]) == 0
    told = capsys.readouterr()
    assert "200 trials, 3 layers in" in told.out
    assert info(run)["trials_done"] == [200, 200]
    log = [json.loads(line) for line in Path("log").read_text().splitlines()]
    events = ["start", "task", "task", "checkpoint", "checkpoint", "end"]
    assert [event["event"] for event in log] == events
    assert [e["complete"] for e in log if e["event"] == "checkpoint"] == [False, True]
    assert log[0]["trials_done"] == 128
    assert sum(event["trials"] for event in log if event["event"] == "task") == 72
    assert {"time", "point", "first_block", "blocks", "worker", "seconds"} <= log[1].keys()
    command = info(run)["provenance"]["command_line"]
    assert command.split()[0] == "simcore"


def test_a_log_that_is_full_does_not_end_the_run(
    run: Path, capsys: Told, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(self: EventLog, path: Path) -> None:
        del path
        self._file = Path("/dev/full").open("a", encoding="utf-8", buffering=1)  # noqa: SIM115

    monkeypatch.setattr(EventLog, "__init__", full)
    assert simcore(["resume", "run.h5", "--trials", "192", "--log-json", "log.jsonl"]) == 0
    told = [line for line in capsys.readouterr().err.splitlines() if "warning" in line]
    assert told == [
        "warning: the log ends here, since it can't be written (No space left on device)"
    ]
    assert info(run)["trials_done"] == [192, 192]


def test_resume_as_json(run: Path, capsys: Told) -> None:
    assert simcore(["resume", "run.h5", "--trials", "192", "--json"]) == 0
    told = json.loads(capsys.readouterr().out)
    assert told["complete"]
    assert told["trials_done"] == [192]


@pytest.mark.parametrize(
    ("arguments", "line"),
    [
        (["resume"], "Missing argument 'FILE'"),
        (["resume", "no.h5"], "no.h5: does not exist"),
        (["resume", "."], ".: is a folder, not a run"),
        (["resume", "text.h5"], "text.h5: is not an HDF5 file"),
        (["resume", "run.h5", "--trials", "100"], "--trials 100: is less than the run has, 128"),
        (["resume", "run.h5", "--trials", "many"], "--trials many: "),
        (["resume", "run.h5", "--threads", "0"], "--threads 0: must be between 1"),
        (["resume", "run.h5", "--checkpoint", "-1"], "--checkpoint -1: must be above 0"),
        (["resume", "run.h5", "--scheduler", "local:0"], "--scheduler local:0: must be local:N"),
        (["resume", "run.h5", "--scheduler", "nowhere"], "--scheduler nowhere: is no address"),
        (["resume", "run.h5", "--scheduler", "tcp://x"], "--scheduler tcp://x: is no address"),
        (["resume", "run.h5", "--scheduler", "tcp://x:99999"], "--scheduler tcp://x:99999: is no"),
        (["resume", "run.h5", "--scheduler", "foo://x:1"], "--scheduler foo://x:1: is no address"),
        (["resume", "run.h5", "--scheduler", "text.h5"], "--scheduler text.h5: is not the file"),
        (["resume", "run.h5", "--trials", "999", "--inputs", "x"], "--inputs x: goes with a run"),
        (["resume", "run.h5", "--trials", "999", "--log-json", "no/log"], "--log-json no/log: "),
        (["merge", "run.h5"], "Missing option '-o'"),
        (["merge", "no.h5", "-o", "out.h5"], "no.h5: does not exist"),
        (["merge", "run.h5", "text.h5", "-o", "out.h5"], "text.h5: is not an HDF5 file"),
        (["merge", "run.h5", "run.h5", "-o", "out.h5"], "run.h5: has trials 0 to 127, and so has"),
        (["merge", "run.h5", "far.h5", "-o", "out.h5"], "--output out.h5: would lack trials 128-"),
        (["merge", "run.h5", "-o", "far.h5"], "--output far.h5: exists already"),
        (["merge", "run.h5", "-o", "no/out.h5"], "--output no/out.h5: is in no folder"),
    ],
)
def test_mistakes_are_one_line(
    run: Path, made: Path, arguments: list[str], line: str, capsys: Told
) -> None:
    Path("text.h5").write_text("text")
    shutil.copy(made / "far.h5", "far.h5")
    files = {path: path.read_bytes() for path in Path().iterdir()}
    assert simcore(arguments) == 2
    told = capsys.readouterr()
    assert told.out == ""
    assert len(told.err.splitlines()) == 1
    assert told.err.startswith(line)
    assert {path: path.read_bytes() for path in Path().iterdir()} == files


@pytest.mark.parametrize(
    ("arguments", "line"),
    [
        (["--until-stderr", "0"], "--until-stderr 0: must be a number between 0 and 1"),
        (["--until-stderr", "x"], "--until-stderr x: must be a number"),
        (["--until-stderr", "c=0.1"], "--until-stderr c=0.1: names no observable. Take one of q1"),
        (["--until-stderr", "q1=inf"], "--until-stderr q1=inf: must be a number above 0"),
        (["--until-stderr", "dead=1"], "--until-stderr dead=1: is of inputs that share a network"),
        (
            ["--until-stderr", "0.1", "--first-trial", "64"],
            "--until-stderr 0.1: excludes --first-trial",
        ),
        (["--scheduler", "localhost:8786"], "--scheduler localhost:8786: is no address"),
        (["--scheduler", "local:x"], "--scheduler local:x: must be local:N"),
        (["--log-json", ""], "--log-json: is empty"),
    ],
)
def test_mistakes_of_simulate(fake: FakeRun, arguments: list[str], line: str, capsys: Told) -> None:
    assert simulate([*BASIC, *arguments]) == 2
    assert capsys.readouterr().err.startswith(line)
    assert fake.calls == []


def test_dask_that_is_missing_is_named(
    fake: FakeRun, monkeypatch: pytest.MonkeyPatch, capsys: Told
) -> None:
    monkeypatch.setattr("simcore.execution.dask.address.find_spec", lambda _: None)
    assert simulate([*BASIC, "--scheduler", "local:2"]) == 2
    assert "pip install 'distributed>=2025.1'." in capsys.readouterr().err


def test_a_target_is_part_of_the_run_and_lifts_the_limit(fake: FakeRun) -> None:
    assert simulate([*BASIC, "--until-stderr", "1e-3", "--quiet"]) == 0
    assert fake.run.until_stderr == 1e-3
    assert fake.run.trials == 10**6


def test_a_missed_target_is_said(here: Path, capsys: Told) -> None:
    options = ["--until-stderr", "1e-3", "--trials", "300"]
    assert simulate([*SMALL, *options, "-o", "run.h5"]) == 0
    told = capsys.readouterr().out
    missed = "1 of 1 points ended without reaching a standard error of 0.001 (correlation) in 300"
    assert missed in " ".join(told.split())
    error = float(told.partition("the largest error is ")[2].split()[0].rstrip("."))
    wanted = int(told.partition("simcore resume run.h5 --trials ")[2].split()[0])
    assert wanted == pytest.approx(300 * (error / 1e-3) ** 2, rel=0.01)
    capsys.readouterr()
    assert simulate([*SMALL, *options, "--dry-run"]) == 0
    assert "until a standard error of 0.001 (correlation), at most 300" in capsys.readouterr().out


def test_merged_shards_are_shown(run: Path, capsys: Told) -> None:
    options = ["--first-trial", "128", "--trials", "72", "-o", "rest.h5", "--quiet"]
    assert simulate([*SMALL, *options]) == 0
    assert simcore(["merge", "rest.h5", "run.h5", "-o", "both.h5"]) == 0
    assert "200 trials, 3 layers" in capsys.readouterr().out
    facts = info("both.h5")
    assert facts["complete"]
    assert facts["gaps"] == ""
    assert json.loads(facts["provenance"]["merged_from"]) == ["run.h5", "rest.h5"]
    assert simcore(["merge", "rest.h5", "run.h5", "-o", "both.h5", "--overwrite", "--quiet"]) == 0
    assert capsys.readouterr().out == ""


def test_info_says_how_far_a_stopped_run_is(here: Path, capsys: Told) -> None:
    from simcore.execution.execute import execute
    from simcore.runs.run import Run

    control = Control()

    def look(progress: Progress) -> None:
        if progress.trials >= 640:
            control.stop.set()

    execute(
        Run(depth=3, width=(8, 16), trials=10**6),
        output=Path("run.h5"),
        control=control,
        report=look,
    )
    assert simcore(["info", "run.h5"]) == 0
    told = capsys.readouterr().out
    assert re.search("points_done +0 of 2", told)
    assert "none, nobody writes this file now" in told
    assert "node updates/s" in told
    assert simcore(["info", "run.h5", "--json"]) == 0
    progress = json.loads(capsys.readouterr().out)["progress"]
    assert progress["seconds_left"] > 0.0


def test_progress_shows_points_and_the_falling_error() -> None:
    progress = Progress(
        phase="running",
        trials=1000,
        total_trials=4000,
        node_updates=10**6,
        total_node_updates=4 * 10**6,
        seconds=2.0,
        resumed_updates=5 * 10**5,
        points_done=3,
        points=10,
        error=2.5e-3,
        target=1e-3,
    )
    told = describe(progress)
    assert "1000 of 4000 trials, 250 k node updates/s" in told
    assert "error 0.0025 of 0.001" in told
    assert "3 of 10 points done" in told
    assert "about 12 s left" in told
