"""Disks that are full, files and folders that are taken away: the old checkpoint stays whole."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from simcore.cli.main import main as simcore_main

from simcore.errors import OutputError
from simcore.execution.execute import execute, resume
from simcore.execution.progress import Control, Progress
from simcore.files.run_file import info
from simcore.results.open_run import open_run
from simcore.runs.run import Run
from tests.support.same_results import differences

RUN = Run(depth=40, width=(64,), trials=40_000)


def stop_after(path: Path, trials: int) -> None:
    control = Control()

    def look(progress: Progress) -> None:
        if progress.trials >= trials:
            control.stop.set()

    execute(RUN, output=path, threads=2, control=control, report=look)


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A file system in memory with room for little more than one file of the run."""
    place = tmp_path / "disk"
    place.mkdir()
    command = ["mount", "-t", "tmpfs", "-o", "size=2m", "tmpfs", str(place)]
    if shutil.which("mount") is None or subprocess.run(command, check=False).returncode:
        pytest.skip("mounting a file system in memory needs root")
    yield place
    subprocess.run(["umount", str(place)], check=True)


def fill(place: Path, leave: int) -> None:
    with (place / "filler").open("wb") as file:
        free = os.statvfs(place)
        file.write(bytes(max(0, free.f_bavail * free.f_frsize - leave)))


def test_a_full_disk_leaves_the_old_checkpoint(
    small_disk: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = small_disk / "run.h5"
    stop_after(path, 1000)
    before = path.read_bytes()
    fill(small_disk, len(before) // 2)
    assert simcore_main(["resume", str(path), "--quiet", "--checkpoint", "0.01"]) == 1
    told = capsys.readouterr().err
    assert len(told.splitlines()) == 1
    assert "No space left on device" in told
    assert "Free space" in told
    assert path.read_bytes() == before
    assert sorted(name.name for name in small_disk.iterdir()) == ["filler", "run.h5"]
    open_run(path)
    (small_disk / "filler").unlink()
    assert simcore_main(["resume", str(path), "--quiet"]) == 0


def during(path: Path, act: object) -> str:
    """Resume a run, do something to its file in the middle, and return what went wrong."""

    def look(progress: Progress) -> None:
        if progress.phase == "running" and progress.trials >= 2000 and callable(act):
            act()

    with pytest.raises(OutputError) as caught:
        resume(path, threads=2, report=look, checkpoint=0.01)
    assert caught.value.exit_code == 1
    assert "\n" not in str(caught.value)
    return str(caught.value)


def test_a_file_made_read_only_is_not_replaced(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "run.h5"
    stop_after(path, 1000)
    protected: list[bytes] = []

    def protect() -> None:
        path.chmod(0o444)
        protected.append(path.read_bytes())

    assert "read-only" in during(path, protect)
    assert path.read_bytes() == protected[0]
    assert simcore_main(["resume", str(path)]) == 2
    assert "is read-only" in capsys.readouterr().err
    path.chmod(0o644)
    resume(path, threads=2)
    whole = tmp_path / "whole.h5"
    execute(RUN, output=whole, threads=2)
    assert differences(path, whole) == []


def test_a_folder_that_is_removed_is_one_line(tmp_path: Path) -> None:
    place, away = tmp_path / "place", tmp_path / "away"
    place.mkdir()
    path = place / "run.h5"
    stop_after(path, 1000)
    told = during(path, lambda: place.rename(away) if place.exists() else None)
    assert str(path) in told
    assert "No such file or directory" in told
    assert not place.exists()
    assert not info(away / "run.h5")["complete"]
    resume(away / "run.h5", threads=2)


def test_the_commands_end_with_one_line(tmp_path: Path) -> None:
    """From outside: a file size limit of the process stands in for a disk that is full."""
    path = tmp_path / "run.h5"
    stop_after(path, 1000)
    command = f"ulimit -f 100; trap '' XFSZ; {sys.executable} -m simcore.cli.main resume {path}"
    shown = subprocess.run(
        ["bash", "-c", f"{command} --quiet"], capture_output=True, text=True, check=False
    )
    assert shown.returncode == 1
    assert len(shown.stderr.splitlines()) == 1, shown.stderr
    assert not info(path)["complete"]
