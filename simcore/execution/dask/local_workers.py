"""Worker processes of this machine, `--scheduler local:N`: started, watched, started again."""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from itertools import count
from typing import IO

from simcore.errors import ClusterError
from simcore.machine.gpu import VISIBLE

SINGLE_THREADED = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS")
"""A worker's threads each run a task: nothing below them may have threads of its own."""


class LocalWorkers:
    """Processes that run tasks for a scheduler of this process, spawned as `dask worker`.

    Dask's own nannies give up where a worker dies while it starts.

    Where `gpus` are given, each process sees one of them alone (`gpu.local_gpus`).
    """

    def __init__(
        self, address: str, processes: int, threads: int, gpus: Sequence[str] = ()
    ) -> None:
        self._address, self._threads, self._gpus = address, threads, gpus
        self._numbers = count()
        self._told = tempfile.TemporaryFile()  # noqa: SIM115 - closed by close
        self._folder = tempfile.TemporaryDirectory(prefix="simcore-workers-")
        self._processes = [self._spawn(place) for place in range(processes)]

    def _spawn(self, place: int) -> subprocess.Popen[bytes]:
        # -P: with -m alone, files of the current folder would come before any package.
        command = [sys.executable, "-P", "-m", "distributed.cli.dask_worker", self._address]
        command += ["--no-nanny", "--no-dashboard", "--memory-limit", "0", "--death-timeout", "60"]
        command += ["--nthreads", str(self._threads), "--name", f"local-{next(self._numbers)}"]
        command += ["--local-directory", self._folder.name]
        environment = os.environ | dict.fromkeys(SINGLE_THREADED, "1")
        # Workers import what this process imports.
        environment["PYTHONPATH"] = os.pathsep.join(sys.path)
        if self._gpus:
            command += ["--resources", "GPU=1"]
            environment[VISIBLE] = self._gpus[place]
        return subprocess.Popen(
            command,
            env=environment,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=self._told,
            # Ctrl-C is for the client, which then ends its workers.
            start_new_session=True,
        )

    def restart(self) -> int:
        """Start processes in place of those that have ended; return how many."""
        dead = [i for i, process in enumerate(self._processes) if process.poll() is not None]
        for i in dead:
            self._processes[i] = self._spawn(i)
        return len(dead)

    def check(self) -> None:
        """Raise ClusterError if a process has ended by itself, before anything was run."""
        for process in self._processes:
            if (process.poll() or 0) > 0:
                raise ClusterError(f"a worker process ends at once: {_last_line(self._told)}")

    def close(self) -> None:
        """Kill the processes: they hold nothing, and to end by themselves takes them a second."""
        for process in self._processes:
            process.kill()
        for process in self._processes:
            process.wait()
        self._told.close()
        self._folder.cleanup()


def _last_line(file: IO[bytes]) -> str:
    file.seek(0)
    lines = file.read().decode(errors="replace").split("\n")
    return next((line.strip() for line in reversed(lines) if line.strip()), "it says nothing")
