"""The scripts of `simcore slurm` without Slurm: their text, and what they do to stand-ins."""

from __future__ import annotations

import os
import re
import shlex
import shutil
import signal
import subprocess
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
from simcore.cli.main import main

from simcore.errors import InputError
from simcore.execution.execute import execute
from simcore.runs.run import Run
from simcore.slurm.script import Job, Work, array_script, dask_script, shard_spans

BASIC = "simulate --width 64 --depth 5"
STAND_IN = Path(__file__).with_name("stand_in.bash")

Printed = Callable[[str], str]


@pytest.fixture
def printed(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> Printed:
    """What `simcore slurm` prints for the words after it, in an empty folder."""
    monkeypatch.chdir(tmp_path)

    def call(words: str) -> str:
        assert main(["slurm", *shlex.split(words)]) == 0
        told = capsys.readouterr()
        assert told.err == ""
        return told.out

    return call


def directives(script: str) -> list[str]:
    return re.findall(r"^#SBATCH (.*)$", script, re.MULTILINE)


# --- the text -----------------------------------------------------------------------------------

SCRIPTS = [
    f"-- {BASIC}",
    f"{BASIC} --until-stderr 1e-3",
    f"--nodes 4 --gpus-per-node 4 -- {BASIC} -o 'my run.h5'",
    f"--nodes 2 --cpus-per-task 16 -- {BASIC} --log-json 'a log.jsonl' --quiet --checkpoint 5",
    f'--array 5 -- {BASIC} -o "it\'s.h5" --log-json log.jsonl',
    f"--array 5 --gpus-per-node 1 --setup 'module load x' --setup 'echo \"a b\"' -- {BASIC}",
]


@pytest.mark.parametrize("words", SCRIPTS)
def test_it_is_valid_bash(printed: Printed, words: str) -> None:
    script = printed(words)
    checks = [["bash", "-n"]]
    if shutil.which("shellcheck"):
        checks.append(["shellcheck", "-"])
    for check in checks:
        done = subprocess.run(
            check, input=script, capture_output=True, text=True, check=False, timeout=60
        )
        assert (done.returncode, done.stdout, done.stderr) == (0, "", ""), check
    assert max(len(line) for line in script.splitlines() if line.startswith("#")) <= 100


def test_what_is_asked_of_slurm(printed: Printed) -> None:
    words = (
        "--nodes 4 --gpus-per-node 2 --time 1-00:00:00 --partition gpu --account me --qos long "
        "--mem 64G --job-name wide --signal-seconds 300 --sbatch '#SBATCH --constraint=a100'"
    )
    assert directives(printed(f"{words} -- {BASIC}")) == [
        "--job-name=wide",
        "--nodes=4",
        "--ntasks-per-node=2",
        "--cpus-per-task=2",
        "--gpus-per-node=2",
        "--signal=B:USR1@300",
        "--time=1-00:00:00",
        "--partition=gpu",
        "--account=me",
        "--qos=long",
        "--mem=64G",
        "--requeue",
        "--open-mode=append",
        "--output=wide-%j.log",
        "--constraint=a100",
    ]


def test_the_merge_asks_for_little(printed: Printed) -> None:
    script = printed(f"--array 3 --gpus-per-node 1 --partition x --sbatch=-H -- {BASIC}")
    merge = directives(script.partition("submit_merge()")[2])
    assert merge == [
        "--job-name=simcore-merge",
        "--nodes=1",
        "--ntasks=1",
        "--partition=x",
        "--requeue",
        "--open-mode=append",
        "--output=simcore-merge-%j.log",
        "-H",
    ]


@pytest.mark.parametrize(
    ("words", "step", "worker"),
    [
        ("--gpus-per-node 4", "--cpus-per-task=2 --gpus-per-task=1", "--nthreads 1 --resources"),
        ("--gpus-per-node 4 --cpus-per-task 8", "--cpus-per-task=8 --gpus-per-task=1", "GPU=1"),
        ("--cpus-per-task 16", "--cpus-per-task=16", "--nthreads 16"),
        ("", "--cpu-bind=none", "--memory-limit 0"),
    ],
)
def test_the_workers(printed: Printed, words: str, step: str, worker: str) -> None:
    script = printed(f"{words} -- {BASIC}")
    command = script.partition("\nsrun ")[2].partition("&\n")[0]
    assert step in command
    assert "--export=ALL" in command
    assert worker in command
    assert ("--exclusive" in directives(script)) == (words == "")


def test_the_commands(printed: Printed) -> None:
    script = printed(f"-- {BASIC} --k -0.5 --shared-network --pairs 3 --threads 2 --checkpoint 9")
    name = Run(
        depth=5, width=(64,), ensemble="correlated", k=(-0.5,), shared_network=True, pairs=3
    ).default_filename()
    assert f"\noutput={name}\n" in script
    start, resume = re.findall(r"^(?:start|resume)=\((.*)\)$", script, re.MULTILINE)
    assert start.startswith(f"{BASIC} --k -0.5 --pairs 3 --threads 2 --checkpoint 9 --shared-net")
    assert resume.startswith('simcore resume "$output" --threads 2 --checkpoint 9')


def test_a_configuration_file_is_read_here_and_there(printed: Printed, tmp_path: Path) -> None:
    text = 'width = 64\ndepth = 5\noutput = "mine.h5"\ncheckpoint = 7\ntrials = 300\n'
    (tmp_path / "run.toml").write_text(text)
    script = printed("--array 2 -- simulate --config run.toml")
    assert "\noutput=mine.h5\n" in script
    assert "\ntrials=300 block=64 blocks=5 shards=2\n" in script
    assert '\nstart=(simulate --config run.toml --device cpu --first-trial "$first"' in script
    assert '\nresume=(simcore resume "$output" --checkpoint 7)' in script


# --- mistakes -----------------------------------------------------------------------------------

MISTAKES = [
    ("", "Missing argument"),
    ("--nodes 4", "Missing argument"),
    ("--nodes 0 -- {}", "--nodes 0: must be at least 1"),
    ("--nodes x -- {}", "--nodes x: must be a whole number"),
    ("--gpus-per-node -1 -- {}", "--gpus-per-node -1: must be at least 0"),
    ("--cpus-per-task 0 -- {}", "--cpus-per-task 0: must be"),
    ("--time soon -- {}", "--time soon: must be a time limit"),
    ("--time 2 -- {}", "--time 2: must be longer than --signal-seconds 120"),
    ("--time 00:02:00 -- {}", "--time 00:02:00: must be longer"),
    ("--signal-seconds 70000 -- {}", "--signal-seconds 70000: must be at most 65535"),
    ("--mem lots -- {}", "--mem lots: must be memory"),
    ("--partition 'a b' -- {}", "--partition a b: must be one word"),
    ("--job-name a/b -- {}", "--job-name a/b: must be a plain word"),
    ("--sbatch constraint=a -- {}", "--sbatch constraint=a: must be an option of sbatch"),
    ("--sbatch=--nodes=3 -- {}", "--sbatch --nodes=3: is in the script already"),
    ("--setup '' -- {}", "--setup: must be one line"),
    ("--setup 'a\nb' -- {}", "--setup a b: must be one line"),
    ("--array 0 -- {}", "--array 0: must be at least 1"),
    ("--array 2 --nodes 2 -- {}", "--nodes 2: must be 1 with --array"),
    ("--array 2 --gpus-per-node 2 -- {}", "--gpus-per-node 2: must be 0 or 1 with --array"),
    ("--array 2 -- {} --first-trial 64", "--first-trial 64: is chosen by --array"),
    ("--array 2 -- {} --until-stderr 1e-3", "--until-stderr 1e-3: is out of reach of shards"),
    ("-- {} --scheduler local:2", "--scheduler local:2: is the script's to choose"),
    ("-- {} --dry-run", "--dry-run: has no place in a job"),
    ("-- {} --json", "--json: has no place in a job"),
    ("-- {} --overwrite", "--overwrite: would begin anew"),
    ("-- sleep 5", "-- sleep: must be the command simulate."),
    ("-- simulate --width 0 --depth 5", "--width 0:"),
    ("-- simulate --depth 5", "--width: is missing"),
    ("-- simulate --widht 64", "No such option: --widht"),
    ("-- {} -o none/x.h5", "--output none/x.h5: is in no folder"),
    ("-- {} -o other.h5", "other.h5: exists already and is another run."),
    ("-- {} -o noise.h5", "noise.h5: is not"),
    ("--array 1 -- {} -o some.h5", "some-shard-0-of-1.h5: exists already and is another"),
]


@pytest.fixture(scope="module")
def other_run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("other") / "other.h5"
    execute(Run(depth=2, width=(8,), trials=64), output=path, threads=1)
    return path


@pytest.mark.parametrize(("words", "start"), MISTAKES)
def test_a_mistake_is_one_line(
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
    other_run: Path,
    words: str,
    start: str,
) -> None:
    monkeypatch.chdir(tmp_path)
    shutil.copy(other_run, "other.h5")
    shutil.copy(other_run, "some-shard-0-of-1.h5")
    Path("noise.h5").write_text("noise")
    before = sorted(tmp_path.iterdir())
    assert main(["slurm", *shlex.split(words.replace("{}", BASIC))]) == 2
    told = capsys.readouterr()
    assert told.out == ""
    assert told.err.startswith(start)
    assert told.err.count("\n") == 1
    assert sorted(tmp_path.iterdir()) == before


def test_a_file_of_this_run_is_gone_on_with(
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
    other_run: Path,
) -> None:
    monkeypatch.chdir(tmp_path)
    shutil.copy(other_run, "x.h5")
    words = "slurm -- simulate --width 8 --depth 2 --trials 64 -o x.h5"
    assert main(words.split()) == 0
    assert capsys.readouterr().err.startswith("note: x.h5 holds this run")


def test_the_help_of_simulate_is_there(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["slurm", "--", "simulate", "--help"]) == 0
    assert "--width" in capsys.readouterr().out


@pytest.mark.parametrize("value", ["a\nb.h5", ""])
def test_a_name_that_no_comment_holds(value: str) -> None:
    with pytest.raises(InputError, match="output"):
        Work(("simulate",), value)


# --- shards -------------------------------------------------------------------------------------


@pytest.mark.parametrize("trials", [1, 64, 65, 1000, 6400, 123_457])
@pytest.mark.parametrize("array", [1, 2, 7, 16, 1000])
def test_shards_cover_every_trial_once(trials: int, array: int) -> None:
    script = array_script(Job(array=array), Work(("simulate",), "x.h5", trials=trials))
    shards = int(re.search(r"shards=(\d+)\n", script)[1])  # type: ignore[index]
    assert f"--array=0-{shards - 1}\n" in script
    assert shards == min(array, -(-trials // 64))
    spans = shard_spans(trials, shards)
    assert [first % 64 for first, _ in spans] == [0] * shards
    assert all(first < end for first, end in spans)
    assert [0, *(end for _, end in spans)] == [*(first for first, _ in spans), trials]
    sizes = {end - first for first, end in spans[:-1]}
    assert max(sizes, default=0) - min(sizes, default=0) <= 64


# --- what a script does, with stand-ins for the programs ----------------------------------------


@dataclass
class Stage:
    """A folder with stand-ins for all programs, and what they were called with."""

    folder: Path

    def start(self, script: str, **behaviour: str) -> subprocess.Popen[str]:
        path = f"{self.folder / 'bin'}:{os.environ['PATH']}"
        job = {"SLURM_JOB_ID": "7", "SLURM_ARRAY_JOB_ID": "5", "SLURM_ARRAY_TASK_ID": "1"}
        settings = {"CALLS": str(self.folder / "calls"), "RUN": "complete", "WORKERS": "stay"}
        return subprocess.Popen(
            ["bash", "-c", script],
            cwd=self.folder,
            env={**os.environ, "PATH": path, **job, **settings, **behaviour},
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )

    def finish(self, script: str, **behaviour: str) -> tuple[int, str]:
        """Run a script to its end and return its exit code and what it said."""
        with self.start(script, **behaviour) as process:
            out, err = process.communicate(timeout=30)
        return process.returncode, out + err

    def signalled(self, script: str, sent: signal.Signals, **behaviour: str) -> int:
        """Send a signal once the run is under way; return the exit code."""
        with self.start(script, **behaviour) as process:
            end = time.monotonic() + 30.0
            while " ready" not in self.called() and time.monotonic() < end:
                time.sleep(0.02)
            process.send_signal(sent)
            process.communicate(timeout=30)
        return process.returncode

    def called(self) -> str:
        calls = self.folder / "calls"
        return calls.read_text() if calls.exists() else ""


@pytest.fixture
def stage(tmp_path: Path) -> Iterator[Stage]:
    (tmp_path / "bin").mkdir()
    for name in ("sbatch", "srun", "dask", "scontrol", "scancel", "simulate", "simcore", "sleep"):
        (tmp_path / "bin" / name).symlink_to(STAND_IN)
    yield Stage(tmp_path)
    assert not list(tmp_path.glob("*.json"))


DASK = dask_script(Job(), Work(("simulate", "--width", "64"), "x.h5", ("--checkpoint", "5")))
ARRAY = array_script(Job(array=3), Work(("simulate", "--width", "64"), "x.h5", trials=1000))


def test_a_run_that_completes(stage: Stage) -> None:
    assert stage.finish(DASK)[0] == 0
    calls = stage.called()
    file = "x.h5.scheduler-7.json"
    assert f"dask scheduler --scheduler-file {file} --port 0 --no-dashboard\n" in calls
    assert f"simulate --width 64 --scheduler {file} -o x.h5\n" in calls
    assert "scontrol" not in calls


def test_a_run_that_goes_on(stage: Stage) -> None:
    (stage.folder / "x.h5").touch()
    assert stage.finish(DASK)[0] == 0
    file = "x.h5.scheduler-7.json"
    assert f"simcore resume x.h5 --checkpoint 5 --scheduler {file}\n" in stage.called()
    assert "simulate" not in stage.called()


def test_a_run_that_fails(stage: Stage) -> None:
    assert stage.finish(DASK, RUN="fail")[0] == 7
    assert "scontrol" not in stage.called()


def test_a_warning_stops_the_run_and_requeues(stage: Stage) -> None:
    assert stage.signalled(DASK, signal.SIGUSR1, RUN="stop") == 143
    assert stage.called().endswith("simulate TERM\nscontrol requeue 7\n")


def test_a_run_that_finishes_at_the_warning_is_not_requeued(stage: Stage) -> None:
    assert stage.signalled(DASK, signal.SIGUSR1, RUN="finish") == 0
    assert stage.called().endswith("simulate TERM\n")


def test_a_termination_stops_the_run_and_leaves_the_rest_to_slurm(stage: Stage) -> None:
    assert stage.signalled(DASK, signal.SIGTERM, RUN="stop") == 143
    assert stage.called().endswith("simulate TERM\n")


def test_the_end_of_all_workers_is_a_failure(stage: Stage) -> None:
    code, told = stage.finish(DASK, RUN="stop", WORKERS="end")
    assert code == 1
    assert "all workers have ended" in told
    assert "scontrol" not in stage.called()


def submitted(stage: Stage) -> tuple[str, str]:
    """Run the script of an array, and return those of the shards and of the merge."""
    code, told = stage.finish(ARRAY)
    assert (code, told) == (0, "shards: job 41; merge: job 42\n")
    assert "sbatch --parsable --dependency=afterok:41 --kill-on-invalid-dep" in stage.called()
    return (stage.folder / "job-1").read_text(), (stage.folder / "job-2").read_text()


def test_the_jobs_of_an_array(stage: Stage) -> None:
    shard, merge = submitted(stage)
    for number in "012":
        assert stage.finish(shard, SLURM_ARRAY_TASK_ID=number)[0] == 0
    assert stage.finish(merge)[0] == 0
    assert [line for line in stage.called().splitlines() if not line.startswith("sbatch")] == [
        "simulate --width 64 --first-trial 0 --trials 320 -o x-shard-0-of-3.h5",
        "simulate --width 64 --first-trial 320 --trials 320 -o x-shard-1-of-3.h5",
        "simulate --width 64 --first-trial 640 --trials 360 -o x-shard-2-of-3.h5",
        "simcore merge x-shard-0-of-3.h5 x-shard-1-of-3.h5 x-shard-2-of-3.h5 -o x.h5",
    ]
    assert shard_spans(1000, 3) == [(0, 320), (320, 640), (640, 1000)]


def test_a_shard_requeues_itself_alone(stage: Stage) -> None:
    shard, _ = submitted(stage)
    assert stage.signalled(shard, signal.SIGUSR1, RUN="stop") == 143
    assert stage.called().endswith("simulate TERM\nscontrol requeue 5_1\n")


def test_a_merged_file_is_not_merged_again(stage: Stage) -> None:
    _, merge = submitted(stage)
    (stage.folder / "x.h5").touch()
    assert stage.finish(merge) == (0, "x.h5 is there already\n")
    code, told = stage.finish(ARRAY)
    assert code == 1
    assert told.startswith("x.h5 exists already")
