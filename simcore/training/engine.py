"""Training of one group of networks at one rate, as one batched model."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np
import numpy.typing as npt
import torch

from .initial import Layers, draw_networks
from .jobs import Job, Trained
from .network import (
    accuracies,
    clip_gradients,
    dead_fractions,
    forward,
    freeze,
    losses,
    make_optimizer,
)
from .plan import Plan
from .tasks import Batches, Data, Samples, draw_data

Numbers = npt.NDArray[Any]

DIVERGED = 1e6
"""A network has diverged once its training loss is this many times the initial one, or not finite.

A network that learns nothing stays at the initial loss.
"""

SUBSET = 256
"""Samples at the head of the training set on which `train_loss` is computed."""


class Stopped(Exception):  # noqa: N818 - a request, not an error
    """Training was given up on request."""


def train_group(plan: Plan, job: Job, advance: Callable[[], None] = lambda: None) -> Trained:
    """Train the networks of a job, all at once.

    `advance` is called before each update; it raises `Stopped` to give the training up. InputError
    if the task has no data.
    """
    data = draw_data(plan, job.role, job.first, job.end)
    group = _Group(plan, job, data)
    recorder = _Recorder(plan, group, data) if job.role == "measured" else None
    due = set(plan.recorded)
    for step in range(plan.steps):
        if recorder is not None and step in due:
            recorder.record(step)
        advance()
        if not group.update(step):
            break
    if recorder is None:
        validation = group.validate(data.validation, plan.steps)
        return Trained(group.diverged_step, validation)
    recorder.record(plan.steps)
    return Trained(group.diverged_step, **recorder.results())


class _Group:
    """Networks that are trained together; those that diverge are frozen, the others continue."""

    def __init__(self, plan: Plan, job: Job, data: Data) -> None:
        sizes = [plan.fan_in, *[plan.width] * plan.depth, plan.outputs]
        owners = [(job.role, trial) for trial in range(job.first, job.end)]
        start = plan.start(job.ensemble)
        drawn = draw_networks(start, sizes, plan.seed, owners)
        self._slope = start.slope
        drawn[-1][0].mul_(plan.output_scale)
        self.layers: Layers = [
            (weight.to(plan.device).requires_grad_(), bias.to(plan.device).requires_grad_())
            for weight, bias in drawn
        ]
        self.diverged_step = np.full(len(owners), -1, dtype=np.int64)
        self._parameters = [tensor for layer in self.layers for tensor in layer]
        self._optimizer = make_optimizer(plan.optimizer, self._parameters, job.rate)
        self._batches = Batches(plan, job.role, job.first, job.end)
        self._train, self._clip = data.train, plan.clip
        inputs, targets = _subset(data.train)
        with torch.no_grad():
            initial = losses(self.forward(inputs), targets)
        self._limit = DIVERGED * initial.double().cpu().numpy()

    def forward(self, inputs: torch.Tensor) -> torch.Tensor:
        """Return the outputs of all networks."""
        return forward(self.layers, inputs, self._slope)

    def dead(self, inputs: torch.Tensor) -> Numbers:
        """Return the fractions of dead nodes by network and hidden layer."""
        return self.living(dead_fractions(self.layers, inputs, self._slope))

    def update(self, step: int) -> bool:
        """Make the next update; return False if no network is left that learns."""
        batch = self._batches.take(self._train)
        each = losses(self.forward(batch.inputs), batch.targets)
        self.judge(each.detach(), step)
        frozen = self._frozen()
        if len(frozen) == len(each):
            return False
        self._optimizer.zero_grad()
        each.sum().backward()  # type: ignore[no-untyped-call]
        if len(frozen):
            for parameter in self._parameters:
                parameter.grad[frozen] = 0.0  # type: ignore[index]
        if self._clip is not None:
            clip_gradients(self._parameters, self._clip)
        self._optimizer.step()
        return True

    def judge(self, values: torch.Tensor, step: int) -> None:
        """Freeze the networks whose training loss is that of a network that has diverged."""
        found = values.double().cpu().numpy()
        healthy = np.isfinite(found) & (found <= self._limit)
        fresh = ~healthy & (self.diverged_step < 0)
        if fresh.any():
            self.diverged_step[fresh] = step
            freeze(self._optimizer, self._frozen())

    @torch.no_grad()
    def validate(self, samples: Samples, step: int) -> Numbers:
        """Return the loss of samples that are not trained on, by network."""
        values = losses(self.forward(samples.inputs), samples.targets)
        self.judge(values, step)
        return self.living(values)

    def living(self, values: torch.Tensor) -> Numbers:
        """Return values by network, in float64, NaN for those that have diverged."""
        found: Numbers = values.double().cpu().numpy()
        found[self.diverged_step >= 0] = math.nan
        return found

    def _frozen(self) -> torch.Tensor:
        return torch.from_numpy(np.flatnonzero(self.diverged_step >= 0))


class _Recorder:
    """Follows a group on its test set and on a part of its training set."""

    def __init__(self, plan: Plan, group: _Group, data: Data) -> None:
        self._plan, self._group = plan, group
        self._test, self._train = data.test, _subset(data.train)
        shape = (len(data.test.targets), len(plan.recorded))
        names = ("loss", "train_loss", "accuracy")[: 3 if plan.classes else 2]
        self._found: dict[str, Numbers] = {name: np.full(shape, np.nan) for name in names}
        with torch.no_grad():
            self._found["dead_before"] = group.dead(self._test.inputs)

    @torch.no_grad()
    def record(self, step: int) -> None:
        """Record the losses, and the accuracy of classes, after so many updates."""
        column = self._plan.recorded.index(step)
        train = losses(self._group.forward(self._train.inputs), self._train.targets)
        self._group.judge(train, step)
        outputs = self._group.forward(self._test.inputs)
        values = {"loss": losses(outputs, self._test.targets), "train_loss": train}
        if self._plan.classes:
            values["accuracy"] = accuracies(outputs, self._test.targets)
        for name, each in values.items():
            self._found[name][:, column] = self._group.living(each)

    @torch.no_grad()
    def results(self) -> dict[str, Numbers]:
        """Return the arrays of `Trained` for measured networks."""
        return {**self._found, "dead_after": self._group.dead(self._test.inputs)}


def _subset(train: Samples) -> Samples:
    return Samples(train.inputs[:, :SUBSET], train.targets[:, :SUBSET])
