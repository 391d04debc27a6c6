"""The file of a run, `simcore-run` format 1.6 (docs/file-format.md): write, read back, describe.

A file holds the published arrays (`simcore.files.run_results`) and, in /entry/state, everything
that is needed to resume or merge it: the tree of moments of whole blocks, their histograms, how
far each point is and, in a last write, the partial block at its end.
"""

from __future__ import annotations

import math
import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from itertools import groupby
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from simcore.errors import FileFormatError
from simcore.physics.ensembles import ASYMMETRIC
from simcore.physics.observables import BY_NAME, GRADIENT_CONTROLLED
from simcore.runs.controls import in_words
from simcore.runs.run import Run
from simcore.statistics.tree import PointStatistics

from .hdf5 import Writer, WriteStopped, read_array, reading, replacing, text
from .header import Format, provenance, version_text
from .layout import ESTIMATORS, OVERLAID, Array, Field, coordinates, fields
from .lock import writer
from .resume_state import node_count, state_arrays, state_coordinates, state_points
from .run_results import RunResults

__all__ = [
    "FORMAT",
    "Header",
    "WriteStopped",
    "describe",
    "info",
    "read_header",
    "read_state",
    "write_run",
]

FORMAT = Format("simcore-run", (1, 6), "the file of a run", "simulate")

_STATE_VERSION, _CONTROLS_VERSION = (1, 5), (1, 6)
"""First formats whose state has all that is needed to resume a run, and all controlled values."""

RNG = "philox4x32-10"


def rng_layout(run: Run) -> int:
    """Return the number of the rules that make results from random numbers.

    2 where weights have ties (`rademacher`, `bernoulli:P` without bias): pre-activations that
    cancel are exactly 0, and by the rules of 1 they were what rounding left of them.
    """
    law = run.weights.partition(":")[0]
    ties = law in ("rademacher", "bernoulli") and 0.0 in tuple(run.sigma_b or ())
    return 2 if ties else 1


# --- writing -------------------------------------------------------------------------------------


def write_run(
    path: str | os.PathLike[str],
    results: RunResults,
    *,
    provenance: Mapping[str, object],
    gaps: str = "",
    stopping: Callable[[], bool] | None = None,
) -> None:
    """Write the file of a run whole, in place of an earlier one.

    Results that are not complete make a checkpoint: uncompressed, with the moments, the kept
    trajectories and the state, but without theory, quantiles, histograms and covariances.
    `provenance` is no part of the results, `gaps` are ranges of trials that a merged file lacks,
    and `stopping` is asked before every chunk.

    Raises
    ------
    OutputError
        If the file can't be written. An earlier file is untouched.
    WriteStopped
        If `stopping` said so. An earlier file is untouched.
    """
    run, points, complete = results.run, results.points, results.complete
    with replacing(path, stopping) as writer:
        FORMAT.write(
            writer,
            config_json=run.config_json(),
            complete=complete,
            default="correlation",
            attributes={
                "seed": np.uint64(run.seed),
                "trials": np.int64(run.trials),
                "first_trial": np.int64(run.first_trial),
                "rng": RNG,
                "rng_layout": np.int64(rng_layout(run)),
                **({"gaps": gaps} if gaps else {}),
            },
        )
        _write_plots(writer, results)
        writer.group("/entry/state", {"NX_class": "NXcollection"})
        nodes = node_count(points, complete=complete)
        for name, array in state_coordinates(run, nodes).items():
            writer.array(f"/entry/state/{name}", array.values, array)
        for field, values in state_arrays(run, points, complete=complete):
            writer.array(f"/entry/{field.path}", values, field, packed=complete)
        attributes = {"NX_class": "NXcollection", **provenance}
        writer.group("/entry/provenance", attributes)


def _write_plots(writer: Writer, results: RunResults) -> None:
    """Write the published arrays: a group for each plot, with the theory that goes over it."""
    run, complete = results.run, results.complete
    shared = coordinates(run)
    used: dict[str, set[str]] = {}
    for field in fields(run, complete=complete):
        used.setdefault(field.path.split("/")[0], set()).update(field.dims)
    for folder, members in groupby(results.arrays(), lambda item: item[0].path.split("/")[0]):
        names: list[str] = []
        for field, array in members:
            if not names:
                own = {k: v for k, v in shared.items() if set(v.dims) <= used[folder]}
                _open_group(writer, folder, field, own)
            names.append(field.path.split("/")[1])
            shown = {"interpretation": "spectrum"} if field.is_curve else {}
            writer.array(
                f"/entry/{field.path}", array.values, array, packed=complete, attributes=shown
            )
        if over := [name for name in OVERLAID if name in names]:
            writer.attributes(f"/entry/{folder}", {"auxiliary_signals": over})


def _open_group(writer: Writer, folder: str, signal: Field, coords: Mapping[str, Array]) -> None:
    """Create the NXdata group of a plot with the coordinates of its arrays."""
    attributes: dict[str, object] = {
        "NX_class": "NXdata",
        "signal": signal.path.split("/")[1],
        "coordinates": " ".join(name for name, array in coords.items() if array.dims != (name,)),
    }
    if signal.dims:
        attributes["axes"] = list(signal.dims)
    if folder in ESTIMATORS:
        observable = BY_NAME[folder]
        attributes["long_name"] = observable.long_name
        attributes["units"] = observable.units
        attributes["estimator"] = ESTIMATORS[folder]
    writer.group(f"/entry/{folder}", attributes)
    # The scales come first: width, sigma_w and g lie along other coordinates.
    for name, array in sorted(coords.items(), key=lambda item: item[1].dims != (item[0],)):
        writer.array(f"/entry/{folder}/{name}", array.values, array)


# --- reading -------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Header:
    """Attributes of the root of a file.

    Parameters
    ----------
    run
        The run, rebuilt and validated.
    complete
        True for a last write, False for a checkpoint.
    format_version
        First and second number of the file's format.
    simcore_version
        Version of the program that wrote it.
    gaps
        Ranges of trials that a merged file lacks; "" is none.
    rng_layout
        That of the file, `rng_layout`.
    """

    run: Run
    complete: bool
    format_version: tuple[int, int]
    simcore_version: str
    gaps: str
    rng_layout: int


def read_header(file: Any, path: str | os.PathLike[str]) -> Header:
    """Check that an open file is a run that this program can read, and read what it is.

    Raises
    ------
    FileFormatError
        If the file is foreign or newer than this program, or its configuration is damaged.
    """
    run, format_version = FORMAT.read(file, os.fspath(path), Run.from_config)
    root = file.attrs
    return Header(
        run=run,
        complete=bool(root["complete"]),
        format_version=format_version,
        simcore_version=text(root["simcore_version"]),
        gaps=text(root["gaps"]) if "gaps" in root else "",
        rng_layout=int(root["rng_layout"]),
    )


def _lacks(run: Run, version: tuple[int, int]) -> str:
    """Return what a run needs to be resumed and the state of an earlier format lacks, if any."""
    if version < _STATE_VERSION:
        return "the observables of the activations"
    if version < _CONTROLS_VERSION and run.controls and run.ensemble in ASYMMETRIC:
        return "the probability that both signals are dead"
    if version < _CONTROLS_VERSION and set(GRADIENT_CONTROLLED) & set(run.columns.controlled):
        return "the control variates of gradients"
    return ""


def read_state(path: str | os.PathLike[str]) -> tuple[Run, list[PointStatistics]]:
    """Read back a run with everything that its blocks gave, bit by bit as it was written.

    A partial last block is among them if the file is a last write. A run that is extended
    has to simulate it again as part of a whole block, and one that ended inside block 0 then gets
    other bins: `partial`, `partial_histogram` and, where `run.end_trial` < 64, `bins` are to be
    forgotten.

    Returns
    -------
    run, points
        Those of the results given to `write_run`; `points` in the order of `Run.points`.

    Raises
    ------
    FileFormatError
        If the file is missing, foreign, damaged or newer than this program.
    """
    with reading(path) as file:
        header = read_header(file, path)
        if header.format_version > FORMAT.version:
            rule = (
                f"has format {version_text(header.format_version)}, of which this simcore, with "
                f"{version_text(FORMAT.version)}, would drop a part, so it can be read but not "
                "extended or merged"
            )
            raise FileFormatError("file", os.fspath(path), rule, "Update simcore.")
        if lacks := _lacks(header.run, header.format_version):
            raise FileFormatError(
                "file",
                os.fspath(path),
                f"has format {version_text(header.format_version)}, whose state lacks {lacks}, so "
                "it can be read but not extended or merged",
                "Simulate again, or use the version of simcore that wrote it.",
            )
        if header.rng_layout != rng_layout(header.run):
            rule = (
                f"was simulated before terms of {header.run.weights} weights cancelled exactly "
                f"(rng_layout {header.rng_layout}), so it can be read but not resumed or merged"
            )
            raise FileFormatError("file", os.fspath(path), rule, "Simulate again.")

        def read(name: str, shape: tuple[int, ...], dtype: str) -> npt.NDArray[Any]:
            return read_array(file, f"entry/{name}", shape, dtype)

        state = file["entry/state"]
        nodes = len(state["node"]) if "node" in state else 0
        return header.run, state_points(header.run, read, nodes, complete=header.complete)


def info(path: str | os.PathLike[str]) -> dict[str, Any]:
    """Describe a file by plain values (JSON can hold them), reading no results.

    Returns
    -------
    dict
        file, bytes, format_version, simcore_version, complete, gaps, config, config_sha256,
        dimensions (name and size), points, trials (asked for, per point), trials_done (least and
        most over the points), trials_done_per_point, provenance, progress (when the file was
        written: points_done, node_updates_per_second, seconds_left), controls (observables with
        control variates, or why there are none, in words), and the writer, in words, if a process
        writes the file now.

    Raises
    ------
    FileFormatError
        As for `read_state`.
    """
    with reading(path) as file:
        return describe(file, path)


def describe(file: Any, path: str | os.PathLike[str]) -> dict[str, Any]:
    """Describe an open file, as `info` does."""
    header = read_header(file, path)
    run = header.run
    points = math.prod(run.shape)
    done = read_array(file, "entry/state/trials_done", (points,), "i8").tolist()
    notes = provenance(file)
    return {
        "file": os.fspath(path),
        "bytes": Path(path).stat().st_size,
        "format_version": version_text(header.format_version),
        "simcore_version": header.simcore_version,
        "complete": header.complete,
        "gaps": header.gaps,
        "config": run.config(),
        "config_sha256": run.digest(),
        "dimensions": {name: len(values) for name, values in run.dimensions.items()},
        "points": points,
        "trials": run.trials,
        "trajectories_kept": run.kept,
        "trials_done": [min(done), max(done)],
        "trials_done_per_point": done,
        "provenance": notes,
        "progress": _progress(notes),
        "controls": in_words(run),
        "writer": writer(path),
    }


def _progress(notes: Mapping[str, Any]) -> dict[str, Any]:
    """Return how far the last process was when it wrote the file; empty if it does not say."""
    try:
        seconds, left = float(notes["seconds"]), int(notes["node_updates_left"])
        done = int(notes["node_updates"])
        return {
            "time": str(notes["time"]),
            "points_done": int(notes["points_done"]),
            "node_updates_per_second": done / seconds if seconds > 0.0 else None,
            "seconds_left": 0.0 if left == 0 else left * seconds / done if done else None,
        }
    except (KeyError, TypeError, ValueError):
        return {}
