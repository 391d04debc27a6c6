"""The file of a training run, `simcore-training` format 1.1 (docs/training.md)."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
import numpy.typing as npt

from simcore.files.hdf5 import Writer, read_array, reading, replacing
from simcore.files.header import Format
from simcore.files.layout import Array
from simcore.machine.provenance import version

from .agenda import choose_rate
from .jobs import Pilots
from .plan import Plan, plan_from_config
from .results import Results

if TYPE_CHECKING:
    import xarray as xr


Numbers = npt.NDArray[Any]

FORMAT = Format("simcore-training", (1, 1), "the file of a training run", "simcore train")


class _Place(NamedTuple):
    """Place and meaning of an array of the Dataset in a file."""

    path: str
    dims: tuple[str, ...]
    dtype: str
    long_name: str


def _places(table: str) -> dict[str, _Place]:
    """Read lines of name, path, dimensions, type and meaning, which an indented line continues."""
    rows = (line.split(maxsplit=4) for line in table.strip().replace("\n  ", " ").splitlines())
    return {
        name: _Place(path, tuple(dims.split(",")), dtype, meaning)
        for name, path, dims, dtype, meaning in rows
    }


PLACES = _places("""
loss           loss/test            ensemble,seed,step  f8 loss of the test set
train_loss     loss/train           ensemble,seed,step  f8 loss of a part of the training set
accuracy       accuracy/test        ensemble,seed,step  f8 fraction of the test set classified
  correctly
learning_rate  rates/learning_rate  ensemble            f8 chosen learning rate; NaN before it is
extended       rates/extended       ensemble            u1 1 where the grid was extended
at_edge        rates/at_edge        ensemble            u1 1 where the chosen rate is the last
  tried on a side
pilot_loss     pilots/loss          ensemble,rate       f8 mean validation loss of pilots at the
  end; NaN where one diverged or none was trained
pilot_diverged pilots/diverged      ensemble,rate       i8 pilots that diverged
diverged       divergence/diverged  ensemble,seed       u1 1 where training diverged
diverged_step  divergence/step      ensemble,seed       i8 updates after which it had diverged; -1
  if it did not
dead_before    dead/before          ensemble,seed,layer f8 fraction of nodes inactive for the whole
  test set, before training
dead_after     dead/after           ensemble,seed,layer f8 fraction of nodes inactive for the whole
  test set, after training
""")
"""The arrays of a Dataset by name, and where they are in a file, below /entry."""

_STATE = _places("""
done           state/done           ensemble,seed       u1 1 where the network was trained
tried          state/tried          ensemble,rate       u1 1 where pilots were trained at the rate
""")

_COORDINATES = {
    "ensemble": ("i8", "number of the ensemble, in the order of the attribute ensembles"),
    "seed": ("i8", "number of the seed"),
    "step": ("i8", "updates of the weights"),
    "rate": ("f8", "learning rate"),
    "layer": ("i8", "hidden layer, from 1"),
}


# --- what is published ---------------------------------------------------------------------------


def _coordinates(results: Results) -> dict[str, Numbers]:
    plan = results.plan
    return {
        "ensemble": np.arange(len(plan.ensembles)),
        "seed": np.arange(plan.seeds),
        "step": np.array(plan.recorded),
        "rate": np.array(results.rates()),
        "layer": np.arange(1, plan.depth + 1),
    }


def _values(results: Results) -> dict[str, Numbers]:
    """Return every array by its name, in the order of `PLACES`."""
    plan = results.plan
    choices = [choose_rate(plan.grid, results.pilots_of(label)) for label in plan.ensembles]
    rates = results.rates()
    shape = (len(plan.ensembles), len(rates))
    loss, diverged, tried = np.full(shape, np.nan), np.zeros(shape), np.zeros(shape)
    for (label, rate), pilots in results.pilots.items():
        at = plan.ensembles.index(label), rates.index(rate)
        loss[at], diverged[at] = pilots
        tried[at] = 1
    found = {
        **results.arrays,
        "learning_rate": np.array([np.nan if c.rate is None else c.rate for c in choices]),
        "extended": np.array([choice.extended for choice in choices]),
        "at_edge": np.array([choice.at_edge for choice in choices]),
        "pilot_loss": loss,
        "pilot_diverged": diverged,
        "diverged": results.diverged_step >= 0,
        "diverged_step": results.diverged_step,
        "done": results.done,
        "tried": tried,
    }
    places = {**PLACES, **_STATE}
    return {
        name: found[name].astype(place.dtype) for name, place in places.items() if name in found
    }


def to_dataset(results: Results, *, complete: bool = True) -> xr.Dataset:
    """Return the Dataset that `open_training` would read from the run's file, without a file."""
    import xarray as xr

    plan, values = results.plan, _values(results)
    coords = _coordinates(results) | {"ensemble": np.array(plan.ensembles)}
    variables = {
        name: xr.Variable(place.dims, values[name], {"long_name": place.long_name, "units": "1"})
        for name, place in PLACES.items()
        if name in values
    }
    attributes = {
        "task": plan.task,
        "complete": int(complete),
        "config": plan.config_json(),
        "config_sha256": plan.digest(),
        "simcore_version": version("simcore"),
    }
    return xr.Dataset(variables, coords, attributes)


# --- writing -------------------------------------------------------------------------------------


def write_training(
    path: str | os.PathLike[str],
    results: Results,
    *,
    complete: bool,
    provenance: Mapping[str, object],
) -> None:
    """Write the file of a run whole, in place of an earlier one.

    NAME.part beside it is used on the way; OutputError leaves an earlier file untouched.
    `provenance` is no part of the results.
    """
    plan = results.plan
    with replacing(path) as writer:
        FORMAT.write(
            writer,
            config_json=plan.config_json(),
            complete=complete,
            default="loss",
            attributes={"seed": np.uint64(plan.seed), "ensembles": list(plan.ensembles)},
        )
        values, coordinates = _values(results), _coordinates(results)
        for folder, members in _folders(values):
            _write_folder(writer, folder, members, coordinates)
        writer.group("/entry/provenance", {"NX_class": "NXcollection", **provenance})


def _folders(values: Mapping[str, Numbers]) -> Iterator[tuple[str, list[tuple[_Place, Numbers]]]]:
    """Yield each group of a file with its arrays."""
    places = {**PLACES, **_STATE}
    for folder in dict.fromkeys(place.path.split("/")[0] for place in places.values()):
        members = [
            (place, values[name])
            for name, place in places.items()
            if name in values and place.path.startswith(f"{folder}/")
        ]
        if members:
            yield folder, members


def _write_folder(
    writer: Writer,
    folder: str,
    members: Sequence[tuple[_Place, Numbers]],
    coordinates: Mapping[str, Numbers],
) -> None:
    signal, _ = members[0]
    attributes: dict[str, object] = {"NX_class": "NXcollection"}
    if folder != "state":
        name = signal.path.split("/")[1]
        attributes = {"NX_class": "NXdata", "signal": name, "axes": list(signal.dims)}
    writer.group(f"/entry/{folder}", attributes)
    used = {dim for place, _ in members for dim in place.dims}
    for name, (dtype, meaning) in _COORDINATES.items():
        if name in used:
            array = Array((name,), coordinates[name].astype(dtype), meaning)
            writer.array(f"/entry/{folder}/{name}", array.values, array)
    for place, values in members:
        described = Array(place.dims, values, place.long_name)
        writer.array(f"/entry/{place.path}", values, described, packed=True)


# --- reading -------------------------------------------------------------------------------------


def open_training(path: str | os.PathLike[str]) -> xr.Dataset:
    """Read the results of a training run.

    Parameters
    ----------
    path
        A file that `simcore train` wrote, complete or not.

    Returns
    -------
    xarray.Dataset
        ``loss``, ``train_loss`` and, for classes, ``accuracy`` (ensemble, seed, step); the
        ``learning_rate`` of each ensemble, whether its grid was ``extended`` and is ``at_edge``;
        ``pilot_loss``, ``pilot_diverged`` (ensemble, rate); ``diverged``, ``diverged_step``
        (ensemble, seed); ``dead_before``, ``dead_after`` (ensemble, seed, layer). NaN where nothing
        is known yet, and from the step on at which a network diverged. Attributes: ``task``,
        ``config`` (JSON), ``complete``.

    Raises
    ------
    FileFormatError
        If the file is missing, foreign, damaged or newer than this program.
    """
    results, complete = read_results(path)
    return to_dataset(results, complete=complete)


def read_results(path: str | os.PathLike[str]) -> tuple[Results, bool]:
    """Read the results bit by bit as they were written, and True if the run is complete."""
    with reading(path) as file:
        return results_of(file, path)


def results_of(file: Any, path: str | os.PathLike[str]) -> tuple[Results, bool]:
    """Read the results of an open file, and whether they are complete."""
    plan, complete = _header(file, path)
    results = Results(plan)
    rates = len(file["entry/pilots/rate"])
    sizes = {name: len(values) for name, values in _coordinates(results).items()}
    sizes["rate"] = rates

    def read(place: _Place) -> Numbers:
        shape = [sizes[dim] for dim in place.dims]
        return read_array(file, f"entry/{place.path}", shape, place.dtype)

    for name in results.arrays:
        results.arrays[name] = read(PLACES[name])
    results.diverged_step = read(PLACES["diverged_step"])
    results.done = read(_STATE["done"])
    tried, loss, diverged = (
        read(place) for place in (_STATE["tried"], PLACES["pilot_loss"], PLACES["pilot_diverged"])
    )
    grid = read_array(file, "entry/pilots/rate", [rates], "f8").tolist()
    for row, column in np.argwhere(tried).tolist():
        key = plan.ensembles[row], grid[column]
        results.pilots[key] = Pilots(float(loss[row, column]), int(diverged[row, column]))
    return results, complete


def read_header(path: str | os.PathLike[str]) -> tuple[Plan, bool]:
    """Read the plan of a file, and True if its run is complete."""
    with reading(path) as file:
        return _header(file, path)


def _header(file: Any, path: str | os.PathLike[str]) -> tuple[Plan, bool]:
    plan, _ = FORMAT.read(file, os.fspath(path), plan_from_config)
    return plan, bool(file.attrs["complete"])
