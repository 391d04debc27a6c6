"""Infinite-width predictions for the simulated ensembles; imports nothing of the simulation."""

from __future__ import annotations

from .asymmetric import late_growth
from .asymmetric import norm_preserving_sigma_w as asymmetric_sigma_w
from .diffusion import DepthWidthLaw, sde
from .finite_width import FIRST_ORDER, FirstOrder, first_order, first_order_grid
from .fixed_points import FixedPoint, fixed_point, phase
from .gradients import GradientTrajectory, gradient_trajectory
from .law import Phase
from .meanfield import (
    Trajectory,
    correlation_map,
    dead_network,
    distance_map,
    trajectory,
)
from .population import PopulationTrajectory, population_trajectory

__all__ = [
    "FIRST_ORDER",
    "DepthWidthLaw",
    "FirstOrder",
    "FixedPoint",
    "GradientTrajectory",
    "Phase",
    "PopulationTrajectory",
    "Trajectory",
    "asymmetric_sigma_w",
    "correlation_map",
    "dead_network",
    "distance_map",
    "first_order",
    "first_order_grid",
    "fixed_point",
    "gradient_trajectory",
    "late_growth",
    "phase",
    "population_trajectory",
    "sde",
    "trajectory",
]
