"""The choice of a sampler for a run."""

from __future__ import annotations

from typing import TYPE_CHECKING

from simcore.physics.ensembles import ASYMMETRIC

if TYPE_CHECKING:
    from simcore.runs.run import Run

    from .contract import Sampler


def sampler_for(run: Run) -> Sampler:
    """Return the sampler of a run, on the device of the run."""
    if run.shared or run.sampler == "dense":
        if run.device == "cuda":
            from .batch.cuda import BatchCudaSampler, BatchGradientCudaSampler

            return BatchGradientCudaSampler(run) if run.gradients else BatchCudaSampler(run)
        from .batch.cpu import BatchGradientSampler, BatchSampler

        return BatchGradientSampler(run) if run.gradients else BatchSampler(run)
    if run.ensemble in ASYMMETRIC and run.device == "cuda":
        from .asymmetric.cuda import AsymmetricCudaSampler

        return AsymmetricCudaSampler(run)
    if run.ensemble in ASYMMETRIC:
        from .asymmetric.cpu import AsymmetricSampler

        return AsymmetricSampler(run)
    if run.device == "cuda":
        from .pair.cuda import PairCudaSampler, PairGradientCudaSampler

        return PairGradientCudaSampler(run) if run.gradients else PairCudaSampler(run)
    from .pair.cpu import PairGradientSampler, PairSampler

    return PairGradientSampler(run) if run.gradients else PairSampler(run)
