"""Running, resuming and extending: a run, or its file, under the lock of one writer."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any, Unpack

import numpy as np

from simcore.errors import InputError
from simcore.files.destination import check_destination
from simcore.files.lock import only_writer
from simcore.inputs.input_set import NOT_KNOWN
from simcore.machine.gpu import STAYS, check_kind, require_cuda
from simcore.physics.observables import KEPT
from simcore.runs.run import Run
from simcore.statistics.blocks import BLOCK
from simcore.statistics.moments import zero_histogram
from simcore.statistics.tree import MomentTree, PointStatistics

from .loop import Loop, Options, Outcome

__all__ = [
    "Options",
    "Outcome",
    "empty_point",
    "execute",
    "extended",
    "resume",
    "stored_run",
    "with_inputs",
]


def execute(run: Run, *, output: Path | None = None, **options: Unpack[Options]) -> Outcome:
    """Simulate a run.

    An existing file at `output` is replaced; None keeps the results in memory only.

    Returns
    -------
    Outcome
        With `complete` False if it was stopped; the file then holds the whole blocks done so far.

    Raises
    ------
    InputError
        If no file can be made at `output`.
    OutputError
        If the file can't be written, or another process writes it.
    ClusterError
        If the cluster is lost, refused or out of order; the file holds what was done.
    KeyboardInterrupt
        On Ctrl-C where no handler was set, after the file was written.
    """
    points = [empty_point(run) for _ in run.points]
    if output is None:
        return Loop(run, points, None, options).execute()
    check_destination(output)
    with only_writer(output):
        loop = Loop(run, points, output, options)
        loop.write()
        return loop.execute()


def resume(
    path: Path,
    *,
    trials: int | None = None,
    inputs: Any = None,
    device: str | None = None,
    **options: Unpack[Options],
) -> Outcome:
    """Go on with a run from its file, to its end or to a new number of trials.

    The results are, byte for byte, those of one long run.

    The file is replaced. `trials` is the new number of trials per point, at least the run's;
    `inputs` is the file of the inputs or an array of them, None where they were; `device` may only
    be the run's own kind (`gpu.check_kind`).

    Raises
    ------
    InputError
        If `trials` is less than the run has, or the inputs are not those of the run.
    DeviceError
        If `device` is another kind, or this machine can't use it.
    FileFormatError
        If the file is no run, is damaged, or was written by a newer program.
    OutputError, ClusterError
        As for `execute`.
    """
    from simcore.files.run_file import read_state

    check_destination(path, "path")
    with only_writer(path):
        stored, points = read_state(path)
        check_kind(stored, device)
        if stored.device == "cuda" and options.get("scheduler") is None:
            require_cuda(stored, STAYS)
        run = with_inputs(extended(stored, trials), path, inputs)
        if run.end_trial != stored.end_trial:
            for point in points:
                _forget_partial(point)
        for point in points:
            _make_room(run, point)
        loop = Loop(run, points, path, options)
        # Stopped before the first new block, the file must know of its extension all the same.
        loop.unsaved = run != stored
        return loop.execute()


def extended(run: Run, trials: int | None) -> Run:
    """Return the run with a new number of trials.

    Raises
    ------
    InputError
        If that is less than it has.
    """
    if trials is None or trials == run.trials:
        return run
    if trials < run.trials:
        rule = f"is less than the run has, {run.trials}"
        raise InputError("trials", trials, rule, "Give a larger number, or leave it out.")
    return replace(run, trials=trials)


def stored_run(
    path: Path, *, trials: int | None = None, device: str | None = None
) -> tuple[Run, bool]:
    """Return the run of a file with its new number of trials, and whether nothing is left to do.

    Raises
    ------
    InputError
        If `trials` is less than the run has, or `device` is another kind.
    FileFormatError
        If the file is no run, is damaged, or was written by a newer program.
    """
    from simcore.files.hdf5 import reading
    from simcore.files.run_file import read_header

    with reading(path) as opened:
        stored = read_header(opened, path)
    check_kind(stored.run, device)
    run = extended(stored.run, trials)
    # Format 1.0 has no partial block in its state: it is simulated again, for a merge.
    whole = stored.format_version >= (1, 1) or run.end_trial % BLOCK == 0
    return run, run == stored.run and stored.complete and not stored.gaps and whole


def with_inputs(run: Run, path: Path, inputs: Any) -> Run:
    """Return the run of a file with the place of its inputs, if it has any.

    `path` is its file, which says where the inputs were; `inputs` is where they are now, or an
    array of them, None if they have stayed.
    """
    from simcore.files.run_file import info

    if run.inputs is None:
        if inputs is not None:
            rule = "goes with a run of inputs, and this is none"
            raise InputError("inputs", inputs, rule, "Leave it out.")
        return run
    if inputs is not None:
        run.inputs.at(inputs).load()  # refused before the file is touched
    else:
        inputs = str(info(path)["provenance"].get("inputs", ""))
    if isinstance(inputs, str) and not inputs:
        rule = "were in memory, so the file of the run can't say where they are"
        raise InputError("inputs", "none", rule, NOT_KNOWN)
    return replace(run, inputs=run.inputs.at(inputs))


def empty_point(run: Run) -> PointStatistics:
    """Return the statistics of a point of which nothing is known."""
    pairs = run.columns.pairs
    return PointStatistics(
        tree=MomentTree(),
        histogram=zero_histogram(run.depth, run.bins, run.columns),
        trajectories=np.full((run.kept, run.depth, pairs * len(KEPT)), np.nan),
    )


def _forget_partial(point: PointStatistics) -> None:
    """Forget a partial last block, which is simulated again as part of a whole one."""
    point.partial = point.partial_histogram = None
    if not point.tree.nodes:
        # A partial block 0 has laid other bins than the whole one will.
        point.bins = None


def _make_room(run: Run, point: PointStatistics) -> None:
    """Give an extended run's point room for the trajectories that it may still keep."""
    held = point.trajectories
    if len(held) != run.kept:
        point.trajectories = np.full((run.kept, *held.shape[1:]), np.nan)
        point.trajectories[: len(held)] = held[: run.kept]
