"""One batched model trains each network as it would be trained alone, and as PyTorch trains it."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
import torch

from simcore.training import engine, initial
from simcore.training.engine import _Group, train_group
from simcore.training.initial import Layers, draw_networks
from simcore.training.jobs import Job, Trained
from simcore.training.labels import Start
from simcore.training.plan import Digits, Plan, TeacherStudent
from simcore.training.tasks import Batches, draw_data

SMALL: dict[str, Any] = {"width": 8, "depth": 3, "samples": 40, "batch": 16, "steps": 40}
PLANS = [
    TeacherStudent(**SMALL, inputs=4, seeds=4, optimizer=name) for name in ("sgd", "momentum")
] + [Digits(**SMALL, seeds=4, optimizer="adam")]
RATES = {"sgd": 0.05, "momentum": 0.01, "adam": 0.01}


def trained(plan: Plan, first: int, end: int, label: str = "raai:10") -> Trained:
    return train_group(plan, Job(label, "measured", RATES[plan.optimizer], first, end))


@pytest.mark.parametrize("plan", PLANS, ids=lambda plan: plan.optimizer)
def test_a_batch_of_networks_is_networks_one_by_one(plan: Plan) -> None:
    together = trained(plan, 0, 4)
    for seed in range(4):
        alone = trained(plan, seed, seed + 1)
        np.testing.assert_allclose(alone.loss[0], together.loss[seed], rtol=1e-5)
        np.testing.assert_allclose(alone.train_loss[0], together.train_loss[seed], rtol=1e-5)
    assert np.ptp(together.loss[:, -1]) > 1e-3  # the seeds differ


def test_students_of_full_size_are_the_same_in_a_batch() -> None:
    # Here a last bit that differs grows ten thousandfold, wherever it makes a node active.
    plan = TeacherStudent(steps=30)
    job = Job("he", "measured", 0.01, 0, 3)
    alone = train_group(plan, job._replace(end=1))
    np.testing.assert_allclose(alone.loss[0], train_group(plan, job).loss[0], rtol=1e-5)


def plain_network(plan: Plan, label: str) -> torch.nn.Sequential:
    """The first measured network, as anybody would write it."""
    sizes = [plan.fan_in, *[plan.width] * plan.depth, plan.outputs]
    layers: list[torch.nn.Module] = []
    for weight, bias in draw_networks(plan.start(label), sizes, plan.seed, [("measured", 0)]):
        linear = torch.nn.Linear(weight.shape[1], weight.shape[2])
        with torch.no_grad():
            linear.weight.copy_(weight[0].T)
            linear.bias.copy_(bias[0, 0])
        layers += [linear, torch.nn.ReLU()]
    return torch.nn.Sequential(*layers[:-1])


def plain_optimizer(plan: Plan, network: torch.nn.Module) -> torch.optim.Optimizer:
    rate = RATES[plan.optimizer]
    if plan.optimizer == "adam":
        return torch.optim.Adam(network.parameters(), lr=rate)
    momentum = 0.9 if plan.optimizer == "momentum" else 0.0
    return torch.optim.SGD(network.parameters(), lr=rate, momentum=momentum)


@pytest.mark.parametrize("plan", PLANS, ids=lambda plan: plan.optimizer)
def test_a_network_is_trained_as_pytorch_trains_it(plan: Plan) -> None:
    ours = trained(plan, 0, 1, "torch")
    network = plain_network(plan, "torch")
    optimizer = plain_optimizer(plan, network)
    data, batches = draw_data(plan, "measured", 0, 1), Batches(plan, "measured", 0, 1)
    measure = torch.nn.CrossEntropyLoss() if plan.classes else torch.nn.MSELoss()

    def loss(inputs: torch.Tensor, targets: torch.Tensor) -> Any:
        outputs = network(inputs[0])
        return measure(outputs if plan.classes else outputs[:, 0], targets[0])

    found = []
    for step in range(plan.steps + 1):
        if step in plan.recorded:
            with torch.no_grad():
                found.append(float(loss(*data.test)))
        optimizer.zero_grad()
        loss(*batches.take(data.train)).backward()
        optimizer.step()
    np.testing.assert_allclose(ours.loss[0], found, rtol=1e-5)
    assert found[-1] < 0.95 * found[0]


def test_clipped_networks_move_by_the_rate_times_the_limit() -> None:
    plan = TeacherStudent(**{**SMALL, "steps": 1}, inputs=4, seeds=2, clip=1e-2)
    job = Job("he", "measured", 0.1, 0, 2)
    group = _Group(plan, job, draw_data(plan, "measured", 0, 2))
    before = [tensor.detach().clone() for layer in group.layers for tensor in layer]
    group.update(0)
    after = [tensor.detach() for layer in group.layers for tensor in layer]
    moved = sum(
        (b - a).double().square().flatten(1).sum(1) for a, b in zip(before, after, strict=True)
    )
    torch.testing.assert_close(
        torch.sqrt(torch.as_tensor(moved)), torch.full((2,), 1e-3).double(), rtol=1e-3, atol=0
    )


def test_the_scale_of_the_output_layer_is_that_of_the_outputs() -> None:
    outputs = []
    for scale in (1.0, 0.1):
        plan = TeacherStudent(**SMALL, inputs=4, output_scale=scale)
        data = draw_data(plan, "measured", 0, 2)
        group = _Group(plan, Job("rai", "measured", 0.1, 0, 2), data)
        outputs.append(group.forward(data.test.inputs))
    torch.testing.assert_close(outputs[1], 0.1 * outputs[0])


def test_a_network_that_diverges_is_frozen_and_the_others_go_on(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    plan = PLANS[1]
    alone = trained(plan, 0, 1), trained(plan, 2, 3)

    def spoilt(start: Start, *given: Any) -> Layers:
        """The second network has weights that the rate is far too large for."""
        layers = initial.draw_networks(start, *given)
        for weight, _ in layers:
            weight[1] *= 30.0
        return layers

    monkeypatch.setattr(engine, "draw_networks", spoilt)
    together = trained(plan, 0, 3)
    assert together.diverged_step[[0, 2]].tolist() == [-1, -1]
    step = together.diverged_step[1]
    assert 0 < step < 5
    lost = np.array(plan.recorded) >= step
    assert np.isfinite(together.loss[1, ~lost]).all()
    assert np.isnan(together.loss[1, lost]).all()
    assert np.isnan(together.dead_after[1]).all()
    for seed, one in zip((0, 2), alone, strict=True):
        np.testing.assert_allclose(together.loss[seed], one.loss[0], rtol=1e-5)


def test_a_network_that_begins_at_infinity_has_diverged_at_once(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def infinite(start: Start, *given: Any) -> Layers:
        return [(weight * 1e30, bias) for weight, bias in initial.draw_networks(start, *given)]

    monkeypatch.setattr(engine, "draw_networks", infinite)
    assert trained(PLANS[0], 0, 2).diverged_step.tolist() == [0, 0]


@pytest.mark.parametrize("rate", [1e3, 1e6])
def test_pilots_that_diverge_are_noticed(rate: float) -> None:
    found = train_group(PLANS[0], Job("he", "pilot", rate, 0, 3))
    assert (found.diverged_step >= 0).all()
    assert np.isnan(found.validation).all()


def test_dead_units_are_counted_over_the_whole_test_set(monkeypatch: pytest.MonkeyPatch) -> None:
    plan = PLANS[0]

    def mostly_dead(start: Start, *given: Any) -> Layers:
        """Two of eight nodes of layer 2 have a bias that no input outweighs."""
        layers = initial.draw_networks(start, *given)
        layers[1][1][:, 0, :2] = -1e3
        return layers

    monkeypatch.setattr(engine, "draw_networks", mostly_dead)
    found = trained(plan, 0, 2, "he")
    assert (found.dead_before[:, 1] >= 0.25).all()
    assert (found.dead_before[:, 0] < 0.25).all()
    assert (found.dead_after[:, 1] >= 0.25).all()  # a dead node has no gradient


def test_initial_weights_are_those_that_people_use() -> None:
    sizes = [50, 60, 60, 1]
    for weight, bias in draw_networks(Start("torch"), sizes, 0, [("measured", 0)])[:-1]:
        bound = 1.0 / math.sqrt(weight.shape[1])
        for values in (weight, bias):
            assert 0.9 * bound < values.abs().max() <= bound
    orthogonal = draw_networks(Start("orthogonal"), sizes, 0, [("measured", 0)])
    square = orthogonal[1][0][0]
    torch.testing.assert_close(square @ square.T, 2.0 * torch.eye(60), rtol=0, atol=1e-5)
    assert not orthogonal[1][1].any()
    narrow = draw_networks(Start("orthogonal", sigma_w=1.0), sizes, 0, [("measured", 0)])
    torch.testing.assert_close(orthogonal[1][0], math.sqrt(2.0) * narrow[1][0])


def test_networks_depend_on_trial_and_ensemble_and_output_layers_on_the_trial_alone() -> None:
    sizes = [5, 6, 6, 1]
    owners = [("measured", 0), ("measured", 1), ("pilot", 0)]
    scaled = draw_networks(Start("he", sigma_w=1.0), sizes, 0, owners)
    he = draw_networks(Start("he"), sizes, 0, owners)
    other = draw_networks(Start("correlated", 1.0), sizes, 0, owners)
    assert len({tensor.numpy().tobytes() for tensor in (*he[1][0], *other[1][0])}) == 6
    assert torch.equal(he[-1][0], other[-1][0])
    torch.testing.assert_close(he[1][0], math.sqrt(2.0) * scaled[1][0])
    assert not torch.equal(he[-1][0][0], he[-1][0][1])
    for number in range(3):
        alone = draw_networks(Start("he"), sizes, 0, owners[number : number + 1])
        assert torch.equal(alone[1][0][0], he[1][0][number])


@pytest.mark.parametrize("label", ["torch", "orthogonal"])
def test_initial_weights_do_not_depend_on_the_default_type(label: str) -> None:
    drawn = draw_networks(Start(label), [5, 6, 1], 0, [("measured", 0)])
    torch.set_default_dtype(torch.float64)
    try:
        again = draw_networks(Start(label), [5, 6, 1], 0, [("measured", 0)])
    finally:
        torch.set_default_dtype(torch.float32)
    assert torch.equal(drawn[0][0], again[0][0])
