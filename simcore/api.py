"""`simcore.simulate`, `resume` and `merge`: the commands from Python."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

from .errors import InputError
from .execution.progress import Report
from .inputs.input_set import InputSet
from .machine.gpu import automatic
from .runs.ensemble import Ensemble
from .runs.limits import DEFAULTS
from .runs.run import Run

if TYPE_CHECKING:
    import xarray as xr

__all__ = ["merge", "resume", "simulate"]

T = TypeVar("T", int, float)
Integers = int | Sequence[int]
Numbers = float | Sequence[float]


def simulate(
    ensemble: Ensemble | Run,
    *,
    width: Integers | None = None,
    depth: int | None = None,
    correlation: Numbers | None = None,
    distance: Numbers | None = None,
    q0: Numbers = DEFAULTS.q0,
    pairs: int | str | None = None,
    shared_network: bool = False,
    inputs: str | os.PathLike[str] | None = None,
    weights: str = "normal",
    sampler: str = "auto",
    trials: int | None = None,
    until_stderr: float | None = None,
    seed: int = DEFAULTS.seed,
    device: str = "auto",
    layer_widths: Sequence[int] | None = None,
    output: str | os.PathLike[str] | None = None,
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
    width, depth
        Nodes of a layer and number of layers. Several widths make a dimension.
    correlation, distance
        Initial overlap c₀ of the pair (0.5 if left out), or 1 − c₀. Several make a dimension.
    q0
        Mean square |x|²/N₀ of each input.
    shared_network, pairs
        Whether several random pairs go through one network, and how many: a dimension ``pair``,
        along which `correlation` or `distance` may give each its overlap.
    inputs
        File of inputs (.npy, .npz, .h5, .csv; rows are inputs; FILE:DATASET names an array in it)
        that go through one network instead of random pairs. `pairs` then says how many pairs of
        them are followed, drawn by the seed, or names a file that lists them.
    weights
        Law of the weights, such as ``"uniform"`` or ``"student:5"`` (`Run.weights`).
    sampler
        ``"auto"``, ``"gram"`` or ``"dense"`` (`Run.sampler`).
    trials
        Independent networks per point; 1000 if left out, and 10⁶ with `until_stderr`.
    until_stderr
        Standard error of the mean correlation at which a point ends, at every layer and pair;
        looked at after 256, 512, 1024, … trials. `trials` then is the most that a point may have.
    seed
        The same seed gives the same bytes.
    device
        ``"cpu"``, ``"cuda"``, or ``"auto"``: cuda where this machine allows it and no
        `scheduler` is named, else cpu.
    layer_widths
        A width for each layer, instead of `width`.
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
    from .execution.execute import execute
    from .machine.cpus import resolve_threads
    from .machine.memory import check_memory
    from .results.open_run import to_dataset

    if isinstance(ensemble, Run):
        run = ensemble
        given: dict[str, object] = {
            "width": width,
            "depth": depth,
            "trials": trials,
            "until_stderr": until_stderr,
        }
        given["device"] = None if device == "auto" else device
        for name, value in given.items():
            if value is not None:
                remedy = "Give the Run alone, or an Ensemble."
                raise InputError(name, value, "is part of the Run", remedy)
    else:
        if depth is None:
            raise InputError("depth", "none", "is missing", "Give the number of layers.")
        run = Run(
            depth=depth,
            width=() if width is None else _several(width),
            layer_widths=None if layer_widths is None else tuple(layer_widths),
            ensemble=ensemble.name,
            k=(float(ensemble.k),),
            sigma_w=_scale(ensemble.sigma_w),
            sigma_b=None if ensemble.sigma_b is None else (float(ensemble.sigma_b),),
            correlation=None if correlation is None else _several(correlation),
            distance=None if distance is None else _several(distance),
            q0=_several(q0),
            trials=_trials(trials, until_stderr),
            until_stderr=until_stderr,
            seed=seed,
            sampler=sampler,
            weights=weights,
            device="cpu" if device == "auto" else device,
            **_batch(inputs, pairs, shared_network, seed),
        )
        if device == "auto" and scheduler is None:
            run, _ = automatic(run)
    path = None if output is None else Path(output)
    if path is not None and path.exists() and not overwrite:
        raise InputError("output", path, "exists already", "Pass overwrite=True or another name.")
    check_memory(run, resolve_threads(threads))
    outcome = execute(run, output=path, threads=threads, scheduler=scheduler, report=report)
    return to_dataset(outcome.results)


def resume(
    path: str | os.PathLike[str],
    *,
    trials: int | None = None,
    inputs: str | os.PathLike[str] | None = None,
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
    from .execution.execute import resume as go_on
    from .results.open_run import to_dataset

    outcome = go_on(
        Path(path),
        trials=trials,
        inputs=None if inputs is None else os.fspath(inputs),
        device=device,
        threads=threads,
        scheduler=scheduler,
        report=report,
    )
    return to_dataset(outcome.results)


def merge(
    paths: Sequence[str | os.PathLike[str]],
    output: str | os.PathLike[str],
    *,
    allow_gaps: bool = False,
    inputs: str | os.PathLike[str] | None = None,
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

    target = Path(output)
    if target.exists() and not overwrite:
        raise InputError("output", target, "exists already", "Pass overwrite=True or another name.")
    outcome = unite(
        [Path(path) for path in paths],
        target,
        allow_gaps=allow_gaps,
        inputs=None if inputs is None else os.fspath(inputs),
    )
    return to_dataset(outcome.results)


def _trials(trials: int | None, target: float | None) -> int:
    if trials is not None:
        return trials
    return DEFAULTS.trials if target is None else DEFAULTS.most_trials


def _scale(value: float | str | None) -> tuple[float, ...] | str | None:
    return value if value is None or isinstance(value, str) else (float(value),)


def _batch(
    inputs: str | os.PathLike[str] | None, pairs: int | str | None, shared: bool, seed: int
) -> dict[str, Any]:
    """Return the arguments of `Run` about what goes through one network."""
    if inputs is not None:
        return {"inputs": InputSet.read(os.fspath(inputs), pairs=pairs, seed=seed)}
    if isinstance(pairs, str):
        rule = "is a list of pairs of inputs from a file"
        raise InputError("pairs", pairs, rule, "Give inputs, too, or a number.")
    return {"shared_network": shared, "pairs": pairs}


def _several(values: T | Sequence[T]) -> tuple[T, ...]:
    return tuple(values) if isinstance(values, Sequence) else (values,)
