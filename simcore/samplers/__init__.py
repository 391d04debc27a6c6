"""The samplers: each draws independent networks and observes them layer by layer."""

from __future__ import annotations

from typing import TYPE_CHECKING

from simcore.physics.ensembles import ASYMMETRIC

if TYPE_CHECKING:
    from simcore.runs.run import Run

    from .contract import Sampler

__all__ = ["sampler_for"]


def sampler_for(run: Run) -> Sampler:
    """Return the sampler that a run names, on the device it names."""
    if run.shared or run.sampler == "dense":
        if run.device == "cuda":
            from .batch_cuda import BatchCudaSampler

            return BatchCudaSampler(run)
        from .batch import BatchSampler

        return BatchSampler(run)
    if run.ensemble in ASYMMETRIC and run.device == "cuda":
        from .asymmetric_cuda import AsymmetricCudaSampler

        return AsymmetricCudaSampler(run)
    if run.ensemble in ASYMMETRIC:
        from .asymmetric_cpu import AsymmetricSampler

        return AsymmetricSampler(run)
    if run.device == "cuda":
        from .pair_cuda import PairCudaSampler

        return PairCudaSampler(run)
    from .pair_cpu import PairSampler

    return PairSampler(run)
