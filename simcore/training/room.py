"""How much memory training takes, and whether there is as much."""

from __future__ import annotations

from itertools import pairwise

from ..errors import InputError
from ..memory import SHARE, available_bytes
from .plan import TEST_IMAGES, VALIDATION, Plan

__all__ = ["check_room", "training_bytes"]

WEIGHT_COPIES = 6
"""Weights, gradients, up to two numbers of an optimizer, and the float64 that they are drawn in."""

NODE_COPIES = 3
"""Activations, their gradients, and what an operation needs on the way."""


def training_bytes(plan: Plan, groups: int) -> int:
    """Return about how many bytes it takes to train some groups at once, PyTorch's own apart."""
    networks = max(plan.group, plan.pilots)
    sizes = [plan.fan_in, *[plan.width] * plan.depth, plan.outputs]
    weights = sum((n + 1) * m for n, m in pairwise(sizes))
    tested = TEST_IMAGES if plan.classes else VALIDATION
    nodes = max(plan.batch * sum(sizes), tested * max(sizes))
    data = 3 * (plan.samples + 2 * tested) * (plan.fan_in + 1)
    network = 4 * (WEIGHT_COPIES * weights + NODE_COPIES * nodes + data)
    return groups * networks * network


def check_room(plan: Plan, threads: int) -> None:
    """Raise InputError if training needs more memory than there is; a GPU's is not looked at."""
    room = available_bytes()
    groups = threads if plan.device == "cpu" else 0
    if room is None or training_bytes(plan, groups) <= SHARE * room:
        return
    need = training_bytes(plan, groups)
    rule = f"needs about {need / 1e9:.3g} GB of memory, {room / 1e9:.3g} GB are free"
    remedy = "Take a smaller width, depth or training set, or fewer threads."
    raise InputError("width", plan.width, rule, remedy)
