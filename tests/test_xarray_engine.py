"""`xarray.open_dataset` shows the results of any file of simcore, and others as ever."""

from __future__ import annotations

import os
from pathlib import Path

import h5py
import numpy as np
import pytest
import xarray as xr

import simcore
from simcore import xarray_engine
from simcore.files.run_file import write_run
from simcore.files.run_results import RunResults
from simcore.runs.run import Run
from simcore.xarray_engine import is_results
from tests.support.results import statistics

RUN = Run(depth=4, width=(8, 16), trials=64, keep=3)
NETCDF = ("netcdf4", "h5netcdf")


@pytest.fixture
def path(tmp_path: Path) -> Path:
    write_run(tmp_path / "run.h5", RunResults(RUN, statistics(RUN), complete=True), provenance={})
    return tmp_path / "run.h5"


def test_xarray_alone_shows_the_results(path: Path) -> None:
    for name in (path, str(path)):
        with xr.open_dataset(name) as ds:
            xr.testing.assert_identical(ds, simcore.open_run(path))
    with xr.open_dataset(
        path, engine="simcore", drop_variables=["angle"], decode_times=False
    ) as ds:
        xr.testing.assert_identical(ds, simcore.open_run(path).drop_vars("angle"))


def test_groups_of_a_file_are_opened_as_ever(path: Path) -> None:
    with xr.open_dataset(path, group="entry/angle") as ds:
        np.testing.assert_array_equal(ds["mean"], simcore.open_run(path).angle)
    with xr.open_datatree(path) as tree:
        assert tree["entry/angle/mean"].shape == (2, 4)


@pytest.mark.parametrize("engine", NETCDF)
def test_the_engines_of_netcdf_open_a_run_if_they_are_named(path: Path, engine: str) -> None:
    with xr.open_dataset(path, engine=engine, group="entry/angle") as ds:
        assert ds["mean"].shape == (2, 4)


def test_files_of_others_are_left_to_the_engines_of_netcdf(tmp_path: Path) -> None:
    for engine, suffix in (("netcdf4", ".nc"), ("h5netcdf", ".h5"), ("scipy", ".nc3")):
        name = tmp_path / f"other{suffix}"
        xr.Dataset({"x": ("t", [1.0, 2.0])}).to_netcdf(name, engine=engine)  # type: ignore[call-overload]
        assert not is_results(name)
        with xr.open_dataset(name) as ds:
            assert ds.x.values.tolist() == [1.0, 2.0]


def test_nothing_else_is_taken(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    named = tmp_path / "named.h5"
    with h5py.File(named, "w") as file:
        file.attrs["filetype"] = "of-another-program"
    (tmp_path / "damaged.h5").write_bytes(b"\x89HDF\r\n\x1a\n and no more")
    (tmp_path / "text.h5").write_text("simcore-run")
    for name in ("named.h5", "damaged.h5", "text.h5", "absent.h5", "."):
        assert not is_results(tmp_path / name)
    for given in (b"\x89HDF\r\n\x1a\n", "http://127.0.0.1/run.h5", "a\0b", None, 3):
        assert not is_results(given)
    # Of a file that is not HDF5 only the first bytes are read.
    monkeypatch.delattr(xarray_engine, "_is_known")
    assert not is_results(os.fspath(tmp_path / "text.h5"))


def test_an_unknown_option_is_told(path: Path) -> None:
    with pytest.raises(TypeError, match="the engine simcore has no option phony_dims"):
        xr.open_dataset(path, engine="simcore", phony_dims="sort")
