"""Memory that training takes, compared with the memory that is free."""

from __future__ import annotations

import math
from itertools import pairwise

from simcore.machine.memory import SHARE, available_bytes

from ..errors import InputError
from .plan import DIGIT_IMAGES, VALIDATION, Digits, Plan, TeacherStudent

WEIGHT_COPIES = 6
"""Weights, gradients, up to two numbers of an optimizer, and the float64 that they are drawn in."""

NODE_COPIES = 3
"""Activations, their gradients, and intermediate values."""

TEACHER_COPIES = 2
"""Weights as drawn and as used; activations of a layer and of the one before."""

REMEDY = "Take a smaller width, depth or training set, or fewer threads."


def training_bytes(plan: Plan, groups: int) -> int:
    """Return about how many bytes it takes to train some groups at once.

    PyTorch itself and teachers are not counted.
    """
    networks = max(plan.group, plan.pilots)
    sizes = [plan.fan_in, *[plan.width] * plan.depth, plan.outputs]
    tested, samples = VALIDATION, plan.samples + 2 * VALIDATION
    if isinstance(plan, Digits):
        samples = DIGIT_IMAGES[plan.pixels]
        tested = samples - plan.samples
    nodes = max(plan.batch * sum(sizes), tested * max(sizes))
    data = 3 * samples * (plan.fan_in + 1)
    network = 4 * (WEIGHT_COPIES * _weights(sizes) + NODE_COPIES * nodes + data)
    return groups * networks * network


def teacher_bytes(plan: Plan) -> int:
    """Return about how many bytes it takes to ask a teacher, in float64, for all samples."""
    if not isinstance(plan, TeacherStudent):
        return 0
    sizes = [plan.inputs, *[plan.teacher_width or 0] * (plan.teacher_depth or 0), 1]
    answers = (plan.samples + 2 * VALIDATION) * max(sizes)
    return 8 * TEACHER_COPIES * (_weights(sizes) + answers)


def _weights(sizes: list[int]) -> int:
    return sum((n + 1) * m for n, m in pairwise(sizes))


def check_room(plan: Plan, threads: int) -> None:
    """Raise InputError if training needs more memory than is free; that of a GPU is not checked."""
    room = available_bytes()
    # The CPU trains at most as many groups at once as there are jobs.
    jobs = len(plan.ensembles) * max(len(plan.grid), math.ceil(plan.seeds / plan.group))
    groups = min(threads, jobs) if plan.device == "cpu" else 1
    students = training_bytes(plan, groups) if plan.device == "cpu" else 0
    need = students + groups * teacher_bytes(plan)
    if need <= SHARE * room:
        return
    rule = f"needs about {need / 1e9:.3g} GB of memory, and {room / 1e9:.3g} GB are free"
    if isinstance(plan, TeacherStudent) and students <= SHARE * room:
        remedy = "Take a smaller teacher or training set, or fewer threads."
        raise InputError("teacher_width", plan.teacher_width, rule, remedy)
    raise InputError("width", plan.width, rule, REMEDY)


def is_memory_error(error: RuntimeError) -> bool:
    """Return True if PyTorch reports by an error that a GPU or the host is out of memory."""
    import torch

    return isinstance(error, torch.OutOfMemoryError) or "allocate memory" in str(error)


def no_room(plan: Plan) -> InputError:
    """Return the error for a lack of memory in the course of training."""
    rule = f"needs more memory than the {'GPU' if plan.device == 'cuda' else 'machine'} has left"
    return InputError("width", plan.width, rule, REMEDY)
