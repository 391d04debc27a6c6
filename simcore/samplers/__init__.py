"""The samplers: each draws independent networks and observes them layer by layer."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from ..plan import Run
    from .contract import Sampler

__all__ = ["sampler_for"]


def sampler_for(run: Run) -> Sampler:
    """Return the sampler that a run names, on the device it names."""
    from .pair_cpu import PairSampler

    return PairSampler(run)
