"""Optimizers of stacked networks: textbook formulas, and networks that diverge beside others."""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np
import pytest
import torch

from simcore.training.initial import Layers, draw_networks
from simcore.training.labels import Start
from simcore.training.network import (
    clip_gradients,
    dead_fractions,
    forward,
    freeze,
    losses,
    make_optimizer,
)
from simcore.training.plan import OPTIMIZERS

STEPS = 300
RATES = {"sgd": 0.05, "momentum": 0.01, "adam": 0.003}
Step = Callable[[torch.Tensor, torch.Tensor, int], None]


def sgd(rate: float) -> Step:
    def step(parameter: torch.Tensor, gradient: torch.Tensor, count: int) -> None:
        parameter -= rate * gradient

    return step


def momentum(rate: float) -> Step:
    velocity = torch.zeros(())

    def step(parameter: torch.Tensor, gradient: torch.Tensor, count: int) -> None:
        nonlocal velocity
        velocity = 0.9 * velocity + gradient
        parameter -= rate * velocity

    return step


def adam(rate: float) -> Step:
    """Kingma and Ba (2015), algorithm 1."""
    mean = square = torch.zeros(())

    def step(parameter: torch.Tensor, gradient: torch.Tensor, count: int) -> None:
        nonlocal mean, square
        mean = 0.9 * mean + 0.1 * gradient
        square = 0.999 * square + 0.001 * gradient**2
        first, second = mean / (1.0 - 0.9**count), square / (1.0 - 0.999**count)
        parameter -= rate * first / (second.sqrt() + 1e-8)

    return step


FORMULAS: dict[str, Callable[[float], Step]] = {"sgd": sgd, "momentum": momentum, "adam": adam}


def task(networks: int) -> tuple[Layers, torch.Tensor, torch.Tensor]:
    """Small networks in float64, whose losses amplify no rounding, and their data."""
    sizes, owners = [4, 8, 8, 1], [("x", number) for number in range(networks)]
    layers = draw_networks(Start("he"), sizes, 0, owners, torch.float64)
    rng = np.random.default_rng(0)
    inputs = torch.from_numpy(rng.standard_normal((networks, 50, 4)))
    targets = torch.from_numpy(rng.standard_normal((networks, 50)))
    return layers, inputs, targets


def parameters_of(layers: Layers) -> list[torch.Tensor]:
    return [tensor.requires_grad_() for layer in layers for tensor in layer]


@pytest.mark.parametrize("name", OPTIMIZERS)
def test_stacked_networks_follow_the_formula_of_the_optimizer(name: str) -> None:
    layers, inputs, targets = task(3)
    optimizer = make_optimizer(name, parameters_of(layers), RATES[name])
    plain, _, _ = task(3)
    own = parameters_of(plain)
    steps = [FORMULAS[name](RATES[name]) for _ in own]
    first = None
    for count in range(1, STEPS + 1):
        optimizer.zero_grad()
        found = losses(forward(layers, inputs, 0.0), targets)
        found.sum().backward()  # type: ignore[no-untyped-call]
        optimizer.step()
        expected = losses(forward(plain, inputs, 0.0), targets)
        gradients = torch.autograd.grad(expected.sum(), own)
        with torch.no_grad():
            for step, parameter, gradient in zip(steps, own, gradients, strict=True):
                step(parameter, gradient, count)
        torch.testing.assert_close(found, expected, rtol=1e-5, atol=0.0)
        first = found.detach() if first is None else first
    assert first is not None
    assert (found < 0.9 * first).all()


@pytest.mark.parametrize("slope", [0.0, 0.2, -0.5])
def test_activations_have_the_slope_and_dead_nodes_do_not(slope: float) -> None:
    layers, inputs, _ = task(1)
    expected = inputs[0]
    for weight, bias in layers[:-1]:
        h = expected @ weight[0] + bias[0]
        expected = torch.where(h > 0.0, h, slope * h)
    expected = expected @ layers[-1][0][0] + layers[-1][1][0]
    torch.testing.assert_close(forward(layers, inputs, slope)[0], expected)
    layers[0][1][0, 0, :3] = -100.0
    assert dead_fractions(layers, inputs, slope)[0, 0] == 3.0 / 8.0


def test_gradients_are_clipped_as_pytorch_does_network_by_network() -> None:
    rng = np.random.default_rng(1)
    shapes, norms = [(3, 4, 5), (3, 1, 5)], (0.5, 2.0, 8.0)
    parameters = [torch.zeros(shape, dtype=torch.float64, requires_grad=True) for shape in shapes]
    gradients = [torch.from_numpy(rng.standard_normal(shape)) for shape in shapes]
    for network, norm in enumerate(norms):
        own = math.sqrt(sum(float(gradient[network].square().sum()) for gradient in gradients))
        for gradient in gradients:
            gradient[network] *= norm / own
    for parameter, gradient in zip(parameters, gradients, strict=True):
        parameter.grad = gradient.clone()
    clip_gradients(parameters, 2.5)
    for network in range(len(norms)):
        alone = [torch.zeros(shape[1:], dtype=torch.float64) for shape in shapes]
        for parameter, gradient in zip(alone, gradients, strict=True):
            parameter.grad = gradient[network].clone()
        torch.nn.utils.clip_grad_norm_(alone, 2.5)
        for parameter, one in zip(parameters, alone, strict=True):
            assert parameter.grad is not None
            # PyTorch adds 1e-6 to the norm.
            torch.testing.assert_close(parameter.grad[network], one.grad, rtol=1e-6, atol=0.0)


@pytest.mark.parametrize("name", OPTIMIZERS)
def test_a_frozen_network_stays_and_the_others_never_notice(name: str) -> None:
    def train(spoil: bool) -> Layers:
        layers, inputs, targets = task(3)
        parameters = parameters_of(layers)
        optimizer = make_optimizer(name, parameters, RATES[name])
        for count in range(STEPS):
            optimizer.zero_grad()
            losses(forward(layers, inputs, 0.0), targets).sum().backward()  # type: ignore[no-untyped-call]
            if spoil and count == 50:
                with torch.no_grad():
                    for parameter in parameters:
                        parameter[1] = math.nan
                        parameter.grad[1] = math.inf  # type: ignore[index]
                freeze(optimizer, torch.tensor([1]))
            if spoil and count >= 50:
                for parameter in parameters:
                    parameter.grad[1] = 0.0  # type: ignore[index]
            optimizer.step()
        for state in optimizer.state.values():
            for value in state.values():
                assert value is None or bool(torch.isfinite(value).all())
        return layers

    for (weight, bias), (spoilt, spoilt_bias) in zip(train(False), train(True), strict=True):
        assert torch.isnan(spoilt[1]).all()
        assert torch.equal(weight[[0, 2]], spoilt[[0, 2]])
        assert torch.equal(bias[[0, 2]], spoilt_bias[[0, 2]])


def test_a_frozen_network_does_not_drift_on_its_past_gradients() -> None:
    for name in OPTIMIZERS:
        parameter = torch.ones(2, 3, requires_grad=True)
        optimizer = make_optimizer(name, [parameter], 0.1)
        parameter.grad = torch.ones(2, 3)
        optimizer.step()
        freeze(optimizer, torch.tensor([0]))
        before = parameter.detach().clone()
        parameter.grad = torch.tensor([[0.0] * 3, [1.0] * 3])
        optimizer.step()
        assert torch.equal(parameter[0], before[0])
        assert (parameter[1] < before[1]).all()
