"""Infinite-width predictions for the simulated ensembles; imports nothing of the simulation."""

from __future__ import annotations

from .law import Phase
from .meanfield import (
    FixedPoint,
    Trajectory,
    correlation_map,
    dead_network,
    distance_map,
    fixed_point,
    phase,
    trajectory,
)

__all__ = [
    "FixedPoint",
    "Phase",
    "Trajectory",
    "correlation_map",
    "dead_network",
    "distance_map",
    "fixed_point",
    "phase",
    "trajectory",
]
