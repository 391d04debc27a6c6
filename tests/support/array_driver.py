"""Batches as array code on the host: random numbers of the CPU, NumPy or a strict namespace."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from simcore.numerics.rng import ROOM, Stream
from simcore.physics.observables import NAMES, NETWORK
from simcore.runs.run import Run
from simcore.sampling.batch import arrays as batch_arrays
from simcore.sampling.batch import arrays_back
from simcore.sampling.batch import draws as batch_draws
from simcore.sampling.batch.array_death import add_hazards
from simcore.sampling.batch.cpu import BatchGradientSampler, BatchSampler
from simcore.sampling.batch.physics import Law
from simcore.sampling.contract import Signals
from simcore.sampling.variates import fill_choices, fill_variates

Floats = npt.NDArray[np.float64]


@dataclass
class HostSource:
    """Draws of the CPU (`batch_arrays.Source`), as arrays of a namespace."""

    law: Law
    first_trial: int
    trials: int
    xp: Any = np

    def variates(
        self, law: int, parameter: float, stream: int, rows: range, columns: int, layer: int
    ) -> Any:
        out = np.empty((self.trials, len(rows), columns), dtype=np.float32)
        words, key = np.empty((4, ROOM), dtype=np.uint32), (self.law.key0, self.law.key1)
        for t in range(self.trials):
            for i, row in enumerate(rows):
                place = (np.uint64(stream), row, self.first_trial + t, layer, *key)
                fill_variates(out[t, i], law, parameter, words, *place)
        return self.xp.asarray(out)

    def choices(self, nodes: int, n: int, layer: int) -> Any:
        index = np.empty((self.trials, nodes), dtype=np.int64)
        beta, words = np.empty((self.trials, nodes)), np.empty((4, ROOM), dtype=np.uint32)
        for t in range(self.trials):
            place = (np.uint64(Stream.REPLACEMENT), self.first_trial + t, layer)
            fill_choices(index[t], beta[t], n, *place, self.law.key0, self.law.key1, words)
        return self.xp.asarray(index), self.xp.asarray(beta)


class Strict:
    """array-api-strict, and beyond the standard only what `batch_arrays` says that it needs."""

    def __init__(self) -> None:
        import array_api_strict

        self._xp: Any = array_api_strict
        self.linalg = self

    def __getattr__(self, name: str) -> Any:
        return getattr(self._xp, name)

    def ldexp(self, a: Any, exponent: Any) -> Any:
        return self.asarray(np.ldexp(np.asarray(a), np.asarray(exponent)))

    def frexp(self, a: Any) -> Any:
        return tuple(self.asarray(part) for part in np.frexp(np.asarray(a)))

    def qr(self, a: Any, mode: str) -> Any:
        assert mode == "raw"
        return tuple(self.asarray(part) for part in np.linalg.qr(np.asarray(a), mode="raw"))

    def solve(self, a: Any, b: Any) -> Any:
        return self._xp.linalg.solve(a, b)


def array_rows(
    run: Run,
    trials: int,
    *,
    first_trial: int = 0,
    dtype: Any = np.float32,
    tile: int = 7,
    xp: Any = np,
) -> Floats:
    """Return the observables of trials of a run's first point by array code.

    Products have the type `dtype`, of as many nodes at a time as `tile` says.

    Returns
    -------
    ndarray
        Shape (trial, layer, column).
    """
    cpu = BatchSampler(run)
    law, slopes, point = cpu.laws[0], cpu.slopes[0], run.points[0]
    pairing = cpu.pairing
    pairs = batch_arrays.Pairs(xp.asarray(pairing.first), *pairing[1:])
    source = HostSource(law, first_trial, trials, xp)
    if cpu.inputs is None:
        distances = xp.asarray(np.array(point.distances))
        group = batch_arrays.start_pairs(xp, source, trials, point.inputs_n, point.q0, distances)
    else:
        group = batch_arrays.start_inputs(xp, trials, *map(xp.asarray, cpu.inputs))
    step = batch_draws.dense_layer if run.sampler == "dense" else batch_draws.gram_layer
    kind = xp.float32 if dtype == np.float32 else xp.float64
    rows, kept, active, second = [], [], None, xp.asarray(cpu.second)
    with np.errstate(over="ignore"):
        for layer, width in enumerate(cpu.widths[0].tolist(), 1):
            reads = arrays_back.lengths(xp, slopes, pairs, second, group, active)
            n = group.signals.shape[-1]
            group, h, factors = step(xp, law, pairs, group, source, layer, width, tile, kind)
            active = arrays_back.active_nodes(xp, pairs, group, h)
            kept.append(arrays_back.Kept(layer, n, tile, active, reads, factors))
            if run.columns.hazards and not batch_arrays.leaks(slopes):
                group = add_hazards(xp, law, pairs, group, layer, width)
            group, row = batch_arrays.finish_layer(xp, slopes, pairs, group, h, run.columns)
            rows.append(np.asarray(row))
        made = np.empty((trials, run.depth, run.columns.count))
        made[:, :, cpu.forward] = np.stack(rows, axis=1)
    if run.gradients:
        with np.errstate(over="ignore", invalid="ignore"):
            back = arrays_back.go_back(xp, law, slopes, pairs, source, kept, second, kind)
        made[:, :, cpu.back] = np.asarray(back)
    return made


def cpu_rows(run: Run, trials: int, *, first_trial: int = 0) -> Floats:
    """Return the same by the CPU sampler."""
    cpu = BatchGradientSampler(run) if run.gradients else BatchSampler(run)
    rows = np.empty((trials, run.depth, run.columns.count))
    signals = Signals.sharing()
    cpu.advance(0, first_trial, 0, cpu.carry(0, 1), rows, signals)
    return rows


def named(run: Run, rows: Floats) -> dict[str, Floats]:
    """Return observables of shared networks by name, as `network_driver.sample` does."""
    found = {}
    for name in NAMES:
        found[name] = np.moveaxis(rows[:, :, run.columns.of(name)], 2, 1)
    for observable in NETWORK:
        of_network = rows[:, :, run.columns.of(observable.name)]
        found[observable.name] = of_network if observable.rates else of_network[:, :, 0]
    return found
