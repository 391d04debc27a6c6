"""`trace(..., gradients=True)`: models against the oracle; kernels by autograd; what is refused.

The laws together raise a false alarm with a probability of at most `FALSE_ALARM` (Bonferroni over
the cases and their comparisons); a mean over networks may be off by `Z` = 5 standard errors.
"""

from __future__ import annotations

import math
from collections.abc import Iterator

import numpy as np
import numpy.typing as npt
import pytest
import torch
from torch import nn

import simcore
from simcore.errors import InputError
from simcore.runs.ensemble import Ensemble
from simcore.torch import initialize_, trace
from tests.support.oracle import GRADIENTS, FixedInputs, Law, simulate_shared
from tests.support.two_samples import worst

Floats = npt.NDArray[np.float64]

FALSE_ALARM = 1e-3
Z = 5.0
WIDTH, DEPTH, NETWORKS = 6, 3, 250
SEEN = (*GRADIENTS, "log_q1", "correlation")


@pytest.fixture(scope="module", autouse=True)
def _one_thread() -> Iterator[None]:
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


def chain(width: int, depth: int, *, bias: bool) -> nn.Sequential:
    parts: list[nn.Module] = []
    for _ in range(depth):
        parts += [nn.Linear(width, width, bias=bias, dtype=torch.float64), nn.ReLU(inplace=True)]
    return nn.Sequential(*parts)


def test_the_way_back_takes_the_slopes_of_the_model() -> None:
    """δ of the first layer by autograd, of the read-out v·φ(h)/√N of the last one."""
    model = nn.Sequential(nn.Linear(3, 5), nn.LeakyReLU(-0.4), nn.Linear(5, 4)).double()
    inputs = torch.randn(2, 3, dtype=torch.float64, generator=seeded(1))
    found = trace(model, inputs, pairs=[(0, 1)], gradients=True, readout_seed=7)
    v = torch.from_numpy(np.random.default_rng(7).standard_normal(4))
    h = model[0](inputs).detach().requires_grad_()
    last = nn.functional.leaky_relu(model[2](nn.functional.leaky_relu(h, -0.4)), -0.4)
    (delta,) = torch.autograd.grad((last @ v / 2.0).sum(), h)
    lengths = (delta**2).sum(dim=1).log()
    assert found.log_gradient1[0, 0] == pytest.approx(float(lengths[0]), rel=1e-12)
    assert found.log_gradient2[0, 0] == pytest.approx(float(lengths[1]), rel=1e-12)


def seeded(seed: int) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def traced(ensemble: Ensemble, *, bias: bool, seed: int = 0) -> dict[str, Floats]:
    """Return observables of models initialized anew, shape (trial, layer), of a pair."""
    model, generator = chain(WIDTH, DEPTH, bias=bias), seeded(seed)
    inputs, rows = torch.from_numpy(INPUTS), []
    for trial in range(NETWORKS):
        initialize_(model, ensemble, generator)
        found = trace(
            model, inputs, pairs=[(0, 1)], gradients=ensemble, readout_seed=NETWORKS * seed + trial
        )
        rows.append({name: found[name].values[0] for name in SEEN})
    return {name: np.stack([row[name] for row in rows]) for name in SEEN}


INPUTS = np.random.default_rng(9).standard_normal((2, WIDTH)) * [[1.0], [0.6]]
"""Of unequal lengths."""

CASES = {
    "he with bias": (
        Ensemble.he(sigma_w=1.3, sigma_b=0.4),
        Law((WIDTH,) * DEPTH, sigma_w=1.3, sigma_b=0.4),
    ),
    "k = inf": (
        Ensemble.correlated(math.inf, sigma_w=1.6),
        Law((WIDTH,) * DEPTH, g=1.0, sigma_w=1.6),
    ),
}


def expected(law: Law) -> dict[str, Floats]:
    pair = FixedInputs(INPUTS, ((0, 1),))
    found = simulate_shared(law, pair, 20_000, np.random.default_rng(3), gradients=True)
    return {name: found[name][:, 0] for name in SEEN}


@pytest.mark.parametrize("name", CASES)
def test_models_have_the_law_of_explicit_networks(name: str) -> None:
    ensemble, law = CASES[name]
    found = traced(ensemble, bias=bool(law.sigma_b))
    p, where = worst(found, expected(law), range(1, DEPTH + 1), names=SEEN)
    assert p > FALSE_ALARM / len(CASES), where


def test_models_of_another_law_are_noticed() -> None:
    """σ_w = 1.6 instead of 1.3."""
    found = traced(CASES["k = inf"][0], bias=False)
    wrong = Law((WIDTH,) * DEPTH, g=1.0, sigma_w=1.3)
    p, _ = worst(found, expected(wrong), range(1, DEPTH + 1), names=GRADIENTS)
    assert p < FALSE_ALARM / len(CASES)


def test_one_model_has_the_values_of_its_own_matrices() -> None:
    """Frozen parameters, and scales that are measured; no parameter gets a gradient."""
    model = chain(5, 3, bias=True)
    for parameter in model.parameters():
        nn.init.normal_(parameter, 0.1, 0.7, generator=seeded(4))
        parameter.requires_grad_(False)
    x = torch.randn(4, 5, generator=seeded(5), dtype=torch.float64)
    found = trace(model, x, pairs=[(2, 0)], gradients=True, readout_seed=7)
    v = np.random.default_rng(7).standard_normal(5)
    layers = [
        (part.weight.numpy(), part.bias.numpy()) for part in model if isinstance(part, nn.Linear)
    ]
    signals = [x.numpy()[[2, 0]].T]
    for weight, bias in layers:
        signals.append(np.maximum(weight @ signals[-1] + bias[:, None], 0.0))
    back = v[:, None] / math.sqrt(5.0)
    deltas: list[Floats] = []
    for (weight, _), signal in zip(layers[::-1], signals[:0:-1], strict=True):
        deltas.insert(0, np.where(signal > 0.0, back, 0.0))
        back = weight.T @ deltas[0]
    total = 0.0
    for i, ((weight, bias), delta) in enumerate(zip(layers, deltas, strict=True)):
        gram, reads = delta.T @ delta, signals[i].T @ signals[i] / 5.0
        total = total + (5.0 * np.mean(weight**2) * reads + np.mean(bias**2)) * gram
        seen = {name: float(found[name][0, i]) for name in GRADIENTS}
        assert seen["log_gradient1"] == pytest.approx(math.log(gram[0, 0]))
        assert seen["log_gradient2"] == pytest.approx(math.log(gram[1, 1]))
        angle = gram[0, 1] / math.sqrt(gram[0, 0] * gram[1, 1])
        assert seen["gradient_correlation"] == pytest.approx(angle)
        assert seen["weight_gradient1"] == pytest.approx(gram[0, 0] * reads[0, 0])
        assert [seen[f"tangent{ab}"] for ab in (11, 12, 22)] == pytest.approx(
            [total[0, 0], total[0, 1], total[1, 1]]
        )
    assert all(parameter.grad is None for parameter in model.parameters())
    plain = trace(model, x, pairs=[(2, 0)])
    assert not set(GRADIENTS) & set(plain.data_vars)
    for name in plain.data_vars:
        np.testing.assert_array_equal(found[name], plain[name])


def test_convolutions_have_gradients_but_no_tangent_kernel() -> None:
    model = nn.Sequential(nn.Conv1d(1, 4, 3), nn.ReLU(), nn.Flatten(), nn.Linear(16, 32))
    initialize_(model, Ensemble.he(), seeded(9))
    found = trace(model, torch.randn(3, 1, 6, generator=seeded(6)), gradients=True)
    assert np.isfinite(found.log_gradient1).all()
    assert np.isnan(found.tangent12).all()
    assert np.isfinite(found.weight_gradient1[:, 1]).all()


class Detached(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.layer = nn.Linear(3, 3)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        with torch.no_grad():
            return torch.relu(self.layer(x))


def test_what_has_no_way_back_is_one_line() -> None:
    x = torch.ones(2, 3)
    with pytest.raises(InputError, match="switches gradients off"):
        trace(Detached(), x, gradients=True)
    for wrong in ({"gradients": "yes"}, {"gradients": True, "readout_seed": -1}):
        with pytest.raises(InputError, match=list(wrong)[-1]) as caught:
            trace(nn.Linear(3, 3), x, **wrong)
        assert "\n" not in str(caught.value)


# --- kernels --------------------------------------------------------------------------------------


def test_kernels_of_networks_are_those_of_autograd() -> None:
    """Every parameter's gradient by PyTorch, in the NTK parametrization, against `kernels`."""
    sigma_w, sigma_b, width, depth, networks = 1.3, 0.3, 8, 2, 400
    inputs = np.random.default_rng(2).standard_normal((3, width))
    ensemble = Ensemble.correlated(1.0, sigma_w=sigma_w, sigma_b=sigma_b)
    model, generator = chain(width, depth, bias=True), seeded(8)
    x, found = torch.from_numpy(inputs), []
    for _ in range(networks):
        initialize_(model, ensemble, generator)
        v = torch.randn(width, generator=generator, dtype=torch.float64, requires_grad=True)
        f = model(x) @ v / math.sqrt(width)
        scaled = [(v, 1.0)] + [
            (p, sigma_w**2 / width if p.dim() == 2 else sigma_b**2) for p in model.parameters()
        ]
        jacobians = [
            torch.autograd.grad(one, [p for p, _ in scaled], retain_graph=True) for one in f
        ]
        rows = torch.stack(
            [
                torch.cat(
                    [math.sqrt(s) * g.flatten() for g, (_, s) in zip(row, scaled, strict=True)]
                )
                for row in jacobians
            ]
        )
        found.append((rows @ rows.T).numpy())
    made = simcore.kernels(inputs, depth, ensemble, networks=2000, width=width, seed=3)
    explicit = np.array(found)
    error = np.hypot(explicit.std(axis=0) / math.sqrt(networks), made.tangent_stderr)
    assert (np.abs(explicit.mean(axis=0) - made.tangent_mean) < Z * error).all()
    lacking = explicit.mean(axis=0) - (made.tangent_mean - made.nngp_mean)
    assert float((np.abs(lacking) / error).max()) > 2.0 * Z  # the read-out is a part of it
