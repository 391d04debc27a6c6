"""`simcore.simulate`, `resume`, `merge` and `save`.

Importing this module loads nothing heavy.
"""

from __future__ import annotations

import os
import warnings
from collections.abc import Mapping, Sequence
from dataclasses import fields
from pathlib import Path
from typing import TYPE_CHECKING, Any

from .api import Report, RunSpec, plan, settings
from .errors import InputError, SimcoreWarning, one_line, spelled
from .physics.parameters import number, several

if TYPE_CHECKING:
    import xarray as xr
    from numpy.typing import ArrayLike

    from .runs.ensemble import Ensemble
    from .runs.run import Run

REAL = ("k", "sigma_w", "sigma_b", "negative_slope", "correlation", "distance", "q0")
"""Parameters of real values."""

Name = str | os.PathLike[str]


def simulate(
    ensemble: Ensemble | Run | str | None = None,
    *,
    width: ArrayLike | None = None,
    depth: float | None = None,
    layer_widths: Sequence[int] | None = None,
    like: str | None = None,
    k: ArrayLike | None = None,
    sigma_w: ArrayLike | None = None,
    sigma_b: ArrayLike | None = None,
    correlation: ArrayLike | None = None,
    distance: ArrayLike | None = None,
    q0: ArrayLike | None = None,
    shared_network: bool | None = None,
    pairs: Any = None,
    inputs: Any = None,
    trials: float | None = None,
    until_stderr: float | str | None = None,
    first_trial: int | None = None,
    keep: int | None = None,
    bins: int | None = None,
    controls: str | bool | None = None,
    gradients: bool | None = None,
    seed: int | None = None,
    sampler: str | None = None,
    weights: str | None = None,
    slopes: str | Sequence[float] | None = None,
    negative_slope: ArrayLike | None = None,
    device: str | None = None,
    threads: int | None = None,
    scheduler: str | None = None,
    checkpoint: float | None = None,
    output: Name | None = None,
    overwrite: bool = False,
    progress: bool = False,
    report: Report | None = None,
) -> xr.Dataset:
    """Simulate pairs of signals, or many inputs, through independent networks.

    The parameters are the options of the command line, in its order.

    Parameters
    ----------
    ensemble
        The law of the weights, by its name or as an `Ensemble`; left out, it is ``"correlated"``
        where `k` is given, else ``"he"``. Or a whole `Run`: then only those from `threads` on may
        be given.
    width, depth, layer_widths, like, k, sigma_w, sigma_b, correlation, distance, q0, \
shared_network, pairs, inputs, trials, until_stderr, first_trial, keep, bins, controls, \
gradients, seed, sampler, weights, slopes, negative_slope
        As for `Run`, which has their defaults. Several widths, k, σ_w, σ_b, negative slopes,
        correlations, distances or q0, in a list, a range or an array, make a dimension each.
        `inputs` is a file, or a matrix in memory whose rows are inputs: an array, a tensor or a
        table of any library.
    device
        ``"cpu"``, ``"cuda"``, or ``"auto"``, the default: a GPU for large runs, where one of its
        kind has passed the tests; else the CPU (docs/devices.md).
    threads
        Threads to use; None is what the machine grants this process.
    scheduler
        A Dask cluster to use instead: an address, a scheduler file, or ``"local:N"`` for N
        processes of this machine.
    checkpoint
        Seconds between two checkpoints of the file.
    output
        File to write, readable by `open_run`; None keeps the results in memory. Ctrl-C then ends
        the run, and what it has is returned, incomplete; `save` writes it.
    overwrite
        Whether an existing `output` may be replaced.
    progress
        Whether to show a bar, in a terminal or a notebook.
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
    >>> ds = simcore.simulate("correlated", width=64, depth=5, k=[0, 1], trials=128)
    >>> ds.correlation.dims
    ('k', 'layer')
    """
    given = locals()
    from .execution.live import shown
    from .results.held import in_memory, to_file

    names = {field.name for field in fields(RunSpec)} - {"ensemble"}
    options = {name: x for name, x in given.items() if name in names and x is not None}
    checked = settings(threads=threads, scheduler=scheduler, checkpoint=checkpoint)
    run = _run_of(ensemble, options, scheduler)
    path = _free(output, overwrite=overwrite, others=(inputs, pairs))
    from .machine.memory import check_memory

    check_memory(run, checked["threads"])
    with shown(report, bar=progress) as told:
        if path is None:
            return in_memory(run, report=told, **checked)
        return to_file(run, path, report=told, **checked)


def _run_of(ensemble: object, options: dict[str, Any], scheduler: str | None) -> Run:
    """Return the run of an ensemble, or of its name, with options; or a run as it is."""
    from .runs.run import Run

    if isinstance(ensemble, Run):
        _refuse(options, "the Run", "Give the Run alone, or an Ensemble with them.")
        return ensemble
    if ensemble is None or isinstance(ensemble, str):
        law: dict[str, Any] = {"ensemble": ensemble}
    else:
        law = _law(ensemble)
        parts = (
            "k",
            "sigma_w",
            "sigma_b",
            *(("slopes", "negative_slope") if "slopes" in law else ()),
        )
        own = {name: x for name, x in options.items() if name in parts}
        remedy = f'Give the name of the ensemble with them: "{law["ensemble"]}".'
        _refuse(own, "the Ensemble", remedy)
    spec = RunSpec(**{**law, "device": "auto", **options, **_floats(options)})
    planned = plan(spec, scheduler=scheduler)
    if planned.warning:
        warnings.warn(spelled(planned.warning), SimcoreWarning, stacklevel=3)
    return planned.run


def _floats(options: Mapping[str, Any]) -> dict[str, Any]:
    """Return parameters as the command line has them: a configuration tells 1 from 1.0."""
    given = {name: x for name, x in options.items() if name in REAL and not isinstance(x, str)}
    return {
        name: tuple(float(number(name, x)) for x in several(values))
        for name, values in given.items()
    }


def _refuse(options: Mapping[str, Any], owner: str, remedy: str) -> None:
    if options:
        rule = f"is part of {owner}" if len(options) == 1 else f"are part of {owner}"
        shown = ", ".join(map(one_line, options.values()))
        raise InputError(", ".join(options), shown, rule, remedy)


def _law(ensemble: object) -> dict[str, Any]:
    from .runs.ensemble import checked

    law = checked(ensemble)
    numbers = {"k": law.k, "sigma_w": law.sigma_w, "sigma_b": law.sigma_b}
    given = {name: x for name, x in numbers.items() if x is not None}
    # The samplers have no truncated normal law, which differs from a normal one at order 1/N.
    weights = "normal" if law.weights == "truncated" else law.weights
    slopes = {} if law.slopes is None else {"slopes": law.slopes}
    return {"ensemble": law.name, "weights": weights, **slopes, **given, **_floats(given)}


def resume(
    path: Name,
    *,
    trials: int | None = None,
    inputs: Any = None,
    device: str | None = None,
    threads: int | None = None,
    scheduler: str | None = None,
    progress: bool = False,
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
        Where the inputs of the run are now, if they were moved; those that were in memory are
        given again.
    device
        The run's own kind of device, or None: no other is allowed.
    threads, scheduler, progress, report
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
    from .execution.live import shown
    from .results.open_run import to_dataset

    checked = settings(threads=threads, scheduler=scheduler)
    with shown(report, bar=progress) as told:
        outcome = resume_file(
            Path(path), trials=trials, inputs=inputs, device=device, report=told, **checked
        )
    return to_dataset(outcome.results)


def merge(
    paths: Sequence[Name],
    output: Name,
    *,
    allow_gaps: bool = False,
    inputs: Any = None,
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
    outcome = unite(shards, target, allow_gaps=allow_gaps, inputs=inputs)
    return to_dataset(outcome.results)


def save(dataset: xr.Dataset, path: Name, *, overwrite: bool = False) -> Path:
    """Write a Dataset that `simulate` kept in memory as the file of its run.

    The file is the one that `simulate` would have written at once: `info`, `resume`, `merge` and
    all others take it.

    Parameters
    ----------
    dataset
        The Dataset, whole and unchanged.
    path
        The file to write.
    overwrite
        Whether an existing file may be replaced.

    Returns
    -------
    Path
        The file.

    Raises
    ------
    InputError
        If the Dataset is not what `simulate` returned, or the file exists.
    OutputError
        If the file can't be written.
    """
    from .results.held import write

    target = _free(path, overwrite=overwrite)
    write(dataset, target)
    return Path(target)


def _free(output: Name | None, *, overwrite: bool, others: Sequence[object] = ()) -> Any:
    """Return the path of a file that may be written; None stays None."""
    from .files.destination import claim

    if output is None:
        return None
    named = [other for other in others if isinstance(other, str | os.PathLike)]
    return claim(Path(output), overwrite=overwrite, replaces_results=True, others=named)
