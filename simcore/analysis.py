"""Results as an xarray.Dataset, from a file or from memory."""

from __future__ import annotations

import os
from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np
import xarray as xr

from .hdf5 import read_array, reading
from .moments import PointStatistics
from .plan import Run
from .provenance import version
from .published import published
from .schema import (
    ESTIMATORS,
    Array,
    Field,
    coordinates,
    fields,
    observable_of,
    shape_of,
    sizes,
)
from .store import RNG, RNG_LAYOUT, read_header

__all__ = ["open_run", "to_dataset"]


def open_run(path: str | os.PathLike[str]) -> xr.Dataset:
    """Read the results of a run into memory; the file is closed again.

    Parameters
    ----------
    path
        A file that `simulate` wrote, complete or a checkpoint.

    Returns
    -------
    xarray.Dataset
        For every observable (``correlation``, ``log_q1``, …) its mean over trials under its own
        name, and ``_stderr``, ``_std``, ``_count``; in complete files ``_theory`` and, where they
        are kept, ``_quantile``, ``_histogram``, ``_bin_lower``, ``_bin_width``,
        ``_covariance``, ``_covariance_mean``, ``_covariance_count``; ``_trajectories`` of the
        first trials. Dimensions are the swept parameters and ``layer`` (and ``level``, ``bin``,
        ``trial``, ``covariance_layer``, ``covariance_layer_2``); parameters with one value are
        scalar coordinates. Attributes hold the configuration.

    Raises
    ------
    FileFormatError
        If the file is missing, foreign, damaged or newer than this program.
    """
    with reading(path) as file:
        header = read_header(file, path)
        run, complete = header.run, header.complete
        size = sizes(run)
        arrays = []
        for field in fields(run, complete=complete):
            shape = shape_of(field.dims, size)
            values = read_array(file, f"entry/{field.path}", shape, field.dtype)
            arrays.append((field, field.array(values, run)))
    return _dataset(run, arrays, complete=complete, written_by=header.simcore_version)


def to_dataset(run: Run, points: Sequence[PointStatistics], *, complete: bool = True) -> xr.Dataset:
    """Return the Dataset that `open_run` would read from the run's file, without a file.

    Parameters
    ----------
    run
        The run.
    points
        What is known of each point, in the order of `Run.points`.
    complete
        Whether all trials are done; if not, theory, histograms and covariances are left out.
    """
    arrays = published(run, points, complete=complete)
    return _dataset(run, arrays, complete=complete, written_by=version("simcore"))


def _dataset(
    run: Run, arrays: Iterable[tuple[Field, Array]], *, complete: bool, written_by: str
) -> xr.Dataset:
    variables: dict[str, xr.Variable] = {}
    used: set[str] = set()
    for field, array in arrays:
        variable = _variable(array)
        if field.variable in ESTIMATORS:
            variable.attrs["estimator"] = ESTIMATORS[field.variable]
            variable.attrs["long_name"] = observable_of(field.variable).long_name
        variables[field.variable] = variable
        used.update(array.dims)
    coords = {n: _variable(a) for n, a in coordinates(run).items() if set(a.dims) <= used}
    attributes = {**_attributes(run), "complete": int(complete), "simcore_version": written_by}
    return xr.Dataset(variables, coords, attributes)


def _variable(array: Array) -> xr.Variable:
    attributes = {"long_name": array.long_name, "units": array.units}
    return xr.Variable(array.dims, array.values, attributes)


def _attributes(run: Run) -> dict[str, Any]:
    """Return the configuration as attributes that netCDF can hold."""
    names = ("ensemble", "depth", "trials", "first_trial", "keep", "bins")
    return {
        **{name: getattr(run, name) for name in names},
        "seed": np.uint64(run.seed),
        "sampler": run.sampler,
        "weights": run.weights,
        "device": run.device,
        "rng": RNG,
        "rng_layout": RNG_LAYOUT,
        "config_json": run.config_json(),
        "config_sha256": run.digest(),
    }
