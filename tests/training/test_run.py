"""Whole runs: the same bytes whatever happens on the way, and the file they are written to."""

from __future__ import annotations

import re
from dataclasses import replace
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest
import torch
import xarray as xr

from simcore.errors import FileFormatError, InputError, OutputError
from simcore.execution.progress import Control, Progress
from simcore.files.lock import only_writer
from simcore.training import (
    Digits,
    TeacherStudent,
    engine,
    open_training,
    resume,
    run,
    tasks,
    train,
)
from simcore.training.agenda import outstanding
from simcore.training.store import read_results

PLAN = TeacherStudent(
    ensembles=("he", "raai:10", "orthogonal"),
    width=6,
    depth=2,
    inputs=3,
    samples=40,
    batch=8,
    steps=25,
    seeds=12,
    pilots=2,
    rates=(0.01, 0.05),
)


def contents(path: Path) -> dict[str, bytes]:
    """Every array and attribute of a file but its provenance."""
    found: dict[str, bytes] = {}

    def visit(name: str, item: Any) -> None:
        if "provenance" not in name:
            if isinstance(item, h5py.Dataset):
                found[name] = item[...].tobytes()
            plain = ("CLASS", "NAME", "REFERENCE_LIST", "DIMENSION_LIST")
            for key, value in item.attrs.items():
                if key not in plain:
                    found[f"{name}@{key}"] = np.asarray(value).tobytes()

    with h5py.File(path) as file:
        visit("", file)
        file.visititems(visit)
    return found


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("whole") / "run.h5"
    train(PLAN, output=path, threads=1)
    return path


def test_the_file_does_not_depend_on_threads(whole: Path, tmp_path: Path) -> None:
    train(PLAN, output=tmp_path / "run.h5", threads=3)
    assert contents(tmp_path / "run.h5") == contents(whole)


@pytest.mark.parametrize("enough", [1, 20])
def test_a_run_that_was_stopped_goes_on_to_the_same_bytes(
    whole: Path, tmp_path: Path, enough: int
) -> None:
    path, control = tmp_path / "run.h5", Control()

    def stop(progress: Progress) -> None:
        if progress.trials >= enough:
            control.stop.set()

    outcome = run.execute(PLAN, output=path, threads=1, report=stop, control=control)
    assert not outcome.complete
    results, complete = read_results(path)
    assert not complete
    assert enough <= results.networks() < 60
    assert open_training(path).attrs["complete"] == 0
    resume(path, threads=2)
    assert contents(path) == contents(whole)


def test_ctrl_c_leaves_a_file_to_go_on_with(whole: Path, tmp_path: Path) -> None:
    path = tmp_path / "run.h5"

    def interrupt(progress: Progress) -> None:
        if progress.trials >= 6:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        train(PLAN, output=path, threads=1, report=interrupt)
    assert read_results(path)[0].networks() >= 6
    resume(path, threads=1)
    assert contents(path) == contents(whole)


def test_an_ensemble_does_not_depend_on_the_others(whole: Path) -> None:
    alone = train(replace(PLAN, ensembles=("orthogonal",)), threads=1)
    together = open_training(whole)
    for name in ("loss", "dead_after", "learning_rate"):
        np.testing.assert_array_equal(
            alone[name].sel(ensemble="orthogonal"), together[name].sel(ensemble="orthogonal")
        )


def test_what_is_read_is_what_was_returned(tmp_path: Path) -> None:
    plan = Digits(
        ensembles=("he",), width=6, depth=2, steps=10, seeds=2, pilots=1, rates=(0.01, 0.1)
    )
    path = tmp_path / "digits.h5"
    returned = train(plan, output=path, threads=1)
    with open_training(path) as read:
        xr.testing.assert_identical(read, returned)
    assert returned.attrs["task"] == "digits"
    assert returned.loss.dims == ("ensemble", "seed", "step")
    assert returned.step.values.tolist() == list(plan.recorded)
    assert float(returned.accuracy[0, :, -1].mean()) > 0.1
    assert returned.pilot_loss.sel(rate=0.01) > returned.pilot_loss.sel(rate=0.1)
    assert int(returned.extended[0]) == 1
    assert returned.rate.values.tolist() == [0.01, 0.1, 1.0, 10.0]
    with xr.open_dataset(path, group="entry/accuracy", engine="h5netcdf") as group:
        np.testing.assert_array_equal(group["test"], returned.accuracy)
    with pytest.raises(InputError, match="exists already"):
        train(plan, output=path)


def test_one_process_writes_a_file(whole: Path) -> None:
    with only_writer(whole), pytest.raises(OutputError, match="is being written"):
        resume(whole)


def test_files_that_are_none_are_refused_in_words(whole: Path, tmp_path: Path) -> None:
    other, damaged = tmp_path / "other.h5", tmp_path / "damaged.h5"
    with h5py.File(other, "w") as file:
        file.attrs["filetype"] = "simcore-run"
    with pytest.raises(FileFormatError, match="not the file of a training run"):
        open_training(other)
    raw = bytearray(whole.read_bytes())
    with h5py.File(whole) as file:
        chunk = file["entry/loss/test"].id.get_chunk_info(0)
    raw[chunk.byte_offset + chunk.size // 2] ^= 1
    damaged.write_bytes(raw)
    with pytest.raises(FileFormatError, match="is damaged"):
        open_training(damaged)


def test_the_format_is_the_one_that_is_documented(whole: Path) -> None:
    text = (Path(__file__).parents[2] / "docs" / "training.md").read_text()
    rows = re.findall(r"^\| (/entry/\S+) \| (\w+) \| ([^|]*) \|", text, re.MULTILINE)
    told = {path: (kind, dims.strip()) for path, kind, dims in rows}
    found = {}
    with h5py.File(whole) as file:

        def visit(name: str, item: Any) -> None:
            if isinstance(item, h5py.Dataset) and not item.is_scale:
                dims = ", ".join(Path(dim[0].name).name for dim in item.dims)
                found[f"/{name}"] = (item.dtype.str[1:], dims)
                assert item.fletcher32

        file.visititems(visit)
        assert file.attrs["filetype"] == b"simcore-training"
        assert file.attrs["ensembles"].tolist() == [b"he", b"raai:10", b"orthogonal"]
    assert told.pop("/entry/accuracy/test") == ("f8", "ensemble, seed, step")
    assert found == told


def test_without_data_there_is_no_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tasks, "ATTEMPTS", 2)
    with pytest.raises(InputError, match="gave 2 teachers with the same answer to all inputs"):
        train(replace(PLAN, teacher_width=2, teacher_depth=99), output=tmp_path / "run.h5")
    assert not list(tmp_path.iterdir())


def test_nothing_is_left_to_do(whole: Path) -> None:
    assert outstanding(PLAN, read_results(whole)[0]) == []


def test_a_complete_file_is_left_as_it_is(whole: Path) -> None:
    before = whole.read_bytes()
    assert resume(whole).attrs["complete"] == 1
    assert whole.read_bytes() == before


@pytest.mark.parametrize(
    "error", [torch.OutOfMemoryError("CUDA"), RuntimeError("can't allocate memory: you tried")]
)
def test_memory_that_comes_to_an_end_is_told_in_words(
    error: RuntimeError, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: object) -> None:
        raise error

    monkeypatch.setattr(engine, "train_group", fail)
    with pytest.raises(InputError, match=r"^width = 6: needs more memory than the machine has"):
        train(PLAN, output=tmp_path / "run.h5")
    assert open_training(tmp_path / "run.h5").attrs["complete"] == 0
