"""`simcore.simulate`, `resume` and `merge`, and the steps of them that a command takes one by one.

Importing this module loads nothing heavy. The command line stands on it and on public rooms, and
knows no room below: what a command needs from one of those is in `BELOW`.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass, fields, replace
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypedDict

from .errors import InputError
from .execution.progress import Control, EventLog, Progress, Report
from .physics.ensembles import ASYMMETRIC, CRITICAL, FAN_IN, ensemble_name
from .physics.parameters import number
from .runs.limits import DEFAULTS, EXCLUSIVE
from .runs.spec import RunSpec

if TYPE_CHECKING:
    import xarray as xr

    from .execution.estimates import estimates
    from .execution.execute import Outcome, execute, stored_run
    from .execution.execute import resume as resume_file
    from .execution.merge import merge as unite
    from .execution.stopping import NO_VALUES, needed
    from .files.destination import check_destination, claim, identity, written
    from .files.run_file import info
    from .files.run_results import RunResults
    from .machine.memory import check_memory
    from .numerics.spacing import evenly, logarithmically
    from .numerics.text import NOTHING, plain, with_error
    from .physics.observables import BY_NAME, CONTROL, NEAR_ONE
    from .runs.ensemble import Ensemble
    from .runs.run import Run

__all__ = [
    "ASYMMETRIC",
    "BY_NAME",
    "CONTROL",
    "CRITICAL",
    "EXCLUSIVE",
    "FAN_IN",
    "NEAR_ONE",
    "NOTHING",
    "NO_VALUES",
    "Control",
    "EventLog",
    "Outcome",
    "Plan",
    "Progress",
    "Report",
    "RunResults",
    "RunSpec",
    "Settings",
    "check_destination",
    "check_memory",
    "claim",
    "ensemble_name",
    "estimates",
    "evenly",
    "execute",
    "identity",
    "info",
    "logarithmically",
    "merge",
    "needed",
    "plain",
    "plan",
    "resume",
    "resume_file",
    "settings",
    "simulate",
    "stored_run",
    "unite",
    "with_error",
    "written",
]

BELOW = {
    "BY_NAME": "physics.observables.BY_NAME",
    "CONTROL": "physics.observables.CONTROL",
    "Outcome": "execution.execute.Outcome",
    "RunResults": "files.run_results.RunResults",
    "check_destination": "files.destination.check_destination",
    "check_memory": "machine.memory.check_memory",
    "claim": "files.destination.claim",
    "estimates": "execution.estimates.estimates",
    "evenly": "numerics.spacing.evenly",
    "execute": "execution.execute.execute",
    "identity": "files.destination.identity",
    "info": "files.run_file.info",
    "logarithmically": "numerics.spacing.logarithmically",
    "needed": "execution.stopping.needed",
    "NEAR_ONE": "physics.observables.NEAR_ONE",
    "NOTHING": "numerics.text.NOTHING",
    "NO_VALUES": "execution.stopping.NO_VALUES",
    "plain": "numerics.text.plain",
    "with_error": "numerics.text.with_error",
    "written": "files.destination.written",
    "resume_file": "execution.execute.resume",
    "stored_run": "execution.execute.stored_run",
    "unite": "execution.merge.merge",
}
"""Names of rooms below that this module passes on, each imported on its first use."""

Integers = int | Sequence[int]
Numbers = float | Sequence[float]
Name = str | os.PathLike[str]


def __getattr__(name: str) -> Any:
    if name not in BELOW:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    module, _, found = BELOW[name].rpartition(".")
    return getattr(import_module(f"simcore.{module}"), found)


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
    until_stderr: float | str | None = None,
    controls: str | bool | None = None,
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
weights, sampler, trials, until_stderr, controls, seed
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
    from .execution.execute import execute
    from .machine.memory import check_memory
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
        spec = RunSpec(**{**_law(ensemble), "device": "auto", **options})
        run = plan(spec, scheduler=scheduler).run
    path = _free(output, overwrite=overwrite, others=(inputs, pairs))
    check_memory(run, checked["threads"])
    outcome = execute(run, output=path, report=report, **checked)
    return to_dataset(outcome.results)


def _law(ensemble: object) -> dict[str, Any]:
    from .runs.ensemble import checked

    law = checked(ensemble)
    numbers = {"k": law.k, "sigma_w": law.sigma_w, "sigma_b": law.sigma_b}
    floats = {name: float(x) if isinstance(x, int) else x for name, x in numbers.items()}
    # The samplers have no truncated normal law, which differs from a normal one at order 1/N.
    weights = "normal" if law.weights == "truncated" else law.weights
    return {"ensemble": law.name, "weights": weights, **floats}


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
    """Resume a run that was stopped or killed, or extend a finished one.

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
    from .execution.execute import resume as resume_file
    from .results.open_run import to_dataset

    outcome = resume_file(
        Path(path),
        trials=trials,
        inputs=_source(inputs),
        device=device,
        report=report,
        **settings(threads=threads, scheduler=scheduler),
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
    from .execution.merge import merge as unite
    from .results.open_run import to_dataset

    target = _free(output, overwrite=overwrite)
    shards = [Path(path) for path in paths]
    outcome = unite(shards, target, allow_gaps=allow_gaps, inputs=_source(inputs))
    return to_dataset(outcome.results)


def _source(inputs: Name | None) -> str | None:
    return None if inputs is None else os.fspath(inputs)


def _free(output: Name | None, *, overwrite: bool, others: Sequence[object] = ()) -> Any:
    """Return the path of a file that may be written; None stays None."""
    from .files.destination import claim

    if output is None:
        return None
    named = [other for other in others if isinstance(other, str | os.PathLike)]
    return claim(Path(output), overwrite=overwrite, replaces_results=True, others=named)


# --- the steps ----------------------------------------------------------------------------------


@dataclass(frozen=True)
class Plan:
    """A run for the devices that are here.

    Parameters
    ----------
    run
        The run.
    device_note
        Reason for the choice of the device, for the user; "" is none.
    chosen
        Whether the sampler was chosen and not named.
    """

    run: Run
    device_note: str
    chosen: bool

    def notes(self) -> list[str]:
        """Return notes for the user, to be read before the results.

        Options stand in backquotes, as in errors (`InputError.worded`).
        """
        from .runs.notes import notes

        found = notes(self.run, chosen=self.chosen)
        return [self.device_note, *found] if self.device_note else found


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
    return Plan(run, note, chosen=spec.sampler == "auto")


class Settings(TypedDict):
    """Checked options of the execution of a run (`simcore.execution.loop.Options`)."""

    threads: int
    scheduler: str | None
    checkpoint: float


def settings(
    *, threads: int | None = None, scheduler: str | None = None, checkpoint: float | None = None
) -> Settings:
    """Check options of the execution of a run, for `execute` and `resume_file`.

    Raises
    ------
    InputError
        If a value breaks a rule.
    """
    from .execution.dask.address import check_scheduler
    from .machine.cpus import resolve_threads

    if scheduler is not None:
        check_scheduler(scheduler)
    seconds = DEFAULTS.checkpoint if checkpoint is None else number("checkpoint", checkpoint)
    if not seconds > 0.0:
        remedy = "Give the seconds between two checkpoints."
        raise InputError("checkpoint", seconds, "must be above 0", remedy)
    return {"threads": resolve_threads(threads), "scheduler": scheduler, "checkpoint": seconds}
