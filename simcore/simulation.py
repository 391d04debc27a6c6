"""`simcore.simulate`: the main job from Python."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

from .dataset import InputSet
from .ensembles import Ensemble
from .errors import InputError
from .plan import DEFAULTS, Run
from .progress import Report

if TYPE_CHECKING:
    import xarray as xr

__all__ = ["simulate"]

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
    trials: int = DEFAULTS.trials,
    seed: int = DEFAULTS.seed,
    layer_widths: Sequence[int] | None = None,
    output: str | os.PathLike[str] | None = None,
    overwrite: bool = False,
    threads: int | None = None,
    report: Report | None = None,
) -> xr.Dataset:
    """Simulate pairs of signals, or many inputs, through independent networks.

    Parameters
    ----------
    ensemble
        The law of the weights; or a whole `Run`, for grids over k, σ_w and σ_b and for options that
        are not listed here. With a `Run` only the last four parameters may be given.
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
    trials, seed
        Independent networks per point, and the seed: the same seed gives the same bytes.
    layer_widths
        A width for each layer, instead of `width`.
    output
        File to write, readable by `open_run`; None keeps the results in memory.
    overwrite
        Whether an existing `output` may be replaced.
    threads
        Threads to use; None is what the machine grants this process.
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
    OutputError
        If the file can't be written.

    Examples
    --------
    >>> import simcore
    >>> ensemble = simcore.Ensemble.correlated(k=1.0)
    >>> ds = simcore.simulate(ensemble, width=64, depth=5, trials=128)
    >>> ds.correlation.dims
    ('layer',)
    """
    from .analysis import to_dataset
    from .memory import check_memory
    from .run import execute
    from .threads import resolve_threads

    if isinstance(ensemble, Run):
        run = ensemble
        if width is not None or depth is not None:
            raise InputError(
                "width", width, "is part of the Run", "Give the Run alone, or an Ensemble."
            )
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
            trials=trials,
            seed=seed,
            sampler=sampler,
            weights=weights,
            **_batch(inputs, pairs, shared_network, seed),
        )
    path = None if output is None else Path(output)
    if path is not None and path.exists() and not overwrite:
        raise InputError("output", path, "exists already", "Pass overwrite=True or another name.")
    check_memory(run, resolve_threads(threads))
    outcome = execute(run, output=path, threads=threads, report=report)
    return to_dataset(outcome.run, outcome.points)


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
