"""Helper of the tests of all samplers: observables of single trials, straight from a sampler."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from simcore.physics.observables import NAMES, NETWORK
from simcore.runs.run import Run
from simcore.sampling.choose import sampler_for
from simcore.sampling.contract import Signals
from simcore.sampling.driver import BlockSampler

Floats = npt.NDArray[np.float64]


def sample(run: Run, trials: int, *, first_trial: int = 0) -> dict[str, Floats]:
    """Take trials of the first point of a run through all its layers.

    Returns
    -------
    dict
        Observables of a pair, shape (trial, layer), or (trial, pair, layer) in a shared network;
        those of the network, shape (trial, layer), `activation_rate` (trial, layer, bin).
    """
    sampler = sampler_for(run)
    assert isinstance(sampler, BlockSampler)
    rows = np.empty((trials, run.depth, run.columns.count))
    signals = Signals.sharing()
    carried = sampler.carry(0, sampler.places(0, trials))
    sampler.advance(0, first_trial, 0, carried, rows, signals)
    found = {}
    for name in NAMES:
        of_pairs = rows[:, :, run.columns.of(name)]
        found[name] = np.moveaxis(of_pairs, 2, 1) if run.shared else of_pairs[:, :, 0]
    for observable in NETWORK * run.shared:
        of_network = rows[:, :, run.columns.of(observable.name)]
        found[observable.name] = of_network if observable.rates else of_network[:, :, 0]
    return found
