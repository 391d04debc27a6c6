"""`simcore.simulate`, `resume` and `merge`, and the steps of them that a command takes one by one.

Importing this module loads nothing heavy. The command line stands on it and knows no room below.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass, fields, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypedDict, Unpack

from .errors import InputError
from .execution.progress import Control, EventLog, Progress, Report
from .physics.ensembles import ASYMMETRIC, CRITICAL
from .runs.limits import DEFAULTS, EXCLUSIVE
from .runs.spec import RunSpec

if TYPE_CHECKING:
    import xarray as xr

    from .execution.execute import Options, Outcome
    from .runs.ensemble import Ensemble
    from .runs.run import Run

__all__ = [
    "ASYMMETRIC",
    "CRITICAL",
    "EXCLUSIVE",
    "Control",
    "EventLog",
    "Plan",
    "Progress",
    "Report",
    "RunSpec",
    "Settings",
    "check_destination",
    "check_memory",
    "estimates",
    "execute",
    "identity",
    "info",
    "merge",
    "plan",
    "planned_resume",
    "prepare",
    "resume",
    "resume_file",
    "settings",
    "simulate",
    "unite",
]

Integers = int | Sequence[int]
Numbers = float | Sequence[float]
Name = str | os.PathLike[str]


def simulate(
    ensemble: Ensemble | Run,
    *,
    width: Integers | None = None,
    depth: int | None = None,
    correlation: Numbers | None = None,
    distance: Numbers | None = None,
    q0: Numbers | None = None,
    pairs: int | str | None = None,
    shared_network: bool | None = None,
    inputs: Name | None = None,
    weights: str | None = None,
    sampler: str | None = None,
    trials: int | None = None,
    until_stderr: float | None = None,
    seed: int | None = None,
    device: str | None = None,
    layer_widths: Sequence[int] | None = None,
    output: Name | None = None,
    overwrite: bool = False,
    threads: int | None = None,
    scheduler: str | None = None,
    report: Report | None = None,
) -> xr.Dataset:
    """Simulate pairs of signals, or many inputs, through independent networks.

    Parameters
    ----------
    ensemble
        The law of the weights; or a whole `Run`, for grids over k, σ_w and σ_b and for options that
        are not listed here. With a `Run` only the last five parameters may be given.
    width, depth, layer_widths, correlation, distance, q0, pairs, shared_network, inputs, \
weights, sampler, trials, until_stderr, seed
        As for `Run`, which has their defaults. Several widths, correlations, distances or q0 make
        a dimension each.
    device
        ``"cpu"``, ``"cuda"``, or ``"auto"``, the default: cuda where this machine allows it and no
        `scheduler` is named, else cpu.
    output
        File to write, readable by `open_run`; None keeps the results in memory.
    overwrite
        Whether an existing `output` may be replaced.
    threads
        Threads to use; None is what the machine grants this process.
    scheduler
        A Dask cluster to use instead: an address, a scheduler file, or ``"local:N"`` for N
        processes of this machine.
    report
        Called a few times a second with a `progress.Progress`.

    Returns
    -------
    xarray.Dataset
        For each observable of theory.md 3 its mean over trials, `_stderr`, `_std`, `_count`,
        `_theory` and more, along the swept parameters and `layer`; the same as `open_run` gives.

    Raises
    ------
    InputError
        If a value breaks a rule, or `output` exists.
    DeviceError
        If the GPU that was asked for can't be used.
    OutputError
        If the file can't be written.
    ClusterError
        If the cluster can't be used, or is lost.

    Examples
    --------
    >>> import simcore
    >>> ensemble = simcore.Ensemble.correlated(k=1.0)
    >>> ds = simcore.simulate(ensemble, width=64, depth=5, trials=128)
    >>> ds.correlation.dims
    ('layer',)
    """
    given = locals()
    from .results.open_run import to_dataset
    from .runs.run import Run

    parts = {field.name for field in fields(RunSpec)} - {"ensemble"}
    options = {name: x for name, x in given.items() if name in parts and x is not None}
    checked = settings(threads=threads, scheduler=scheduler)
    if isinstance(ensemble, Run):
        run = ensemble
        if options:
            rule = "is part of the Run" if len(options) == 1 else "are part of the Run"
            remedy = "Give the Run alone, or an Ensemble with them."
            shown = ", ".join(map(str, options.values()))
            raise InputError(", ".join(options), shown, rule, remedy)
    else:
        spec = RunSpec(**_law(ensemble), **{"device": "auto", **options})
        run = plan(spec, scheduler=scheduler).run
    path = _free(output, overwrite=overwrite)
    check_memory(run, checked["threads"])
    outcome = execute(run, output=path, report=report, **checked)
    return to_dataset(outcome.results)


def _law(ensemble: Ensemble) -> dict[str, Any]:
    scale, bias = ensemble.sigma_w, ensemble.sigma_b
    return {
        "ensemble": ensemble.name,
        "k": float(ensemble.k),
        "sigma_w": float(scale) if isinstance(scale, int | float) else scale,
        "sigma_b": None if bias is None else float(bias),
    }


def resume(
    path: Name,
    *,
    trials: int | None = None,
    inputs: Name | None = None,
    device: str | None = None,
    threads: int | None = None,
    scheduler: str | None = None,
    report: Report | None = None,
) -> xr.Dataset:
    """Go on with a run that was stopped or killed, or extend a finished one.

    Parameters
    ----------
    path
        The file of the run; it is replaced.
    trials
        New number of trials per point, at least the run's.
    inputs
        Where the inputs of the run are now, if they were moved.
    device
        The run's own kind of device, or None: no other is allowed.
    threads, scheduler, report
        As for `simulate`.

    Returns
    -------
    xarray.Dataset
        As from `simulate`; the same bytes as those of one long run.

    Raises
    ------
    InputError
        If `trials` is less than the run has, or the inputs are not those of the run.
    FileFormatError
        If the file is no run, is damaged, or was written by a newer program.
    OutputError, ClusterError
        As for `simulate`.
    """
    from .results.open_run import to_dataset

    checked = settings(threads=threads, scheduler=scheduler)
    outcome = resume_file(
        Path(path), trials=trials, inputs=inputs, device=device, report=report, **checked
    )
    return to_dataset(outcome.results)


def merge(
    paths: Sequence[Name],
    output: Name,
    *,
    allow_gaps: bool = False,
    inputs: Name | None = None,
    overwrite: bool = False,
) -> xr.Dataset:
    """Unite shards, runs that differ in `first_trial` and `trials` only, into one file.

    Parameters
    ----------
    paths
        Their files, in any order.
    output
        The file to write.
    allow_gaps
        Whether trials may be missing.
    inputs
        Where the inputs of the run are now, if they were moved.
    overwrite
        Whether an existing `output` may be replaced.

    Returns
    -------
    xarray.Dataset
        As from `simulate`; the same bytes as those of one run of all trials.

    Raises
    ------
    InputError
        If shards overlap, are of different runs or leave gaps, or `output` exists.
    FileFormatError, OutputError
        As for `resume`.
    """
    from .results.open_run import to_dataset

    target = _free(output, overwrite=overwrite)
    outcome = unite(paths, target, allow_gaps=allow_gaps, inputs=inputs)
    return to_dataset(outcome.results)


def _free(output: Name | None, *, overwrite: bool) -> Any:
    """Return the path of a file that may be written; None stays None."""
    path = None if output is None else Path(output)
    if path is not None and path.exists() and not overwrite:
        remedy = "Pass overwrite=True, or name another file."
        raise InputError("output", str(path), "exists already", remedy)
    return path


# --- the steps ----------------------------------------------------------------------------------


def prepare(*, kernels: bool = False) -> None:
    """Set Numba up: the folder of compiled kernels and, for `kernels`, the widest vectors.

    It is for programs that own their process, before they import anything that compiles: Numba
    keeps kernels apart that were compiled for other vectors.
    """
    from .numerics import compiling

    compiling.prepare()
    if kernels:
        compiling.prefer_wide_vectors()


@dataclass(frozen=True)
class Plan:
    """A run, and what its user should know before the results are read.

    Options stand in backquotes in the notes, as in errors (`InputError.worded`).
    """

    run: Run
    notes: tuple[str, ...]


def plan(spec: RunSpec, *, scheduler: str | None = None, here: bool = True) -> Plan:
    """Resolve a description, its device included.

    Parameters
    ----------
    spec
        The description; its device may be ``"auto"``.
    scheduler
        The Dask cluster that will simulate. Its machines may have other devices than this one:
        there ``"auto"`` is the CPU, and a worker that can't use its GPU says so.
    here
        Whether the run is for this machine, whose devices are then looked at.

    Raises
    ------
    InputError
        If a value breaks a rule.
    DeviceError
        If the GPU that was asked for can't be used.
    """
    from .execution.dask.address import check_scheduler
    from .machine.gpu import automatic, local_gpus, require_cuda
    from .runs.notes import notes
    from .runs.run import resolve

    asked, note = spec.device, ""
    run = resolve(replace(spec, device="cpu" if asked == "auto" else asked))
    if here and asked == "auto" and scheduler is None:
        run, note = automatic(run)
    elif here and run.device == "cuda":
        processes = None if scheduler is None else check_scheduler(scheduler)
        if scheduler is None:
            require_cuda(run)
        elif processes is not None:
            local_gpus(processes, run)
    found = notes(run, chosen=spec.sampler == "auto")
    return Plan(run, (note, *found) if note else tuple(found))


class Settings(TypedDict):
    """How a run is executed, checked (`simcore.execution.loop.Options`)."""

    threads: int
    scheduler: str | None
    checkpoint: float


def settings(
    *, threads: int | None = None, scheduler: str | None = None, checkpoint: float | None = None
) -> Settings:
    """Check how a run is to be executed, as `execute` and `resume_file` take it.

    Raises
    ------
    InputError
        If a value breaks a rule.
    """
    from .execution.dask.address import check_scheduler
    from .machine.cpus import resolve_threads

    if scheduler is not None:
        check_scheduler(scheduler)
    seconds = DEFAULTS.checkpoint if checkpoint is None else checkpoint
    if not seconds > 0.0:
        remedy = "Give the seconds between two checkpoints."
        raise InputError("checkpoint", seconds, "must be above 0", remedy)
    return {"threads": resolve_threads(threads), "scheduler": scheduler, "checkpoint": seconds}


def estimates(run: Run, threads: int) -> dict[str, int]:
    """Return node_updates, file_bytes and memory_bytes of a run."""
    from .files.run_file import estimate_bytes
    from .machine.memory import memory_bytes

    return {
        "node_updates": run.trials * sum(point.nodes(run.depth) for point in run.points),
        "file_bytes": estimate_bytes(run),
        "memory_bytes": memory_bytes(run, threads),
    }


def check_memory(run: Run, threads: int) -> None:
    """Raise InputError if a run needs more memory than there is."""
    from .machine.memory import check_memory as check

    check(run, threads)


def execute(run: Run, *, output: Path | None = None, **options: Unpack[Options]) -> Outcome:
    """Simulate a run (`simcore.execution.execute.execute`)."""
    from .execution import execute as execution

    return execution.execute(run, output=output, **options)


def planned_resume(
    path: Path, *, trials: int | None = None, device: str | None = None
) -> tuple[Run, bool]:
    """Return the run of a file with its new number of trials, and whether the file is complete.

    Raises
    ------
    InputError
        If `trials` is less than the run has, or `device` not its own.
    FileFormatError
        If the file is no run, is damaged, or was written by a newer program.
    """
    from .execution.execute import extended
    from .files.hdf5 import reading
    from .files.run_file import read_header
    from .machine.gpu import check_kind
    from .statistics.blocks import BLOCK

    with reading(path) as opened:
        stored = read_header(opened, path)
    check_kind(stored.run, device)
    run = extended(stored.run, trials)
    # Format 1.0 has no partial block in its state: it is simulated again, for a merge.
    whole = stored.format_version >= (1, 1) or run.end_trial % BLOCK == 0
    return run, run == stored.run and stored.complete and not stored.gaps and whole


def resume_file(
    path: Path,
    *,
    trials: int | None = None,
    inputs: Name | None = None,
    device: str | None = None,
    **options: Unpack[Options],
) -> Outcome:
    """Go on with the run of a file (`simcore.execution.execute.resume`)."""
    from .execution import execute as execution

    source = None if inputs is None else os.fspath(inputs)
    return execution.resume(path, trials=trials, inputs=source, device=device, **options)


def unite(
    paths: Sequence[Name],
    output: Path,
    *,
    allow_gaps: bool = False,
    inputs: Name | None = None,
    provenance: dict[str, object] | None = None,
) -> Outcome:
    """Unite shards into one file (`simcore.execution.merge.merge`)."""
    from .execution.merge import merge as united

    source = None if inputs is None else os.fspath(inputs)
    shards = [Path(path) for path in paths]
    return united(shards, output, allow_gaps=allow_gaps, inputs=source, provenance=provenance)


def info(path: Name) -> dict[str, Any]:
    """Describe the file of a run by plain values (`simcore.files.run_file.info`)."""
    from .files.run_file import info as described

    return described(path)


def check_destination(path: Path, field: str = "output") -> None:
    """Raise InputError, about `field`, unless a file can be made, or replaced, at `path`."""
    from .files.destination import check_destination as check

    check(path, field)


def identity(path: Path) -> tuple[str, bool]:
    """Return the digest of a stored run and whether it is complete; "" where there is none."""
    from .files.destination import identity as read

    return read(path)
