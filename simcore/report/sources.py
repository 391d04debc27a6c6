"""The files of a report: runs and training, and notes on incomplete ones."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from simcore.errors import InputError, SimcoreError, as_typed
from simcore.results.intervals import FEW

from .training_source import Training, read_training

if TYPE_CHECKING:
    import xarray as xr

    from simcore.files.stored import StoredFile


@dataclass(frozen=True)
class Source:
    """One run: its file, the results (`open_run`), the facts (`simcore.files.run_file.info`).

    `notes` are its missing parts, and how to get them: one or two sentences each.
    """

    path: Path
    dataset: xr.Dataset
    facts: dict[str, Any]
    notes: tuple[str, ...] = field(default=())

    @property
    def config(self) -> dict[str, Any]:
        """The configuration, as plain values."""
        config = self.facts["config"]
        assert isinstance(config, dict)
        return config

    @cached_property
    def swept(self) -> tuple[str, ...]:
        """The dimensions of the grid, `pair` included."""
        return tuple(str(d) for d in self.dataset["correlation"].dims if d != "layer")

    @cached_property
    def layers(self) -> list[int]:
        """Every layer, from 1."""
        return [int(x) for x in self.dataset["layer"].values]


def values_of(dataset: xr.Dataset, name: str) -> list[float]:
    """Return the values of a coordinate as numbers, whatever its dimension."""
    return [float(x) for x in np.atleast_1d(dataset[name].values)]


def is_asymmetric(source: Source) -> bool:
    """Return True if one weight or the bias of each node is replaced by a positive draw."""
    from simcore.physics.ensembles import ASYMMETRIC

    return source.config["ensemble"] in ASYMMETRIC


def read_sources(
    paths: Sequence[str | os.PathLike[str]],
) -> tuple[list[Source], list[Training], list[InputError]]:
    """Read each file once: return the runs, the files of training, and the errors of the others."""
    sources: list[Source] = []
    trainings: list[Training] = []
    problems: list[InputError] = []
    seen: set[str] = set()
    for given in paths:
        path = Path(os.path.expanduser(given))  # noqa: PTH111 - no error for unknown users
        real = os.path.realpath(path)
        if real in seen:
            continue
        seen.add(real)
        try:
            found = _read(path)
        except InputError as error:
            problems.append(InputError("file", path, error.rule, error.remedy))
        except (SimcoreError, OSError) as error:
            remedy = "Check the file and its permissions."
            problems.append(InputError("file", path, f"can't be read ({error})", remedy))
        else:
            if isinstance(found, Source):
                sources.append(found)
            else:
                trainings.append(found)
    return sources, trainings, problems


def _read(path: Path) -> Source | Training:
    """Read a file, opening it once."""
    from simcore.file_types import opened

    kind, stored = opened(path)
    try:
        return _READERS[kind.name](path, stored)
    except BaseException:
        stored.close()
        raise


def _read_run(path: Path, stored: StoredFile) -> Source:
    from simcore.file_types import RUN

    dataset = RUN.dataset(stored)
    dataset.set_close(stored.close)
    source = Source(path, dataset, RUN.facts(stored))
    return replace(source, notes=tuple(_notes(source)))


_READERS: dict[str, Callable[[Path, StoredFile], Source | Training]] = {
    "simcore-run": _read_run,
    "simcore-training": read_training,
}
"""Readers by type of file (`simcore.file_types`)."""


def _notes(source: Source) -> list[str]:
    """Return a note on each part that a run lacks for a whole report, with its remedy."""
    facts, config = source.facts, source.config
    name = as_typed(source.path)
    least, most = facts["trials_done"]
    notes = []
    if not facts["complete"]:
        done = f"{least}" if least == most else f"{least} to {most}"
        notes.append(
            f"The run is unfinished ({done} of {facts['trials']} networks): theory, verdict and "
            f"distributions come with its end. Finish it: simcore resume {name}"
        )
    if facts["gaps"]:
        notes.append(f"The merged file lacks trials {facts['gaps']}. Merge it with their shards.")
    if most == 0:
        notes.append("No network is done yet, so there is nothing to show of it.")
    elif 2 <= least < FEW:
        notes.append(
            f"With fewer than {FEW} networks (here {least}) the law of c and of q over networks, "
            "which is skewed, makes errors of c too small and z too large, also by Student’s law. "
            "Look at ln q and ln(1 − c), which are less skewed, or simulate more networks."
        )
    elif least < 2:
        first = int(config["first_trial"])
        more = f"simcore resume {name} --trials 1000" if first == 0 else "simulate with more trials"
        notes.append(
            f"With one network there are no error bars, no z and no verdict. Get them: {more}"
        )
    if "correlation_trajectories" not in source.dataset:
        notes.append(
            "The file keeps no single networks (--keep 0, or shards beyond the first trials), so "
            "none are drawn. Get them: simulate with --keep 100 from the first trial on."
        )
    return notes + _physical_notes(source)


def _physical_notes(source: Source) -> list[str]:
    dataset, config = source.dataset, source.config
    notes = []
    if min(values_of(dataset, "initial_distance"), default=1.0) == 0.0:
        notes.append(
            "Where the two inputs are the same (c₀ = 1) their correlation is 1 at every layer, "
            "exactly: no error, no z, and ln(1 − c) is undefined. Give --correlation below 1, or "
            "--distance."
        )
    lost = _first_dead_layer(source)
    if lost is not None:
        notes.append(
            f"From layer {lost} on some points have fewer than two networks in which both signals "
            "are alive: correlation and distance are undefined there. Wider networks die later."
        )
    if config["weights"] != "normal":
        notes.append(
            f"The weights are {config['weights']}, not Gaussian. Theory is the limit of infinite "
            "width, which depends on their covariance only."
        )
    if _lacks_theory(source):
        notes.append(
            "Some pairs have no theory (it is computed for the first four pairs of a file), so "
            "they have no z and no verdict."
        )
    return notes


def _first_dead_layer(source: Source) -> int | None:
    """Return the first layer at which a point has lost nearly all its living networks."""
    if source.facts["trials_done"][0] < 2:
        return None
    counts = source.dataset["correlation_count"]
    fewest = counts.min([d for d in counts.dims if d != "layer"]).values
    lost = np.flatnonzero(fewest < 2)
    return None if lost.size == 0 else source.layers[int(lost[0])]


def _lacks_theory(source: Source) -> bool:
    theory = source.dataset.get("correlation_theory")
    if theory is None or "pair" not in theory.dims:
        return False
    return bool(np.isnan(theory.isel(layer=0)).any())
