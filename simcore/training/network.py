"""Many networks as one batched model: forward pass, losses, dead units, optimizers.

Every operation acts on each network apart, so that what becomes of one never touches another.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch

from .initial import Layers

__all__ = ["OPTIMIZERS", "Optimizer", "accuracies", "dead_fractions", "forward", "losses"]


def forward(layers: Layers, inputs: torch.Tensor) -> torch.Tensor:
    """Return the outputs (networks, samples, outputs) for inputs (networks, samples, fan-in)."""
    x = inputs
    for weight, bias in layers[:-1]:
        x = torch.baddbmm(bias, x, weight).relu_()
    weight, bias = layers[-1]
    if weight.shape[2] > 1:
        return torch.baddbmm(bias, x, weight)
    # Products with a single column are rounded differently for one network and for several, and
    # training amplifies that wherever a node is about to become active.
    return (x * weight.transpose(1, 2)).sum(2, keepdim=True) + bias


def losses(outputs: torch.Tensor, targets: torch.Tensor) -> torch.Tensor:
    """Return each network's mean loss over samples, shape (networks,).

    Parameters
    ----------
    outputs
        As from `forward`.
    targets
        Numbers, for the mean squared error; or classes (int64), for the cross entropy. Shape
        (networks, samples).
    """
    if targets.dtype == torch.int64:
        logs = torch.log_softmax(outputs, dim=2)
        return -logs.gather(2, targets.unsqueeze(2)).mean((1, 2))
    return (outputs.squeeze(2) - targets).square().mean(1)


def accuracies(outputs: torch.Tensor, classes: torch.Tensor) -> torch.Tensor:
    """Return the fraction of samples whose largest output is that of their class."""
    return (outputs.argmax(2) == classes).double().mean(1)


def dead_fractions(layers: Layers, inputs: torch.Tensor) -> torch.Tensor:
    """Return the fraction of each hidden layer's nodes with h ≤ 0 for every input.

    Returns
    -------
    Tensor
        Shape (networks, hidden layers), float64.
    """
    x, found = inputs, []
    for weight, bias in layers[:-1]:
        x = torch.baddbmm(bias, x, weight).relu_()
        found.append((x.amax(1) <= 0.0).double().mean(1))
    return torch.stack(found, dim=1)


class Optimizer:
    """Updates parameters in place as `torch.optim` would, and forgets networks that are frozen.

    Parameters
    ----------
    parameters
        Tensors with the networks along the first axis.
    rate
        The learning rate.
    """

    def __init__(self, parameters: Sequence[torch.Tensor], rate: float) -> None:
        self.parameters = parameters
        self.rate = rate
        self.state: list[torch.Tensor] = []

    def step(self, gradients: Sequence[torch.Tensor]) -> None:
        """Update all parameters, and what is remembered of earlier gradients."""
        raise NotImplementedError

    def freeze(self, networks: torch.Tensor) -> None:
        """Forget the past of some networks: with gradients of 0 they then stay as they are."""
        for remembered in self.state:
            remembered[networks] = 0.0


class _Sgd(Optimizer):
    """Plain gradient descent."""

    def step(self, gradients: Sequence[torch.Tensor]) -> None:
        for parameter, gradient in zip(self.parameters, gradients, strict=True):
            parameter.add_(gradient, alpha=-self.rate)


class _Momentum(Optimizer):
    """Gradient descent with momentum 0.9, neither damped nor Nesterov's."""

    def __init__(self, parameters: Sequence[torch.Tensor], rate: float) -> None:
        super().__init__(parameters, rate)
        self.state = [torch.zeros_like(parameter) for parameter in parameters]

    def step(self, gradients: Sequence[torch.Tensor]) -> None:
        for parameter, gradient, velocity in zip(
            self.parameters, gradients, self.state, strict=True
        ):
            velocity.mul_(0.9).add_(gradient)
            parameter.add_(velocity, alpha=-self.rate)


class _Adam(Optimizer):
    """Adam with β = (0.9, 0.999), ε = 1e-8."""

    def __init__(self, parameters: Sequence[torch.Tensor], rate: float) -> None:
        super().__init__(parameters, rate)
        self.state = [torch.zeros_like(p) for _ in range(2) for p in parameters]
        self._steps = 0

    def step(self, gradients: Sequence[torch.Tensor]) -> None:
        self._steps += 1
        count = len(self.parameters)
        first, second = 1.0 - 0.9**self._steps, math.sqrt(1.0 - 0.999**self._steps)
        for parameter, gradient, mean, square in zip(
            self.parameters, gradients, self.state[:count], self.state[count:], strict=True
        ):
            mean.lerp_(gradient, 1.0 - 0.9)
            square.mul_(0.999).addcmul_(gradient, gradient, value=1.0 - 0.999)
            scale = (square.sqrt() / second).add_(1e-8)
            parameter.addcdiv_(mean, scale, value=-self.rate / first)


OPTIMIZERS: dict[str, type[Optimizer]] = {"sgd": _Sgd, "momentum": _Momentum, "adam": _Adam}
