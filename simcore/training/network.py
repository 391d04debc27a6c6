"""Many networks as one batched model: forward pass, losses, dead units, optimizers.

Every operation acts on each network apart: a network that diverges never touches another.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch

from .initial import Layers


def forward(layers: Layers, inputs: torch.Tensor, slope: float) -> torch.Tensor:
    """Return the outputs (networks, samples, outputs) for inputs (networks, samples, fan-in).

    `slope` is that of the activations below 0.
    """
    x = inputs
    for weight, bias in layers[:-1]:
        x = _activated(torch.baddbmm(bias, x, weight), slope)
    weight, bias = layers[-1]
    if weight.shape[2] > 1:
        return torch.baddbmm(bias, x, weight)
    # Products with a single column are rounded differently for one network and for several, and
    # training amplifies that wherever a node is about to become active.
    return (x * weight.transpose(1, 2)).sum(2, keepdim=True) + bias


def _activated(h: torch.Tensor, slope: float) -> torch.Tensor:
    """Return the activations, of ReLU in the place of `h`."""
    return torch.nn.functional.leaky_relu(h, slope) if slope else h.relu_()


def losses(outputs: torch.Tensor, targets: torch.Tensor) -> torch.Tensor:
    """Return each network's mean loss over samples, shape (networks,).

    Targets, shape (networks, samples), are numbers, for the mean squared error, or classes (int64),
    for the cross entropy.
    """
    if targets.dtype == torch.int64:
        logs = torch.log_softmax(outputs, dim=2)
        return -logs.gather(2, targets.unsqueeze(2)).mean((1, 2))
    return (outputs.squeeze(2) - targets).square().mean(1)


def accuracies(outputs: torch.Tensor, classes: torch.Tensor) -> torch.Tensor:
    """Return the fraction of samples whose largest output is that of their class."""
    return (outputs.argmax(2) == classes).double().mean(1)


def dead_fractions(layers: Layers, inputs: torch.Tensor, slope: float) -> torch.Tensor:
    """Return the fraction of each hidden layer's nodes with h ≤ 0 for every input.

    Shape (networks, hidden layers), float64.
    """
    x, found = inputs, []
    for weight, bias in layers[:-1]:
        h = torch.baddbmm(bias, x, weight)
        found.append((h.amax(1) <= 0.0).double().mean(1))
        x = _activated(h, slope)
    return torch.stack(found, dim=1)


def make_optimizer(
    name: str, parameters: Sequence[torch.Tensor], rate: float
) -> torch.optim.Optimizer:
    """Return an optimizer of `plan.OPTIMIZERS`; all act on each number apart."""
    if name == "adam":
        return torch.optim.Adam(parameters, lr=rate)
    return torch.optim.SGD(parameters, lr=rate, momentum=0.9 if name == "momentum" else 0.0)


@torch.no_grad()
def clip_gradients(parameters: Sequence[torch.Tensor], limit: float) -> None:
    """Shorten the gradient of each network, of all its parameters together, to a norm `limit`."""
    gradients = [p.grad for p in parameters if p.grad is not None]
    squares = torch.stack([gradient.square().flatten(1).sum(1) for gradient in gradients])
    factors = (limit / squares.sum(0).sqrt()).clamp(max=1.0)
    for gradient in gradients:
        gradient.mul_(factors.reshape(-1, 1, 1))


def freeze(optimizer: torch.optim.Optimizer, networks: torch.Tensor) -> None:
    """Forget past gradients of some networks: with gradients of 0 they then stay as they are."""
    for remembered in optimizer.state.values():
        for value in remembered.values():
            # Adam's count of steps is one number for all networks, and stays.
            if isinstance(value, torch.Tensor) and value.dim():
                value[networks] = 0.0
