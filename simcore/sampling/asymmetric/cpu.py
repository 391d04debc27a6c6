"""Driver of the pair sampler of `rai` and `raai` on the CPU."""

from __future__ import annotations

import numpy as np

from simcore.runs.run import Run
from simcore.sampling.contract import Signals
from simcore.sampling.driver import BlockSampler, Floats
from simcore.sampling.pair.physics import Physics

from . import cpu_kernels as asymmetric


class AsymmetricSampler(BlockSampler):
    """The pair sampler of the asymmetric ensembles on the CPU (`contract.Sampler`)."""

    node_seconds, layer_seconds = 7e-9, 1e-6

    def __init__(self, run: Run) -> None:
        super().__init__(run)
        self.physics = [Physics.of(point) for point in run.points]

    def prepare(self) -> None:
        """Compile the kernels, or load them from the cache, by running one trial."""
        run = Run(depth=1, width=(1,), ensemble="rai", trials=1, keep=0, bins=1)
        tiny = AsymmetricSampler(run)
        carried, signals = tiny.carry(0, 1), Signals.sharing()
        tiny.advance(0, 0, 0, carried, np.empty((1, 1, run.columns.count)), signals)

    def carried_bytes(self, point: int) -> int:
        """Return the size of what one trial carries: its state and its activations."""
        return 8 * (asymmetric.HEAD + asymmetric.PARTS * (self.nodes(point) + 1))

    def advance(
        self,
        point: int,
        first_trial: int,
        layer0: int,
        carried: Floats,
        rows: Floats,
        signals: Signals,
    ) -> None:
        """Take trials through layers, with a place in `carried` for each or one for all."""
        sizes, watched = (self.fan_ins[point], self.widths[point]), (signals.stop, signals.progress)
        physics = self.physics[point]
        asymmetric.advance(physics, *sizes, first_trial, layer0, carried, rows, *watched)
