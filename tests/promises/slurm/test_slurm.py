"""The scripts of `simcore slurm` on a real Slurm: complete, stopped and gone on with, in shards."""

from __future__ import annotations

import json
import re
import shlex
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest

from simcore.files.run_file import info
from tests.promises.slurm.cluster import Cluster, environment, wait_until
from tests.support.same_results import differences

RUN = (
    "simulate --width 2048 --depth 50 --trials 12000 "
    "--checkpoint 0.5 --log-json run.jsonl -o run.h5"
)
TRIALS = 12_000

pytestmark = [pytest.mark.slow, pytest.mark.xdist_group("slurm")]


@pytest.fixture(scope="module")
def plain(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The same run without Slurm, which compiles the kernels for all of them."""
    folder = tmp_path_factory.mktemp("plain")
    command = [*shlex.split(RUN), "--quiet"]
    subprocess.run(command, cwd=folder, env=environment(), check=True, timeout=300)
    return folder / "run.h5"


def assert_same_results(path: Path, plain: Path) -> None:
    assert info(path)["complete"]
    assert differences(path, plain) == []


def printed(cluster: Cluster, words: str, folder: Path, options: str = "") -> Path:
    """Print a script for `RUN`, with more options, into a file of the folder."""
    script = folder / "job.sh"
    told = cluster.run("simcore", "slurm", *shlex.split(f"{words} -- {RUN} {options}"), cwd=folder)
    script.write_text(told)
    return script


def submit(cluster: Cluster, script: Path) -> str:
    return cluster.run("sbatch", "--parsable", str(script), cwd=script.parent).strip()


def submit_array(cluster: Cluster, script: Path) -> tuple[str, str]:
    """Run the script of an array, and return the numbers of the shards' job and of the merge's."""
    told = cluster.run("bash", str(script), cwd=script.parent)
    found = re.fullmatch(r"shards: job (\d+); merge: job (\d+)\n", told)
    assert found, told
    return found[1], found[2]


def events(log: Path, kind: str) -> list[dict[str, Any]]:
    """Return what a run noted by --log-json, so far."""
    lines = log.read_text().splitlines() if log.exists() else []
    return [event for event in map(json.loads, lines) if event["event"] == kind]


def wait_for_work(log: Path) -> None:
    """Wait until a run has the results of a few tasks, which is long before its end."""
    wait_until(f"tasks in {log.name}", lambda: len(events(log, "task")) > 2)


def assert_went_on(log: Path, trials: int) -> None:
    """Check that a run was started twice, the second time with part of its trials done."""
    first, second = (event["trials_done"] for event in events(log, "start"))
    assert first == 0
    assert 0 < second < trials


def logs(folder: Path) -> str:
    return "".join(f"{path.name}:\n{path.read_text()}" for path in sorted(folder.glob("*.log")))


@pytest.fixture(scope="module", autouse=True)
def near_its_limit(cluster: Cluster, tmp_path_factory: pytest.TempPathFactory) -> tuple[str, Path]:
    """A shard that only sleeps, so near its time limit that Slurm warns it within half a minute."""
    folder = tmp_path_factory.mktemp("limit")
    words = "--array 1 --partition aside --cpus-per-task 1 --time 1 --signal-seconds 55 "
    words += "--setup 'simulate() { exec sleep 600; }'"
    return submit_array(cluster, printed(cluster, words, folder))[0], folder


# --- one job with a Dask cluster ----------------------------------------------------------------

DASK = """\
#!/usr/bin/env bash
if [[ $1 == worker ]]; then echo "$SLURMD_NODENAME $CUDA_VISIBLE_DEVICES $*" >>workers; fi
PATH=${PATH#*:} exec dask "$@"
"""
"""Notes on which node and with which GPUs each worker starts."""


def test_a_job_with_gpus_that_is_warned(cluster: Cluster, plain: Path, tmp_path: Path) -> None:
    wrapper = tmp_path / "bin" / "dask"
    wrapper.parent.mkdir()
    wrapper.write_text(DASK)
    wrapper.chmod(0o755)
    words = "--nodes 2 --gpus-per-node 2 --cpus-per-task 1 --mem 2000 --time 10 "
    words += f"--setup 'export PATH={wrapper.parent}:$PATH' --sbatch=--output=mine-%j.log"
    # The GPUs are pretended, and can do nothing.
    number = submit(cluster, printed(cluster, words, tmp_path, "--device cpu"))
    wait_for_work(tmp_path / "run.jsonl")
    cluster.run("scancel", "--batch", "--signal=USR1", number)
    (job,) = cluster.wait_for(number)
    assert (job.state, job.exit_code, job.restarts) == ("COMPLETED", 0, 1), logs(tmp_path)
    assert_same_results(tmp_path / "run.h5", plain)
    assert_went_on(tmp_path / "run.jsonl", TRIALS)

    workers = sorted((tmp_path / "workers").read_text().splitlines())
    assert [line.split()[:2] for line in workers] == [
        [node, gpu] for node in ("n1", "n2") for gpu in "0011"
    ]
    assert all("--nthreads 1 --resources GPU=1" in line for line in workers)
    log, dask_log = f"mine-{number}.log", f"simcore-{number}.dask.log"
    left = {path.name for path in tmp_path.iterdir() if not path.name.startswith(".")}
    assert left == {"bin", "job.sh", "run.h5", "run.jsonl", "workers", log, dask_log}
    assert "Traceback" not in (tmp_path / log).read_text()


def test_a_preempted_job_is_requeued_and_goes_on(
    cluster: Cluster, plain: Path, tmp_path: Path
) -> None:
    script = printed(cluster, "--cpus-per-task 1 --partition low", tmp_path)
    number = submit(cluster, script)
    wait_for_work(tmp_path / "run.jsonl")
    urgent = cluster.run(
        "sbatch", "--parsable", "--partition=high", "--nodes=2", "--exclusive", "--wrap=sleep 1"
    ).strip()
    assert cluster.wait_for(urgent)[0].state == "COMPLETED"
    stopped = tmp_path / "stopped" / "run.h5"
    stopped.parent.mkdir()
    shutil.copy(tmp_path / "run.h5", stopped)
    (job,) = cluster.wait_for(number)
    assert (job.state, job.exit_code, job.restarts) == ("COMPLETED", 0, 1), logs(tmp_path)
    assert_same_results(tmp_path / "run.h5", plain)
    assert_went_on(tmp_path / "run.jsonl", TRIALS)

    # Submitted anew, elsewhere, on whole nodes.
    again = submit(cluster, printed(cluster, "--nodes 2", stopped.parent))
    (job,) = cluster.wait_for(again)
    assert (job.state, job.exit_code, job.restarts) == ("COMPLETED", 0, 0), logs(stopped.parent)
    assert_same_results(stopped, plain)
    (start,) = events(stopped.with_name("run.jsonl"), "start")
    assert 0 < start["trials_done"] < TRIALS


def test_a_job_whose_run_fails_has_its_exit_code(cluster: Cluster, tmp_path: Path) -> None:
    script = printed(cluster, "--cpus-per-task 1 --setup 'simulate() { exit 7; }'", tmp_path)
    (job,) = cluster.wait_for(submit(cluster, script))
    assert (job.state, job.exit_code, job.restarts) == ("FAILED", 7, 0), logs(tmp_path)


# --- shards -------------------------------------------------------------------------------------


def test_shards_and_their_merge(cluster: Cluster, plain: Path, tmp_path: Path) -> None:
    script = printed(cluster, "--array 2 --cpus-per-task 1", tmp_path)
    shards, merge = submit_array(cluster, script)
    wait_for_work(tmp_path / "run-shard-1-of-2.jsonl")
    cluster.run("scancel", "--batch", "--signal=USR1", f"{shards}_1")
    (job,) = cluster.wait_for(merge)
    assert (job.state, job.exit_code) == ("COMPLETED", 0), logs(tmp_path)
    states = cluster.jobs(shards)
    assert [job.state for job in states] == 2 * ["COMPLETED"]
    assert sorted(job.restarts for job in states) == [0, 1]
    assert_same_results(tmp_path / "run.h5", plain)
    assert_went_on(tmp_path / "run-shard-1-of-2.jsonl", TRIALS // 2)


def test_a_failed_shard_cancels_the_merge(cluster: Cluster, tmp_path: Path) -> None:
    fail = "simulate() { exit $((SLURM_ARRAY_TASK_ID == 1 ? 7 : 0)); }"
    words = f"--array 3 --cpus-per-task 1 --setup '{fail}'"
    shards, merge = submit_array(cluster, printed(cluster, words, tmp_path))
    states = cluster.wait_for(shards)
    assert sorted((job.state, job.exit_code) for job in states) == [
        *(2 * [("COMPLETED", 0)]),
        ("FAILED", 7),
    ]
    assert cluster.wait_for(merge)[0].state == "CANCELLED"
    assert not (tmp_path / "run.h5").exists()


def test_the_time_limit_requeues(cluster: Cluster, near_its_limit: tuple[str, Path]) -> None:
    number, folder = near_its_limit
    wait_until("requeueing", lambda: cluster.jobs(number)[0].restarts > 0)
    assert "the time limit is near: requeued" in logs(folder)
