"""A cluster that loses workers, its scheduler, or its patience; real processes throughout."""

from __future__ import annotations

import contextlib
import json
import os
import random
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import psutil
import pytest

from simcore.errors import ClusterError, InputError
from simcore.execution.execute import execute
from simcore.execution.progress import Control, EventLog
from simcore.files.run_file import info
from simcore.machine.gpu import Findings
from simcore.runs.run import Run
from simcore.sampling.choose import sampler_for
from tests.support.devices import H100, READY
from tests.support.same_results import differences

SIMULATE = str(Path(sys.executable).with_name("simulate"))
DASK = str(Path(sys.executable).with_name("dask"))
RUN: dict[str, Any] = {"depth": 50, "width": (512,), "trials": 20_000}
OPTIONS = ["--width", "512", "--depth", "50", "--trials", "20000"]


@pytest.fixture(scope="module")
def expected(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("expected") / "run.h5"
    execute(Run(**RUN), output=path, threads=2)
    return path


def events(log: Path, name: str = "") -> list[dict[str, Any]]:
    if not log.exists():
        return []
    found = [json.loads(line) for line in log.read_text().splitlines() if line.endswith("}")]
    return [event for event in found if not name or event["event"] == name]


def wait_for_tasks(process: subprocess.Popen[str], log: Path, count: int = 1) -> None:
    end = time.monotonic() + 120.0
    while len(events(log, "task")) < count:
        assert process.poll() is None, process.communicate()
        assert time.monotonic() < end
        time.sleep(0.05)


def workers_of(pid: int) -> list[int]:
    """Processes of workers that a process has started."""
    found = []
    with contextlib.suppress(psutil.NoSuchProcess):
        for child in psutil.Process(pid).children():
            with contextlib.suppress(psutil.NoSuchProcess):  # or a zombie, which is one of them
                if "distributed.cli.dask_worker" in child.cmdline():
                    found.append(child.pid)
    return found


def start(*arguments: str, cwd: Path) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [SIMULATE, *OPTIONS, *arguments],
        cwd=cwd,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def test_a_worker_killed_twice_a_second(tmp_path: Path, expected: Path) -> None:
    """… until seven are; a run that gets to its end before begins anew."""
    chance, killed = random.Random(1), 0
    while killed < 7:
        log, path = tmp_path / "log", tmp_path / "run.h5"
        log.unlink(missing_ok=True)
        path.unlink(missing_ok=True)
        options = ["--scheduler", "local:3", "--log-json", "log", "-o", "run.h5"]
        with start(*options, cwd=tmp_path) as process:
            wait_for_tasks(process, log)
            while process.poll() is None and killed < 7:
                if workers := workers_of(process.pid):
                    os.kill(chance.choice(workers), signal.SIGKILL)
                    killed += 1
                time.sleep(0.5)
            _, errors = process.communicate(timeout=120)
        assert process.returncode == 0, errors
        assert differences(path, expected) == []
    names = {event["worker"] for event in events(log, "task")}
    kept = json.loads(info(path)["provenance"]["throughput"])
    assert names == kept.keys()
    assert sum(own["tasks"] for own in kept.values()) == len(events(log, "task"))


class Cluster:
    """A scheduler and workers, each a process."""

    def __init__(self, folder: Path) -> None:
        self.file = folder / "scheduler.json"
        self.processes: list[subprocess.Popen[bytes]] = []
        options = ["--host", "127.0.0.1", "--port", "0", "--no-dashboard"]
        self.scheduler = self.start(
            "scheduler", *options, "--no-show", "--scheduler-file", self.file
        )
        while not self.file.exists():
            assert self.scheduler.poll() is None
            time.sleep(0.05)

    @property
    def address(self) -> str:
        return str(json.loads(self.file.read_text())["address"])

    def start(self, *arguments: object) -> subprocess.Popen[bytes]:
        command = [DASK, *map(str, arguments)]
        quiet = subprocess.DEVNULL
        self.processes.append(subprocess.Popen(command, stdout=quiet, stderr=quiet))
        return self.processes[-1]

    def worker(self, *arguments: str) -> subprocess.Popen[bytes]:
        options = ["--no-nanny", "--no-dashboard", "--nthreads", "1", "--memory-limit", "0"]
        return self.start("worker", "--scheduler-file", self.file, *options, *arguments)

    def close(self) -> None:
        for process in self.processes:
            process.kill()
            process.wait()


@pytest.fixture
def cluster(tmp_path: Path) -> Iterator[Cluster]:
    made = Cluster(tmp_path)
    yield made
    made.close()


def test_a_lost_scheduler_leaves_a_resumable_file_and_one_line(
    tmp_path: Path, cluster: Cluster, expected: Path
) -> None:
    cluster.worker()
    options = ["--scheduler", cluster.address, "--log-json", "log", "-o", "run.h5", "--quiet"]
    with start(*options, cwd=tmp_path) as process:
        wait_for_tasks(process, tmp_path / "log", 3)
        cluster.scheduler.kill()
        _, errors = process.communicate(timeout=60)
    assert process.returncode == 1
    assert len(errors.splitlines()) == 1, errors
    assert f"the Dask scheduler at {cluster.address} is lost" in errors
    done = info(tmp_path / "run.h5")["trials_done"][0]
    assert 0 < done < RUN["trials"]
    resume = [str(Path(SIMULATE).with_name("simcore")), "resume", "run.h5", "--quiet"]
    subprocess.run(resume, cwd=tmp_path, check=True)
    assert differences(tmp_path / "run.h5", expected) == []


def test_a_job_that_ends_all_at_once_is_a_stop(tmp_path: Path, cluster: Cluster) -> None:
    """Slurm signals the scheduler and the client together."""
    cluster.worker()
    options = ["--scheduler", cluster.address, "--log-json", "log", "-o", "run.h5"]
    with start(*options, cwd=tmp_path) as process:
        wait_for_tasks(process, tmp_path / "log", 3)
        cluster.scheduler.kill()
        time.sleep(0.2)
        process.send_signal(signal.SIGTERM)
        _, errors = process.communicate(timeout=60)
    assert process.returncode == 143, errors
    assert "To finish it: simcore resume run.h5" in errors
    assert "Traceback" not in errors


def test_a_scheduler_that_does_not_answer_is_lost(tmp_path: Path, cluster: Cluster) -> None:
    cluster.worker()
    code = (
        "import simcore.execution.dask.connection as c; c.CONNECT_SECONDS = 2.0\n"
        + HASTY.format(limit=60.0)
    )
    options = ["--scheduler", cluster.address, "--log-json", "log", "-o", "run.h5", "--quiet"]
    with subprocess.Popen(
        [sys.executable, "-c", code, *OPTIONS, *options],
        cwd=tmp_path,
        stderr=subprocess.PIPE,
        text=True,
    ) as process:
        wait_for_tasks(process, tmp_path / "log", 3)
        cluster.scheduler.send_signal(signal.SIGSTOP)
        _, errors = process.communicate(timeout=60)
    assert process.returncode == 1
    assert len(errors.splitlines()) == 1, errors
    assert "is lost" in errors
    assert info(tmp_path / "run.h5")["trials_done"][0] > 0


def test_without_workers_it_waits_and_says_so(
    tmp_path: Path, cluster: Cluster, expected: Path
) -> None:
    only = cluster.worker()
    options = ["--scheduler", cluster.address, "--log-json", "log", "-o", "run.h5"]
    with start(*options, cwd=tmp_path) as process:
        wait_for_tasks(process, tmp_path / "log", 3)
        only.kill()
        while not events(tmp_path / "log", "starving"):
            assert process.poll() is None
            time.sleep(0.1)
        cluster.worker()
        _, errors = process.communicate(timeout=120)
    assert process.returncode == 0, errors
    assert "no workers are left; waiting" in errors
    assert "workers are back" in errors
    assert differences(tmp_path / "run.h5", expected) == []


def test_a_worker_that_hangs_is_done_without(
    tmp_path: Path, cluster: Cluster, expected: Path
) -> None:
    """It is stopped, not killed: its connections stay, and it answers nothing."""
    one, _ = cluster.worker(), cluster.worker()
    code = HASTY.format(limit=2.0)
    options = ["--scheduler", str(cluster.file), "--log-json", "log", "-o", "run.h5"]
    with subprocess.Popen(
        [sys.executable, "-c", code, *OPTIONS, *options],
        cwd=tmp_path,
        stderr=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    ) as process:
        wait_for_tasks(process, tmp_path / "log", 4)
        one.send_signal(signal.SIGSTOP)
        _, errors = process.communicate(timeout=120)
    assert process.returncode == 0, errors
    assert "hangs on tcp://" in errors
    assert "started again elsewhere" in errors
    assert events(tmp_path / "log", "hang")
    assert differences(tmp_path / "run.h5", expected) == []


def test_a_task_that_hangs_twice_is_reported(tmp_path: Path, cluster: Cluster) -> None:
    workers = [cluster.worker(), cluster.worker()]
    options = ["--scheduler", str(cluster.file), "--log-json", "log", "-o", "run.h5", "--quiet"]
    with subprocess.Popen(
        [sys.executable, "-c", HASTY.format(limit=2.0), *OPTIONS, *options],
        cwd=tmp_path,
        stderr=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    ) as process:
        wait_for_tasks(process, tmp_path / "log", 3)
        for worker in workers:
            worker.send_signal(signal.SIGSTOP)
        _, errors = process.communicate(timeout=120)
    assert process.returncode == 1
    assert len(errors.splitlines()) == 1, errors
    assert "of point 0 hangs on tcp://" in errors
    assert not info(tmp_path / "run.h5")["complete"]


HASTY = """
import sys
import simcore.execution.dask.cluster
simcore.execution.dask.cluster.HANG_FLOOR = {limit}
simcore.execution.dask.cluster.HANG_FACTOR = 2.0
from simcore.cli.simulate import main
sys.exit(main(sys.argv[1:]))
"""


OTHER_SOFTWARE = """
import simcore.execution.dask.worker
def other(names=simcore.execution.dask.worker.versions()):
    return tuple((name, "0.1" if name == "numpy" else version) for name, version in names)
simcore.execution.dask.worker.versions = other
"""


SLOW_TO_START = """
import time
import simcore.execution.dask.worker
simcore.execution.dask.worker._sampler = lambda job: time.sleep(1000.0)
"""


def test_workers_that_are_lost_while_they_compile_cost_nothing(
    tmp_path: Path, cluster: Cluster, expected: Path
) -> None:
    """One is killed, the other stopped."""
    preload = tmp_path / "slow.py"
    preload.write_text(SLOW_TO_START)
    cluster.worker()
    killed, hung = (cluster.worker("--preload", str(preload)) for _ in range(2))
    code = (
        "import simcore.execution.dask.connection as c; c.PREPARE_SECONDS = 3.0\n"
        + HASTY.format(limit=3.0)
    )
    options = ["--scheduler", cluster.address, "--log-json", "log", "-o", "run.h5"]
    with subprocess.Popen(
        [sys.executable, "-c", code, *OPTIONS, *options],
        cwd=tmp_path,
        stderr=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    ) as process:
        while not events(tmp_path / "log", "cluster"):
            assert process.poll() is None
            time.sleep(0.05)
        time.sleep(1.0)
        killed.kill()
        hung.send_signal(signal.SIGSTOP)
        _, errors = process.communicate(timeout=200)
    assert process.returncode == 0, errors
    assert differences(tmp_path / "run.h5", expected) == []


def test_a_worker_with_other_software_is_refused(tmp_path: Path, cluster: Cluster) -> None:
    preload = tmp_path / "other.py"
    preload.write_text(OTHER_SOFTWARE)
    cluster.worker("--preload", str(preload))
    options = ["--scheduler", cluster.address, "-o", "run.h5", "--quiet"]
    with start(*options, cwd=tmp_path) as process:
        _, errors = process.communicate(timeout=60)
    assert process.returncode == 1
    assert len(errors.splitlines()) == 1, errors
    assert "has other software: numpy 0.1 there and" in errors
    assert "Install the same versions" in errors


def test_one_that_joins_later_is_sent_away(
    tmp_path: Path, cluster: Cluster, expected: Path
) -> None:
    preload = tmp_path / "other.py"
    preload.write_text(OTHER_SOFTWARE)
    cluster.worker()
    options = ["--scheduler", cluster.address, "--log-json", "log", "-o", "run.h5"]
    with start(*options, cwd=tmp_path) as process:
        wait_for_tasks(process, tmp_path / "log", 2)
        late = cluster.worker("--preload", str(preload))
        _, errors = process.communicate(timeout=120)
    assert process.returncode == 0, errors
    assert "is sent away: numpy 0.1 there" in errors
    late.wait(timeout=30)
    assert differences(tmp_path / "run.h5", expected) == []


# --- GPUs, pretended -----------------------------------------------------------------------------

GPU_RUN: dict[str, Any] = RUN | {"trials": 10_000, "device": "cuda"}

PRETENDED = """
import os
from dataclasses import replace
from pathlib import Path
import simcore.machine.gpu as devices
import simcore.sampling.choose as samplers
gpu = devices.Gpu(0, "NVIDIA H100", (9, 0), 80 * 2**30, 79 * 2**30)
found = devices.Findings((13, 1), "", (gpu,), None, "0.30.4", 13, 13)
if devices.look() != found:  # Dask runs this twice
    real = samplers.sampler_for
    devices.look = lambda: found
    samplers.sampler_for = lambda run: real(replace(run, device="cpu"))
    with Path({seen!r}).open("a") as file:
        file.write(os.environ["CUDA_VISIBLE_DEVICES"] + chr(10))
"""
"""Preloaded by a worker: a GPU, and the sampler of the CPU in place of the GPU's."""


@pytest.fixture
def preload(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, pretend: Callable[[Findings], None]
) -> str:
    """A file that gives a worker a GPU; this process, which simulates nothing, has two."""
    pretend(replace(READY, gpus=(H100, replace(H100, index=1)), visible="4,6"))
    monkeypatch.setattr(
        "simcore.execution.dask.cluster.sampler_for",
        lambda run: sampler_for(replace(run, device="cpu")),
    )
    path = tmp_path / "pretended.py"
    path.write_text(PRETENDED.format(seen=str(tmp_path / "seen")))
    return str(path)


def test_tasks_of_a_gpu_run_go_to_workers_with_a_gpu(
    tmp_path: Path, cluster: Cluster, preload: str
) -> None:
    cluster.worker("--name", "plain")
    cluster.worker("--preload", preload, "--resources", "GPU=1", "--name", "gpu")
    with EventLog(tmp_path / "log") as log:
        assert execute(Run(**GPU_RUN), scheduler=cluster.address, log=log).complete
    assert len(events(tmp_path / "log", "task")) > 1
    assert len({event["worker"] for event in events(tmp_path / "log", "task")}) == 1


def test_each_process_of_this_machine_has_a_gpu(
    tmp_path: Path, preload: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DASK_DISTRIBUTED__WORKER__PRELOAD", preload)
    with EventLog(tmp_path / "log") as log:
        assert execute(Run(**GPU_RUN), scheduler="local:2", threads=8, log=log).complete
    assert sorted((tmp_path / "seen").read_text().split()) == ["4", "6"]
    (workers,) = events(tmp_path / "log", "workers")
    assert sorted(workers["threads"].values()) == [1, 1]


def test_more_processes_than_gpus_are_refused(preload: str) -> None:
    with pytest.raises(InputError, match=r"more processes than there are GPUs, 2\. Use local:2"):
        execute(Run(**GPU_RUN), scheduler="local:3")


def test_waiting_for_a_gpu_is_said(cluster: Cluster, preload: str) -> None:
    cluster.worker("--name", "plain")
    control, said = Control(), []

    def announce(text: str) -> None:
        said.append(text)
        if "GPU" in text:
            control.stop.set()

    scheduler = cluster.address
    outcome = execute(Run(**GPU_RUN), scheduler=scheduler, control=control, announce=announce)
    assert not outcome.complete
    assert [text for text in said if text.startswith("no worker offers a GPU; waiting for one.")]


def test_a_worker_that_can_not_use_its_gpu_says_why(cluster: Cluster, preload: str) -> None:
    cluster.worker("--resources", "GPU=1")
    with pytest.raises(ClusterError, match=r"can't be used \(DeviceError: device = cuda: finds no"):
        execute(Run(**GPU_RUN), scheduler=cluster.address)


# --- mistakes ------------------------------------------------------------------------------------


def test_no_scheduler_is_one_line(tmp_path: Path) -> None:
    code = (
        "import simcore.execution.dask.connection as c; c.CONNECT_SECONDS = 1.0\n"
        + HASTY.format(limit=60.0)
    )
    shown = subprocess.run(
        [sys.executable, "-c", code, *OPTIONS, "--scheduler", "tcp://127.0.0.1:9", "--quiet"],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=False,
    )
    assert shown.returncode == 1
    assert len(shown.stderr.splitlines()) == 1, shown.stderr
    assert "no Dask scheduler answers at tcp://127.0.0.1:9" in shown.stderr
