"""`simcore.torch`: initialized models have the simulator's law; what trace shows; what is refused.

The tests of laws together raise a false alarm with a probability of at most `FALSE_ALARM`
(Bonferroni over the cases, and in a case over its comparisons).
"""

from __future__ import annotations

import doctest
import math
import re
import subprocess
import sys
from collections.abc import Callable, Iterator
from itertools import pairwise
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pytest
import torch
from torch import nn

import simcore
from simcore.errors import InputError, SimcoreWarning
from simcore.files.layout import coordinates, fields
from simcore.physics.ensembles import ASYMMETRIC
from simcore.runs.ensemble import Ensemble
from simcore.runs.run import Run
from simcore.theory import trajectory
from simcore.torch import (
    compare,
    comparison,
    correlated_,
    he_,
    initialization,
    initialize_,
    models,
    raai_,
    rai_,
    trace,
    tracing,
)
from simcore.torch.tracing import PAIR_NAMES
from tests.support import observe, oracle
from tests.support.network_driver import sample
from tests.support.two_samples import worst
from tests.support.weight_laws import CASES, dense_sample, least_p

Floats = npt.NDArray[np.float64]

FALSE_ALARM = 1e-3
SEED = 1
FAN_IN, ROWS = 12, 4000
PAGE = Path(__file__).parents[2] / "docs" / "initializers.md"
ZERO_SUM = PAGE.with_name("zero-sum.md")


@pytest.fixture(scope="module", autouse=True)
def _one_thread() -> Iterator[None]:
    """Keep PyTorch to a thread: matrices are small, and its threads wait busily for each other."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


def seeded(seed: int) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def rows_of(layer: nn.Linear | nn.Conv2d) -> tuple[Floats, Floats]:
    """Return weights, a row to each node, and biases."""
    bias = torch.zeros(len(layer.weight)) if layer.bias is None else layer.bias
    return layer.weight.detach().flatten(1).double().numpy(), bias.detach().double().numpy()


# --- laws -----------------------------------------------------------------------------------------


def linear() -> nn.Linear:
    return nn.Linear(FAN_IN, ROWS)


def convolution() -> nn.Conv2d:
    return nn.Conv2d(4, ROWS, (2, 3), groups=2)  # 2 channels of a group times 6 of the kernel


@pytest.mark.parametrize("make", [linear, convolution])
@pytest.mark.parametrize("name", CASES)
def test_weights_have_the_law_of_the_dense_sampler(
    name: str, make: Callable[[], nn.Linear | nn.Conv2d]
) -> None:
    ensemble, layer = CASES[name], make()
    initialize_(layer, ensemble, seeded(SEED))
    p, where = least_p(ensemble, rows_of(layer), dense_sample(ensemble, FAN_IN, ROWS, SEED))
    assert p > FALSE_ALARM / (2 * len(CASES)), where


WIDTH, DEPTH, NETWORKS, SIMULATED = 64, 10, 400, 2000
LAYERS = (1, 2, 5, 10)
OBSERVED = (
    *("log_q1", "log_q2", "correlation", "log_distance", "cosine"),
    *("inactive1", "inactive2", "inactive_both"),
)
NETWORK_CASES = {name: CASES[name] for name in CASES if name not in ("he with bias", "raai:inf")}


@pytest.mark.parametrize("name", NETWORK_CASES)
def test_networks_have_the_law_of_simulated_ones(name: str) -> None:
    ensemble = NETWORK_CASES[name]
    p, where = worst(networks(ensemble, SEED), simulated(ensemble, SEED), LAYERS, names=OBSERVED)
    assert p > FALSE_ALARM / len(NETWORK_CASES), where


def test_networks_of_another_law_are_noticed() -> None:
    found, expected = networks(Ensemble.correlated(k=0.7), SEED), Ensemble.correlated(k=1.0)
    p, _ = worst(found, simulated(expected, SEED), LAYERS, names=OBSERVED)
    assert p < FALSE_ALARM / len(NETWORK_CASES)


def networks(ensemble: Ensemble, seed: int) -> dict[str, Floats]:
    """Return observables of pairs through models, each initialized anew, shape (trial, layer)."""
    generator, rng = seeded(seed), np.random.default_rng(seed)
    layers = [nn.Linear(WIDTH, WIDTH, dtype=torch.float64) for _ in range(DEPTH)]
    model = nn.Sequential(*layers)
    law = oracle.Law(widths=(WIDTH,) * DEPTH, overlap=0.5)
    inputs = oracle.RandomPairs((0.5,)).draw(law, NETWORKS, rng)
    h = np.empty((DEPTH, NETWORKS, WIDTH, 2))
    with torch.no_grad():
        for trial in range(NETWORKS):
            initialize_(model, ensemble, generator)
            x = torch.from_numpy(inputs[trial].T.copy())
            for i, layer in enumerate(layers):
                x = layer(x)
                h[i, trial] = x.T.numpy()
                x = x.relu()
    observed = [observe.observe_pairs(at[:, :, :1], at[:, :, 1:]) for at in h]
    return {name: np.stack([o[name][:, 0] for o in observed], axis=1) for name in OBSERVED}


def simulated(ensemble: Ensemble, seed: int) -> dict[str, Floats]:
    """Return the observables of pairs as `simulate` samples them, shape (trial, layer)."""
    run = Run(
        depth=DEPTH, width=(WIDTH,), ensemble=ensemble.name, k=(ensemble.k,), seed=seed, keep=0
    )
    return sample(run, SIMULATED)


# --- accuracy and kinds of numbers ----------------------------------------------------------------


@pytest.mark.parametrize("dtype", initialization.FLOATING, ids=str)
def test_weights_of_infinite_k_sum_to_zero_as_far_as_they_can(dtype: torch.dtype) -> None:
    weight = torch.empty(50, 10, 30, dtype=dtype)
    assert correlated_(weight, math.inf, generator=seeded(0)) is weight
    rows = weight.double().flatten(1)
    assert torch.all(rows.sum(dim=1).abs() < torch.finfo(dtype).eps * rows.abs().sum(dim=1))
    assert float(weight.float().std()) == pytest.approx(0.0991, rel=0.04)  # σ_w/√n, 1 % error


def test_half_precision_holds_rounded_floats() -> None:
    exact, rounded = torch.empty(20, 30), torch.empty(20, 30, dtype=torch.bfloat16)
    he_(exact, generator=seeded(1))
    he_(rounded, generator=seeded(1))
    assert torch.equal(exact.bfloat16(), rounded)


def test_a_weight_is_filled_whatever_its_layout_in_memory() -> None:
    plain, strided = torch.empty(6, 4, 5, 3), torch.empty(6, 4, 5, 3)
    strided = strided.to(memory_format=torch.channels_last)
    for weight in (plain, strided):
        correlated_(weight, 1.0, generator=seeded(2))
    assert torch.equal(plain, strided)


def test_parameters_stay_parameters() -> None:
    layer = nn.Linear(5, 3)
    weight, bias = layer.weight, layer.bias
    found = rai_(weight, bias, sigma_w=1e-3, sigma_b=0.0, generator=seeded(0))
    assert found[0] is weight is layer.weight
    assert found[1] is bias is layer.bias
    assert weight.requires_grad
    assert weight.grad_fn is None
    numbers = torch.cat([weight, bias[:, None]], dim=1)
    assert (numbers > 0.02).sum(dim=1).tolist() == [1, 1, 1]
    raai_(weight, bias, math.inf, generator=seeded(0))


def test_global_seed_is_used_without_a_generator() -> None:
    weights = []
    for _ in range(2):
        torch.manual_seed(5)
        weights.append(he_(torch.empty(4, 4)))
    assert torch.equal(*weights)


# --- whole models ---------------------------------------------------------------------------------


class Mixed(nn.Module):
    """Layers of many kinds, not in the order in which they are called."""

    def __init__(self) -> None:
        super().__init__()
        self.last = nn.Linear(18, 5)
        self.first = nn.Conv2d(4, 6, 3, groups=2, bias=False)
        self.norm = nn.BatchNorm2d(6)
        self.up = nn.ConvTranspose2d(6, 2, 2)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = self.norm(self.first(x)).relu()
        return torch.as_tensor(self.last(self.up(x).relu().flatten(1)))


def test_a_model_is_initialized_and_the_rest_is_named() -> None:
    model = Mixed()
    kept = {name: p.clone() for name, p in model.named_parameters()}
    nn.init.ones_(model.last.bias)
    with pytest.warns(SimcoreWarning, match=r"left alone up \(ConvTranspose2d\): only Linear"):
        found = initialize_(model, Ensemble.correlated(k=math.inf), seeded(0))
    assert found.layers == ("last", "first")
    assert found.left_alone == ("norm (BatchNorm2d)", "up (ConvTranspose2d)")
    assert not model.last.bias.any()
    assert float(model.first.weight.detach().sum(dim=(1, 2, 3)).abs().max()) < 1e-6
    for name in ("norm.weight", "up.weight", "up.bias"):
        assert torch.equal(model.get_parameter(name), kept[name])


def test_every_convolution_and_a_weight_that_is_shared() -> None:
    embedding, head = nn.Embedding(7, 5), nn.Linear(5, 7)
    head.weight = embedding.weight
    layers = [nn.Conv1d(2, 3, 2), nn.Conv3d(2, 3, 2), nn.PReLU(), embedding, head]
    with pytest.warns(SimcoreWarning, match=r"two modules share: 3.weight = 4.weight"):
        found = initialize_(nn.ModuleList(layers), Ensemble.he(), seeded(0))
    assert found.layers == ("0", "1", "4")
    assert found.tied == ("3.weight = 4.weight",)
    assert found.left_alone == ("2 (PReLU)",)


def test_a_lazy_model_can_be_initialized_once_it_has_run() -> None:
    model = nn.Sequential(nn.LazyLinear(3))
    with pytest.raises(InputError, match=r"0.weight = uninitialized: has no shape yet"):
        initialize_(model, Ensemble.he())
    model(torch.zeros(1, 4))
    assert initialize_(model, Ensemble.he()).layers == ("0",)


class Scaled(nn.Linear):
    """A layer with a parameter of its own beside weight and bias."""

    def __init__(self) -> None:
        super().__init__(3, 4)
        self.scale = nn.Parameter(torch.ones(4))


def test_parameters_beside_weight_and_bias_are_named() -> None:
    assert initialize_(Scaled(), Ensemble.he()).left_alone == ("Scaled",)


def with_computed_bias() -> nn.Module:
    layer = nn.Linear(3, 4)
    nn.utils.parametrize.register_parametrization(layer, "bias", nn.Tanh())
    return layer


def tied() -> nn.Module:
    first, second = nn.Linear(4, 4), nn.Linear(4, 4)
    second.weight = first.weight
    return nn.Sequential(first, second)


REFUSED: dict[str, tuple[Callable[[], nn.Module], Ensemble, str]] = {
    "no bias": (
        lambda: nn.Sequential(nn.Linear(3, 3), nn.Linear(3, 4, bias=False)),
        Ensemble.rai(),
        r"1 \(Linear\): has no bias",
    ),
    "no bias to be drawn": (
        lambda: nn.Sequential(nn.Linear(3, 4, bias=False)),
        Ensemble.he(sigma_b=0.1),
        "has no bias of its own, and sigma_b = 0.1",
    ),
    "only zeros": (
        lambda: nn.Sequential(nn.Conv2d(3, 3, 1, groups=3)),
        Ensemble.correlated(k=math.inf),
        "0.fan_in = 1: makes the only weight of every node 0",
    ),
    "meta": (lambda: nn.Linear(3, 4, device="meta"), Ensemble.he(), "weight = meta"),
    "weight_norm": (
        lambda: nn.Sequential(nn.utils.parametrizations.weight_norm(nn.Linear(3, 4))),
        Ensemble.he(),
        "computed from other parameters",
    ),
    "computed bias": (with_computed_bias, Ensemble.he(), "a bias that is computed from other"),
    "shared": (tied, Ensemble.rai(), r"1 \(Linear\): shares a parameter with 0"),
    "no layers": (nn.ReLU, Ensemble.he(), "has no Linear"),
}


@pytest.mark.parametrize("name", REFUSED)
def test_models_that_are_refused_stay_as_they_are(name: str) -> None:
    make, ensemble, message = REFUSED[name]
    model = make()
    before = [p.clone() for p in model.parameters()]
    with pytest.raises(InputError, match=message):
        initialize_(model, ensemble)
    for old, new in zip(before, model.parameters(), strict=True):
        assert new.is_meta or torch.equal(old, new)


@pytest.mark.parametrize(
    ("fill", "message"),
    [
        (lambda: he_(torch.zeros(3, 4, dtype=torch.int8)), "torch.int8, torch.strided: must hold"),
        (lambda: he_(torch.zeros(3, 4, dtype=torch.complex64)), "must hold half"),
        (lambda: he_(torch.zeros(3)), r"shape \(3,\): must have two dimensions"),
        (lambda: he_(np.zeros((3, 3))), "ndarray: must be a tensor"),  # type: ignore[arg-type]
        (lambda: he_(torch.zeros(3, 3), sigma_w=-1.0), "sigma_w = -1.0"),
        (lambda: correlated_(torch.zeros(3, 3), -1.0), "must be above -1"),
        (lambda: correlated_(torch.zeros(3, 1), math.inf), "fan_in = 1"),
        (lambda: rai_(torch.zeros(3, 4), None), "bias = NoneType: must be a tensor"),  # type: ignore[arg-type]
        (lambda: raai_(torch.zeros(3, 4), torch.zeros(4), 1.0), r"must have the shape \(3,\)"),
        (lambda: initialize_(nn.Linear(3, 3), "he"), "must be a simcore.Ensemble"),  # type: ignore[arg-type]
        (lambda: initialize_(torch.zeros(3, 3), Ensemble.he()), "is no torch.nn.Module"),  # type: ignore[arg-type]
    ],
)
def test_tensors_that_are_refused(fill: Callable[[], object], message: str) -> None:
    with pytest.raises(InputError, match=message):
        fill()


# --- trace ----------------------------------------------------------------------------------------


def chain(widths: tuple[int, ...], ensemble: Ensemble) -> nn.Sequential:
    parts: list[nn.Module] = []
    for n, m in pairwise(widths):
        parts += [nn.Linear(n, m, dtype=torch.float64), nn.ReLU()]
    model = nn.Sequential(*parts)
    initialize_(model, ensemble, seeded(3))
    return model


def test_trace_observes_what_the_oracle_does() -> None:
    model = chain((7, 30, 20, 4), Ensemble.rai())
    inputs = torch.randn(9, 7, dtype=torch.float64, generator=seeded(1))
    inputs[8] = inputs[2]
    inputs[7] = 0.0
    pairs = [(0, 1), (2, 8), (5, 3), (4, 7)]
    found = trace(model, inputs, pairs=pairs)
    assert found.correlation.dims == ("pair", "layer")
    x = inputs
    first, second = (list(members) for members in zip(*pairs, strict=True))
    for i, layer in enumerate(part for part in model if isinstance(part, nn.Linear)):
        h = layer(x).detach()
        nodes = h.T.numpy()[np.newaxis]
        at = found.isel(layer=i)
        expected = observe.observe_pairs(nodes[:, :, first], nodes[:, :, second])
        for name in PAIR_NAMES:
            own = expected[name][0]
            np.testing.assert_allclose(at[name], own, rtol=1e-12, atol=1e-12, err_msg=name)
        for name, values in observe.observe_network(nodes).items():
            np.testing.assert_allclose(at[name], values[0], err_msg=name)
        x = h.relu()
    assert found.width.values.tolist() == [30, 20, 4]
    assert found.module.values.tolist() == ["0", "2", "4"]
    assert found.overlap.values[1] == pytest.approx(1.0)
    assert found.input_q2.values[3] == 0.0


def leaky(widths: tuple[int, ...], slope: float) -> nn.Sequential:
    parts: list[nn.Module] = []
    for n, m in pairwise(widths):
        parts += [nn.Linear(n, m, dtype=torch.float64), nn.LeakyReLU(slope, inplace=True)]
    return nn.Sequential(*parts[:-1])


def test_trace_reads_the_slopes_of_the_model() -> None:
    """Of each layer the next activation's; of the output layer, which has none, all others'."""
    model = leaky((7, 30, 20, 4), -0.3)
    inputs = torch.randn(5, 7, dtype=torch.float64, generator=seeded(1))
    found = trace(model, inputs, pairs=[(0, 1)])
    x = inputs
    for i, layer in enumerate(part for part in model if isinstance(part, nn.Linear)):
        h = layer(x).detach()
        nodes = h.T.numpy()[np.newaxis]
        expected = observe.observe_pairs(nodes[:, :, [0]], nodes[:, :, [1]], (1.0, -0.3))
        for name in PAIR_NAMES:
            own = expected[name][0]
            np.testing.assert_allclose(found.isel(layer=i)[name], own, rtol=1e-12, err_msg=name)
        x = nn.functional.leaky_relu(h, -0.3)
    assert found.positive_slope.values.tolist() == [1.0] * 3
    assert found.negative_slope.values.tolist() == [-0.3] * 3
    mixed = nn.Sequential(nn.Linear(7, 5), nn.LeakyReLU(0.2), nn.Linear(5, 5), nn.ReLU())
    mixed.append(nn.Linear(5, 5))
    slopes = trace(mixed, inputs.float(), pairs=[(0, 1)]).negative_slope
    assert slopes.values.tolist() == [0.2, 0.0, 0.0]
    with pytest.raises(InputError, match="slopes"):
        trace(leaky((7, 5, 5), 1e9), inputs)


def test_leaky_models_have_the_law_of_leaky_networks() -> None:
    """Mean lengths of He's weights for leaky ReLU stay, to 5 standard errors of 400 networks."""
    law = Ensemble.he(slopes="leaky:0.3")
    assert law.resolved_sigma_w**2 == pytest.approx(2.0 / 1.09)
    model, generator = leaky((32,) * 7, 0.3), seeded(2)
    inputs = torch.from_numpy(np.eye(32)[:2] * math.sqrt(32.0))
    found = []
    for _ in range(400):
        initialize_(model, law, generator)
        found.append(trace(model, inputs).q1.values[0])
    gap = np.mean(found, axis=0) - law.resolved_sigma_w**2
    assert (np.abs(gap) < 5.0 * np.std(found, axis=0) / 20.0).all()
    wrong = np.mean(found, axis=0)[-1] - (2.0 / 1.09) * (1.09 / 1.5) ** 5
    assert wrong > 5.0 * np.std(found, axis=0)[-1] / 20.0


def test_compare_takes_the_slopes_of_the_model() -> None:
    law, inputs = Ensemble.he(slopes=(1.0, 0.3)), torch.eye(128, dtype=torch.float64)[:2]
    model = leaky((128,) * 9, 0.3)
    initialize_(model, law, seeded(3))
    found = compare(model, law, inputs * math.sqrt(128.0))
    expected = trajectory(8, sigma_w=law.resolved_sigma_w, correlation=0.0, slopes=(1.0, 0.3))
    np.testing.assert_allclose(
        found.data.correlation_theory.values[0], expected.correlation, atol=1e-12
    )
    assert not found.outside
    # One network: a false alarm in 1 of 1,000 seeds.
    assert found.verdict.startswith("First order in 1/N holds")
    mixed = nn.Sequential(*list(model)[:-2], nn.ReLU(), model[-1])
    found = compare(mixed, law, inputs)
    assert found.verdict == "No theory for these inputs."
    assert found.outside == ("activations of the slopes 1,0.3 and 1,0",)
    assert compare(model, Ensemble.rai(), inputs).outside == ("activations of the slopes 1,0.3",)


def test_undefined_values_are_nan() -> None:
    model = nn.Linear(3, 4, bias=False)
    found = trace(model, torch.tensor([[0.0, 0.0, 0.0], [1.0, 2.0, 3.0]])).isel(pair=0, layer=0)
    for name in ("log_q1", "correlation", "distance", "log_distance", "angle", "cosine"):
        assert np.isnan(found[name]), name
    assert found.q1 == 0.0
    assert found.inactive1 == 1.0
    equal = trace(model, torch.ones(2, 3)).isel(pair=0, layer=0)
    assert equal.distance == 0.0
    assert np.isnan(equal.log_distance)


def test_trace_names_are_those_of_a_shared_network() -> None:
    run = Run(depth=2, layer_widths=(8, 9), shared_network=True, pairs=2)
    of_runs = {field.variable: field for field in fields(run, complete=True)}
    found = trace(chain((8, 8, 9), Ensemble.he()), torch.randn(4, 8, dtype=torch.float64))
    for name, values in found.data_vars.items():
        field = of_runs[str(name)]
        assert values.dims == field.dims
        assert values.attrs["units"] == field.units
        assert field.long_name == f"{values.attrs['long_name']}: mean over trials"
    known = coordinates(run)
    for name in set(found.coords) & set(known):
        assert found[name].dims == known[str(name)].dims, name
    new = {"module", "first_input", "second_input", "input_q1", "input_q2"}
    new |= {"positive_slope", "negative_slope"}  # a run has one of each for a point
    assert set(found.coords) - set(known) == new


def test_channels_and_pixels_are_nodes_and_the_model_is_left_as_it_was() -> None:
    model = Mixed()
    model.norm.eval()
    before = {name: x.clone() for name, x in model.state_dict().items()}
    found = trace(model, torch.randn(5, 4, 4, 4), pairs=3)
    assert found.module.values.tolist() == ["first", "up", "last"]
    assert found.width.values.tolist() == [6 * 2 * 2, 2 * 3 * 3, 5]
    assert found.sizes["pair"] == 3
    assert model.training
    assert not model.norm.training
    assert not model.first._forward_hooks
    assert all(torch.equal(x, before[name]) for name, x in model.state_dict().items())


class Swapped(nn.Module):
    """Takes its inputs along the second dimension."""

    def __init__(self) -> None:
        super().__init__()
        self.layer = nn.Linear(3, 2)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return torch.as_tensor(self.layer(x.swapaxes(0, 1)))


@pytest.mark.parametrize(
    ("model", "inputs", "pairs", "message"),
    [
        (nn.Linear(3, 2), np.zeros((4, 3)), None, "inputs = ndarray: must be a tensor"),
        (nn.Linear(3, 2), torch.zeros(4, 3, dtype=torch.int64), None, "Linear: fails on these"),
        (nn.Linear(3, 2), torch.zeros(3), None, "must be a floating tensor"),
        (nn.Linear(3, 2), torch.zeros(1, 3), None, "too few inputs for a pair"),
        (nn.Linear(3, 2), torch.zeros(4, 3), [(0, 4)], r"\(0, 4\): does not name two of the 4"),
        (nn.Linear(3, 2), torch.zeros(4, 3), [(1, 1)], "does not name two of the 4"),
        (nn.Linear(3, 2), torch.zeros(4, 3), [1, 2], "must be pairs of row numbers"),
        (nn.Linear(3, 2), torch.zeros(4, 3), [], "names no pair"),
        (nn.Linear(3, 2), torch.zeros(4, 3), 7, "must be between 1 and 6"),
        (nn.ReLU(), torch.zeros(4, 3), None, "calls no Linear"),
        (Swapped(), torch.zeros(4, 5, 3), None, r"layer: gives \(5, 4, 2\) for 4 inputs"),
        (torch.zeros(3), torch.zeros(4, 3), None, "is no torch.nn.Module"),
    ],
)
def test_what_trace_refuses(model: nn.Module, inputs: object, pairs: object, message: str) -> None:
    with pytest.raises(InputError, match=message):
        trace(model, inputs, pairs=pairs)  # type: ignore[arg-type]


# --- the package ----------------------------------------------------------------------------------


def test_torch_is_loaded_on_first_use() -> None:
    code = "import sys, simcore.torch; simcore.torch; print('torch' in sys.modules)"
    shown = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert shown.stdout.strip() == "False"


def test_the_remedy_is_named_where_torch_is_missing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "torch", None)
    monkeypatch.delitem(vars(simcore.torch), "he_", raising=False)
    with pytest.raises(InputError, match=r"pip install 'torch>=2\.4'\."):
        simcore.torch.he_  # noqa: B018 - it loads on access
    assert not hasattr(simcore.torch, "unknown")


def test_docstring_examples_run() -> None:
    for module in (comparison, models, tracing):
        found = doctest.testmod(module)
        assert found.failed == 0
        assert found.attempted > 0


@pytest.mark.parametrize(
    ("page", "count", "told"),
    [(PAGE, 4, "deviations from simulation"), (ZERO_SUM, 1, "First order in 1/N holds")],
    ids=["initializers", "zero-sum"],
)
def test_the_examples_of_the_pages_run(
    page: Path,
    count: int,
    told: str,
    capsys: pytest.CaptureFixture[str],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.chdir(tmp_path)
    blocks = re.findall(r"^```python\n(.*?)^```", page.read_text(), re.MULTILINE | re.DOTALL)
    assert len(blocks) == count
    for block in blocks:
        exec(compile(block, str(page), "exec"), {})
    assert told in capsys.readouterr().out


def test_every_ensemble_is_on_the_page() -> None:
    page = PAGE.read_text()
    assert all(f"| `{name}`" in page for name in ("he", "correlated", *ASYMMETRIC))
