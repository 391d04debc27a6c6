"""Results as an xarray.Dataset, from files or from memory, and as a table."""

from __future__ import annotations

import glob
import os
from collections.abc import Collection, Iterable, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import xarray as xr
from xarray.backends import BackendEntrypoint

from simcore.errors import FileFormatError
from simcore.files.hdf5 import translated
from simcore.files.layout import (
    ESTIMATORS,
    Array,
    Field,
    coordinates,
    fields,
    shape_of,
    sizes,
)
from simcore.files.run_file import RNG, read_header, rng_layout
from simcore.files.run_results import RunResults
from simcore.files.stored import StoredFile
from simcore.machine.provenance import version
from simcore.physics.observables import BY_NAME
from simcore.runs.run import Run

from .backend import held, lazy_array, read_small
from .combine import aligned
from .points import check_dataset
from .shares import intervals

if TYPE_CHECKING:
    import pandas as pd


Path_ = str | os.PathLike[str]
_MAGIC = "*?["


def open_run(path: Path_ | Sequence[Path_]) -> xr.Dataset:
    """Open the results of a run, or of several as one.

    Parameters
    ----------
    path
        A file that `simulate` wrote, complete or a checkpoint; a pattern such as ``"runs/*.h5"``,
        or a list of files, which are aligned on their parameters: those that differ become
        dimensions, with NaN where no file has the point. They may differ in the parameters of a
        grid, in ensemble, weights and depth, and in what does not show in a mean (seed, trials,
        sampler).

    Returns
    -------
    xarray.Dataset
        For every observable (``correlation``, ``log_q1``, …) its mean over trials under its own
        name, and ``_stderr``, ``_std``, ``_count``; in complete files ``_theory`` and, where they
        apply or are kept, ``_theory_1n``, ``_theory_1n_std``, ``_quantile``, ``_histogram``,
        ``_bin_lower``, ``_bin_width``, ``_covariance``, ``_covariance_mean``,
        ``_covariance_count``; ``_trajectories`` of the first trials; ``_low`` and ``_high``, the
        ends of the 95 % interval, of shares of dead networks, which are counted. Dimensions are
        the swept parameters and ``layer`` (and ``level``, ``bin``, ``trial``, ``covariance_layer``,
        ``covariance_layer_2``, ``pair``); parameters with one value are scalar coordinates.
        Attributes hold the configuration, and ``gaps`` the trials that a merged file lacks.

        The large arrays of one file are read when they are used, and the file stays open until
        the Dataset is closed or forgotten; it shows its contents on opening, even if a run
        continues and replaces its file. Several files are read at once.

    Raises
    ------
    FileFormatError
        If a file is missing, foreign, damaged or newer than this program. Damage of an array is
        noticed when it is read.
    InputError
        If several files can't be aligned: they hold the same point twice, or differ in more than
        parameters.

    Examples
    --------
    >>> import simcore
    >>> run = simcore.open_run("run.h5")
    >>> run.correlation.dims
    ('layer',)
    >>> both = simcore.open_run(["run.h5", "narrow.h5"])
    >>> both.correlation.dims, both.width.values.tolist()
    (('width', 'layer'), [64, 128])
    """
    if isinstance(path, (str, os.PathLike)):
        if not _is_pattern(path):
            return read_small(xr.open_dataset(os.fspath(path), engine=RunBackend))
        paths: Sequence[Path_] = sorted(glob.glob(os.fspath(path), recursive=True))  # noqa: PTH207 - of a text
        if not paths:
            rule, remedy = "matches no file", "Check the pattern and the folder."
            raise FileFormatError("file", os.fspath(path), rule, remedy)
    else:
        paths = path
    loaded: list[xr.Dataset] = []
    for each in paths:
        with xr.open_dataset(os.fspath(each), engine=RunBackend) as dataset:
            loaded.append(dataset.load())
    return aligned(loaded, [os.fspath(each) for each in paths])


def _is_pattern(path: Path_) -> bool:
    """Tell a pattern from the name of a file that has such characters in it."""
    held = os.path.lexists(path)  # no error for names that are refused
    return any(sign in os.fspath(path) for sign in _MAGIC) and not held


class RunBackend(BackendEntrypoint):
    """The engine of `open_run`, which takes runs only (`simcore.xarray_engine` takes all files)."""

    description = "Open the results of simcore (.h5)"
    open_dataset_parameters = ("filename_or_obj", "drop_variables")

    def open_dataset(
        self, filename_or_obj: Any, *, drop_variables: str | Iterable[str] | None = None
    ) -> xr.Dataset:
        """Return the Dataset of a run; its large arrays are read when they are used."""
        return held(StoredFile(os.fspath(filename_or_obj)), stored_dataset, drop_variables)


def stored_dataset(stored: StoredFile) -> xr.Dataset:
    """Return the Dataset of an open file; its large arrays are read when they are used."""
    with translated(stored.path):
        return _stored_dataset(stored)


def _stored_dataset(stored: StoredFile) -> xr.Dataset:
    header = read_header(stored.file, stored.path)
    run, complete = header.run, header.complete
    size = sizes(run)
    arrays = []
    for field in fields(run, complete=complete):
        path = f"entry/{field.path}"
        if not (field.optional and path not in stored.file):
            values = lazy_array(stored, path, shape_of(field.dims, size), field.dtype)
            arrays.append((field, Array(field.dims, values, field.long_name, field.units)))
    dataset = _dataset(run, arrays, complete=complete, written_by=header.simcore_version)
    own = {"gaps": header.gaps} if header.gaps else {}
    return dataset.assign_attrs(own | {"rng_layout": header.rng_layout})


def to_dataset(results: RunResults, variables: Collection[str] | None = None) -> xr.Dataset:
    """Return the Dataset that `open_run` would read from the run's file, without a file.

    `variables` chooses some of those that the file has.
    """
    arrays = results.arrays(variables)
    written_by = version("simcore")
    return _dataset(results.run, arrays, complete=results.complete, written_by=written_by)


def to_dataframe(dataset: xr.Dataset) -> pd.DataFrame:
    """Return a tidy table of a run: one row per point, pair and layer.

    Parameters
    ----------
    dataset
        A Dataset from `open_run` or `simulate`.

    Returns
    -------
    pandas.DataFrame
        The parameters, swept or not, and the layer as columns; then for each observable its mean,
        ``_stderr``, ``_std``, ``_count``, and ``_theory`` and what follows it where they are
        there. Histograms, quantiles, covariances and single trials, which have dimensions of
        their own, are left out.

    Examples
    --------
    >>> import simcore
    >>> table = simcore.to_dataframe(simcore.open_run("run.h5"))
    >>> table[["k", "layer", "correlation_count"]].head(2)
         k  layer  correlation_count
    0  0.0      1                128
    1  0.0      2                128
    """
    check_dataset(dataset)
    if "layer" not in dataset["correlation"].dims:
        dataset = dataset.expand_dims("layer")
    rows = set(dataset["correlation"].dims)
    own = [name for name, values in dataset.data_vars.items() if rows >= set(values.dims)]
    chosen = dataset[own]
    order = [str(name) for name in dataset["correlation"].dims]
    table = chosen.to_dataframe(dim_order=order).reset_index()
    parameters = [str(name) for name in chosen.coords if name != "layer"]
    return table[[*parameters, "layer", *map(str, own)]]


def _dataset(
    run: Run, arrays: Iterable[tuple[Field, Array]], *, complete: bool, written_by: str
) -> xr.Dataset:
    variables: dict[str, xr.Variable] = {}
    used: set[str] = set()
    for field, array in arrays:
        variable = _variable(array)
        if field.variable in ESTIMATORS:
            variable.attrs["estimator"] = ESTIMATORS[field.variable]
            variable.attrs["long_name"] = BY_NAME[field.variable].long_name
        variables[field.variable] = variable
        used.update(array.dims)
    variables |= intervals(variables)
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
        **({} if run.slopes is None else {"slopes": run.slopes}),
        "device": run.device,
        "rng": RNG,
        "rng_layout": rng_layout(run),
        "config_json": run.config_json(),
        "config_sha256": run.digest(),
    }
