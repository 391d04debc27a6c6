"""Uniting shards: runs of the same points over different trials become one file.

Trees of moments are sets of nodes over absolute block numbers, so uniting them in any order gives
the bytes of one long run.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from simcore.errors import FileFormatError, InputError
from simcore.files.destination import check_destination
from simcore.files.hdf5 import reading
from simcore.files.lock import only_writer
from simcore.files.run_file import read_header, read_state, write_run
from simcore.files.run_results import RunResults
from simcore.runs.run import Run
from simcore.statistics.blocks import BLOCK
from simcore.statistics.tree import PointStatistics

from .execute import Outcome, empty_point, with_inputs
from .progress import Progress, Report

OWN = ("trials", "first_trial")
"""Settings in which shards of one run differ."""

Shard = tuple[Path, Run]
Range = tuple[int, int]


def merge(
    paths: Sequence[Path],
    output: Path,
    *,
    allow_gaps: bool = False,
    inputs: Any = None,
    provenance: Mapping[str, object] | None = None,
    report: Report | None = None,
) -> Outcome:
    """Unite shards into one file; the order of `paths` does not show in it.

    One shard is held in memory at a time, beside the whole.

    The files differ in their trials only. With `allow_gaps` trials may be missing: the file names
    them (`gaps`), and a resume of it simulates them. `inputs` is the file of the inputs, None where
    they were. `report` is told how far theory is.

    Returns
    -------
    Outcome
        The whole, as after a run.

    Raises
    ------
    InputError
        Naming the file, if shards overlap, are of different runs, or leave gaps, or if no file can
        be made at `output`.
    FileFormatError
        If a file is no run, is damaged, or was written by a newer program.
    OutputError
        If `output` can't be written, or another process writes it.
    """
    check_destination(output)
    shards = _in_order(paths)
    path, run = max(shards, key=lambda shard: shard[1].end_trial)
    first_trial = shards[0][1].first_trial
    run = replace(run, first_trial=first_trial, trials=run.end_trial - first_trial)
    run = with_inputs(run, path, inputs)
    points = [empty_point(run) for _ in run.points]
    held: dict[Path, list[Range]] = {}
    for shard in shards:
        held[shard[0]] = _add(run, points, shard, held)
    missing = _missing(run, points)
    if missing and not allow_gaps:
        rule = f"would lack trials {_listed(missing)}"
        remedy = "Resume or add the shard that has them, or pass --allow-gaps."
        raise InputError("output", str(output), rule, remedy)
    results = RunResults(run, points, complete=True)

    def look(detail: str) -> None:
        if report is not None:
            report(Progress("theory", 0, 0, 0, 1, 0.0, points=len(points), detail=detail))

    results.predict(look)
    notes = _notes(run, shards) | dict(provenance or {})
    with only_writer(output):
        gaps = _listed(missing, most=len(missing))
        write_run(output, results, provenance=notes, gaps=gaps)
    return Outcome(results, output, 0.0, 0)


def _notes(run: Run, shards: Sequence[Shard]) -> dict[str, object]:
    """Return the provenance of a merged file."""
    from simcore.machine.provenance import collect_provenance

    notes: dict[str, object] = dict(collect_provenance(device=run.device))
    if run.inputs is not None and run.inputs.source:
        notes["inputs"] = run.inputs.absolute_source
    notes["merged_from"] = json.dumps([str(path) for path, _ in shards[:1000]])
    return notes


def _in_order(paths: Sequence[Path]) -> list[Shard]:
    """Read the headers, sort the files by their first trial, and check that they fit."""
    if not paths:
        raise InputError("files", "none", "are missing", "Name the shards.")
    shards = sorted(((path, _run_of(path)) for path in paths), key=lambda s: s[1].first_trial)
    known, first = shards[0]
    for path, run in shards:
        if run.until_stderr is not None:
            rule = "ends at a standard error, so it can't be a piece of a run"
            raise InputError("file", str(path), rule, "Leave it out; extend it by itself.")
        differing = _differing(first, run)
        if differing:
            rule = f"is no piece of the run of {known}: {differing}"
            raise InputError("file", str(path), rule, "Leave it out.")
    return shards


def _run_of(path: Path) -> Run:
    with reading(path) as file:
        return read_header(file, path).run


def _differing(one: Run, other: Run) -> str:
    """Return the setting in which two runs differ, in words; "" if none."""
    a, b = one.config(), other.config()
    # Whether there are controls follows from the others, as a rule.
    for name in sorted(a.keys() | b.keys(), key=lambda name: (name == "controls", name)):
        if name not in OWN and a.get(name) != b.get(name):
            return f"{name} is {_short(b.get(name))}, not {_short(a.get(name))}"
    return ""


def _short(value: object) -> str:
    text = json.dumps(value)
    return text if len(text) <= 60 else f"{text[:60]}..."


def _add(
    run: Run, points: Sequence[PointStatistics], shard: Shard, held: Mapping[Path, list[Range]]
) -> list[Range]:
    """Add a shard to the points of the whole; return the ranges of trials that it holds.

    `held` are those of the shards before.
    """
    path, planned = shard
    found, parts = read_state(path)
    if found != planned:
        raise InputError("file", str(path), "has just changed", "Merge when all runs have ended.")
    own = _united(_spans(found, part) for part in parts)
    for other, ranges in held.items():
        for first, end in ranges:
            for begun, ended in own:
                if max(first, begun) < min(end, ended):
                    shared = f"trials {max(first, begun)} to {min(end, ended) - 1}"
                    rule = f"has {shared}, and so has {other}"
                    raise InputError("file", str(path), rule, "Leave one of them out.")
    last = found.end_trial == run.end_trial
    for number, (point, part) in enumerate(zip(points, parts, strict=True)):
        if last or found.end_trial >= BLOCK:
            # A shard that ends inside block 0 has bins of its own, and nothing that is needed.
            _take_bins(point, part, path, number)
        for level, index, moments in part.tree.ordered():
            point.tree.add(level, index, moments)
        point.histogram += part.histogram
        if last:
            point.partial, point.partial_histogram = part.partial, part.partial_histogram
        _take_trajectories(run, point, found, part)
    return own


def _take_trajectories(run: Run, point: PointStatistics, shard: Run, part: PointStatistics) -> None:
    """Take the trajectories of a shard, those behind a gap included, for it may be filled."""
    if not run.kept or not shard.kept:
        return
    end = shard.end_trial if point.partial is part.partial else shard.end_trial // BLOCK * BLOCK
    at = shard.first_trial - run.first_trial
    room = max(0, min(shard.kept, run.kept - at, end - shard.first_trial))
    rows = np.flatnonzero(part.has_trajectory()[:room])
    point.trajectories[at + rows] = part.trajectories[rows]
    point.count_kept()


def _spans(run: Run, point: PointStatistics) -> list[Range]:
    """Return the ranges of trials [first, end) that a point holds."""
    spans = [(first * BLOCK, end * BLOCK) for first, end in point.tree.spans()]
    if point.partial is not None:
        spans.append((run.end_trial // BLOCK * BLOCK, run.end_trial))
    return spans


def _take_bins(point: PointStatistics, part: PointStatistics, path: Path, number: int) -> None:
    """Take a shard's bins, which are those of block 0 in every shard."""
    if point.bins is None:
        point.bins = part.bins
    elif part.bins is not None and not all(
        np.array_equal(a, b, equal_nan=True) for a, b in zip(point.bins, part.bins, strict=True)
    ):
        rule = f"has other histogram bins at point {number} than the shards before it"
        remedy = "Simulate all shards with one version of simcore on one kind of CPU."
        raise FileFormatError("file", str(path), rule, remedy)


def _missing(run: Run, points: Iterable[PointStatistics]) -> list[Range]:
    """Return the ranges of trials [first, end) that some point lacks, in order."""
    lacking: set[Range] = set()
    for point in points:
        first = run.first_trial // BLOCK
        for begun, ended in point.tree.spans():
            if begun > first:
                lacking.add((first * BLOCK, begun * BLOCK))
            first = ended
        if point.partial is None and first * BLOCK < run.end_trial:
            lacking.add((first * BLOCK, run.end_trial))
        elif first * BLOCK < run.end_trial // BLOCK * BLOCK:
            lacking.add((first * BLOCK, run.end_trial // BLOCK * BLOCK))
    return _united([lacking])


def _united(ranges: Iterable[Iterable[Range]]) -> list[Range]:
    """Return the union of these sets of ranges, in order."""
    found: list[Range] = []
    for first, end in sorted({each for some in ranges for each in some}):
        if found and first <= found[-1][1]:
            found[-1] = (found[-1][0], max(end, found[-1][1]))
        else:
            found.append((first, end))
    return found


def _listed(ranges: Sequence[Range], most: int = 6) -> str:
    """Return ranges of trials as text: "64-127, 960-999"."""
    texts = [f"{first}-{end - 1}" for first, end in ranges[:most]]
    more = [f"and {len(ranges) - most} ranges more"] if len(ranges) > most else []
    return ", ".join(texts + more)
