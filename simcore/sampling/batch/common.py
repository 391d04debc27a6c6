"""Facts of a run that the drivers of batches need on every device."""

from __future__ import annotations

from functools import cached_property

import numpy as np
import numpy.typing as npt

from simcore.physics.observables import GRADIENT_NAMES
from simcore.runs.costs import batch_columns
from simcore.runs.run import Run
from simcore.sampling.pair.physics import compiled_slopes

from .physics import Law, Pairing

Columns = npt.NDArray[np.float64]


class BatchFacts:
    """The laws, layers, pairs and inputs of a run with a shared network or explicit weights."""

    def __init__(self, run: Run) -> None:
        self.of_run = run
        self.laws = [Law.of(point, run.weights) for point in run.points]
        self.slopes = [compiled_slopes(point) for point in run.points]
        self.columns = batch_columns(run)
        self.pairs = run.pairs or 1
        first = range(self.pairs) if run.inputs is None else [a for a, _ in run.inputs.pairs]
        self.pairing = Pairing(
            np.array(first, dtype=np.int64), self.columns - self.pairs, run.batch, run.shared
        )
        second = [self.pairs + p for p in first] if run.inputs is None else run.inputs.pairs
        self.second = np.array(second, dtype=np.int64).reshape(self.pairs, -1)[:, -1]
        """The second input of each pair."""
        columns = run.columns
        back = np.array(columns.of_pairs(GRADIENT_NAMES * run.gradients), dtype=np.int64)
        self.back = back.reshape(self.pairs, -1)
        self.forward = np.setdiff1d(np.arange(columns.count), back)
        """Columns of the way back, (pair, GRADIENTS), and of the way forward."""

    @cached_property
    def inputs(self) -> tuple[Columns, Columns, Columns] | None:
        """The inputs of a file, (M, N₀), the residuals of the pairs, (P, N₀), and their κ, (P,).

        κ is the power of two nearest to the ratio of lengths, so that the shorter input keeps its
        digits in r. It is 1 where lengths are similar, and r is then the difference.
        """
        if self.of_run.inputs is None:
            return None
        inputs = self.of_run.inputs.load()
        first, second = np.array(self.of_run.inputs.pairs, dtype=np.int64).T
        length = np.sqrt(np.einsum("ij,ij->i", inputs, inputs))
        both = (length[first] > 0.0) & (length[second] > 0.0)
        share = np.divide(length[second], length[first], out=np.ones(first.size), where=both)
        mantissa, exponent = np.frexp(share)
        kappa = np.ldexp(1.0, exponent - (mantissa < np.sqrt(0.5))) * (length[second] > 0.0)
        return inputs, kappa[:, None] * inputs[first] - inputs[second], kappa

    def small_run(self, pairs: int, slopes: str | None, *, gradients: bool = False) -> Run:
        """Return a run of a layer of four nodes, or of two and back, with this run's kernels.

        `slopes` is one of `driver.activations`.
        """
        run = self.of_run
        return Run(
            depth=1 + gradients,
            gradients=gradients,
            width=(4,),
            ensemble=run.ensemble,
            k=run.k[:1],
            sigma_w=(1.0,),
            trials=1,
            keep=0,
            bins=1,
            sampler=run.sampler,
            shared_network=True,
            pairs=pairs,
            device=run.device,
            slopes=slopes,
        )
