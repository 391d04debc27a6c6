"""A file is read when its values are used, and shows what was there when it was opened."""

from __future__ import annotations

import pickle
from pathlib import Path

import h5py
import numpy as np
import pytest
import xarray as xr

import simcore
from simcore.files.run_file import write_run
from simcore.files.run_results import RunResults
from simcore.results import backend
from simcore.results.open_run import RunBackend
from simcore.runs.run import Run
from tests.support.results import statistics

RUN = Run(depth=6, width=(8, 16), trials=128, keep=3)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    write_run(tmp_path / "run.h5", RunResults(RUN, statistics(RUN), complete=True), provenance={})
    return tmp_path / "run.h5"


@pytest.fixture(autouse=True)
def nothing_is_small(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(backend, "SMALL", 0)


def opened_files() -> int:
    return len(list(Path("/proc/self/fd").iterdir()))


def test_any_part_can_be_read(path: Path) -> None:
    whole = simcore.open_run(path).load()
    for chosen in (
        {"layer": 3},
        {"layer": slice(5, 1, -2), "width": 1},
        {"layer": [4, 0, 0], "width": [1, 0]},
    ):
        part = simcore.open_run(path).isel(chosen)
        xr.testing.assert_identical(part.load(), whole.isel(chosen))
    points = xr.DataArray([0, 1, 1], dims="p")
    part = simcore.open_run(path).correlation.isel(width=points, layer=points)
    xr.testing.assert_identical(part.load(), whole.correlation.isel(width=points, layer=points))


def test_values_are_read_once(path: Path) -> None:
    ds = simcore.open_run(path)
    values = ds.correlation.values
    ds.close()
    np.testing.assert_array_equal(ds.correlation, values)


def test_a_file_that_is_replaced_goes_on_to_be_seen(path: Path) -> None:
    before = simcore.open_run(path).load()
    ds = simcore.open_run(path)
    write_run(path, RunResults(RUN, statistics(RUN, seed=5), complete=True), provenance={})
    xr.testing.assert_identical(ds.load(), before)
    assert not simcore.open_run(path).equals(before)


def test_a_closed_dataset_lets_its_file_go(path: Path) -> None:
    before = opened_files()
    with simcore.open_run(path) as ds:
        assert opened_files() == before + 1
        ds.correlation.load()
    assert opened_files() == before


def test_others_can_open_it_meanwhile(path: Path) -> None:
    ds = simcore.open_run(path)
    for how in ({"locking": False}, {"locking": True}, {"mode": "r+"}, {}):
        with h5py.File(path, **how) as file:
            assert file["entry/angle/mean"].shape == (2, 6)
    assert np.isfinite(ds.angle).all()


def test_it_can_be_pickled_and_copied(path: Path) -> None:
    ds = simcore.open_run(path)
    text = pickle.dumps(ds)
    xr.testing.assert_identical(pickle.loads(text), ds)
    xr.testing.assert_identical(ds.copy(deep=True), ds)
    write_run(path, RunResults(RUN, statistics(RUN, seed=5), complete=True), provenance={})
    with pytest.raises(simcore.FileFormatError, match="has changed since it was opened"):
        pickle.loads(text)


def test_a_copy_finds_its_file_from_another_folder(
    path: Path, monkeypatch: pytest.MonkeyPatch, tmp_path_factory: pytest.TempPathFactory
) -> None:
    monkeypatch.chdir(path.parent)
    text = pickle.dumps(simcore.open_run(path.name))
    monkeypatch.chdir(tmp_path_factory.mktemp("elsewhere"))
    assert np.isfinite(pickle.loads(text).angle).all()


def test_what_was_closed_says_so(path: Path) -> None:
    ds = simcore.open_run(path)
    ds.close()
    with pytest.raises(simcore.FileFormatError, match="was closed"):
        ds.angle.load()


def test_damage_is_told_when_it_is_read(path: Path) -> None:
    with h5py.File(path) as file:
        chunk = file["entry/angle/std"].id.get_chunk_info(0)
    damaged = bytearray(path.read_bytes())
    damaged[chunk.byte_offset + chunk.size // 2] ^= 4
    path.write_bytes(damaged)
    ds = simcore.open_run(path)
    assert np.isfinite(ds.angle).all()
    with pytest.raises(simcore.FileFormatError, match="is damaged"):
        ds.angle_std.load()


def test_xarray_opens_it_by_the_backend(path: Path) -> None:
    ds = xr.open_dataset(path, engine=RunBackend, drop_variables=["angle", "q1"])
    assert "angle" not in ds
    xr.testing.assert_identical(ds, simcore.open_run(path).drop_vars(["angle", "q1"]))


def test_a_printed_dataset_shows_the_numbers_of_small_arrays(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def shown() -> str:
        lines = str(simcore.open_run(path)[["angle"]]).splitlines()
        return next(line for line in lines if line.startswith("    angle "))

    assert shown().endswith(" ...")
    size = simcore.open_run(path).angle.nbytes
    monkeypatch.setattr(backend, "SMALL", size)
    assert not shown().endswith(" ...")
    values = simcore.open_run(path).data_vars
    small = {name for name, array in values.items() if array.variable._in_memory}
    assert small == {name for name, array in values.items() if array.nbytes <= size}
    assert "angle_histogram" not in small


def test_a_damaged_small_array_is_told_when_it_is_read(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(backend, "SMALL", 2**16)
    test_damage_is_told_when_it_is_read(path)
