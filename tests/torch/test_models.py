"""`simcore.torch`: which layers are drawn, and how; modes, arguments and compiled models."""

from __future__ import annotations

import math
import warnings
from itertools import pairwise
from typing import Any

import numpy as np
import pytest
import torch
from scipy.stats import ks_2samp
from torch import nn
from torch.utils.data import DataLoader, TensorDataset

from simcore.errors import InputError, SimcoreWarning
from simcore.runs.ensemble import Ensemble
from simcore.torch import compare, initialize_, trace

FALSE_ALARM = 1e-3


def seeded(seed: int) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


class Words(nn.Module):
    """Words, a normalisation behind a layer without bias, dropout, and a head tied to the words."""

    def __init__(self) -> None:
        super().__init__()
        self.tokens = nn.Embedding(11, 8)
        self.first = nn.Linear(8, 16, bias=False)
        self.norm = nn.BatchNorm1d(16)
        self.drop = nn.Dropout(0.5)
        self.second = nn.Linear(16, 8)
        self.head = nn.Linear(8, 11)
        self.head.weight = self.tokens.weight

    def forward(self, words: torch.Tensor, options: dict[str, torch.Tensor] | None = None) -> Any:
        h = self.drop(self.norm(self.first(self.tokens(words).mean(1))).relu())
        return self.head(self.second(h).relu() + (options or {}).get("more", 0.0))


WORDS = torch.randint(0, 11, (6, 5), generator=seeded(0))


def weights(model: nn.Module) -> dict[str, torch.Tensor]:
    return {name: x.clone() for name, x in model.state_dict().items()}


def changed(model: nn.Module, before: dict[str, torch.Tensor]) -> set[str]:
    return {name for name, x in model.state_dict().items() if not torch.equal(x, before[name])}


# --- initialize_ ----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("options", "layers"),
    [
        ({"without_bias": "weights"}, {"first", "second", "head"}),
        ({"without_bias": "keep"}, {"second", "head"}),
        ({"without_bias": "keep", "output": "keep"}, {"second"}),
        ({"without_bias": Ensemble.he(), "skip": "head"}, {"first", "second"}),
        ({"skip": ["fir*", "norm"]}, {"second", "head"}),
    ],
)
def test_layers_are_chosen(options: dict[str, Any], layers: set[str]) -> None:
    model = Words()
    before = weights(model)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", SimcoreWarning)
        found = initialize_(model, Ensemble.rai(), seeded(1), **options)
    assert set(found.layers) == layers
    assert found.output == "head"
    tied = {"tokens.weight"} if "head" in layers else set()
    parts = {f"{name}.weight" for name in layers} | {f"{n}.bias" for n in layers - {"first"}}
    assert changed(model, before) == parts | tied


def test_a_module_is_skipped_with_all_it_holds() -> None:
    model = nn.Sequential(nn.Sequential(nn.Linear(3, 3), nn.Linear(3, 3)), nn.Linear(3, 2))
    assert initialize_(model, Ensemble.he(), skip=model[0]).layers == ("1",)
    assert initialize_(model, Ensemble.he(), skip="0.1").layers == ("0.0", "1")


def test_the_output_layer_and_layers_without_bias_have_laws_of_their_own() -> None:
    first, last = nn.Linear(100, 400, bias=False), nn.Linear(400, 300)
    model = nn.Sequential(first, last)
    wide, narrow = Ensemble.he(sigma_w=7.0), Ensemble.he(sigma_w=1e-3)
    initialize_(model, Ensemble.rai(), seeded(0), output=narrow, without_bias=wide)
    # Relative errors of standard deviations from 40,000 and 120,000 normals: 0.35 % and 0.2 %.
    assert float(first.weight.detach().std()) == pytest.approx(0.7, rel=0.02)
    assert float(last.weight.detach().std()) == pytest.approx(5e-5, rel=0.01)
    assert not last.bias.any()


def test_weights_without_bias_lose_the_replaced_number_once_in_n_plus_1() -> None:
    layer = nn.Linear(3, 20_000, bias=False)
    initialize_(layer, Ensemble.rai(sigma_w=1e-6), seeded(0), without_bias="weights")
    replaced = (layer.weight > 1e-3).sum(dim=1)
    assert int(replaced.max()) == 1
    # A share of 3/4 ± 0.0031; 4 standard errors: a false alarm in 1 of 16,000.
    assert float(replaced.double().mean()) == pytest.approx(0.75, abs=0.0123)


def test_tied_parameters_are_listed_and_warned_about() -> None:
    model = Words()
    with pytest.warns(SimcoreWarning, match=r"two modules share: tokens.weight = head.weight"):
        found = initialize_(model, Ensemble.he(), seeded(0))
    assert found.tied == ("tokens.weight = head.weight",)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"skip": "haed"}, r"skip = haed: names no module of the model. Its layers: first, second"),
        ({"skip": nn.Linear(1, 1)}, "skip = Linear: names no module of the model"),
        ({"output": "zero"}, "output = .zero.: must be a simcore.Ensemble or .keep."),
        ({"without_bias": "yes"}, "without_bias = .yes.: must be a simcore.Ensemble or .keep. or"),
        ({"without_bias": Ensemble.raai(k=1.0)}, r"first \(Linear\): has no bias of its own"),
        ({}, r'has no bias of its own, and rai draws one. .* give without_bias="weights"'),
    ],
)
def test_what_initialize_refuses_changes_nothing(options: dict[str, Any], message: str) -> None:
    model = Words()
    before = weights(model)
    with pytest.raises(InputError, match=message):
        initialize_(model, Ensemble.rai(), **options)
    assert not changed(model, before)


def p_value(drawn: torch.Tensor, expected: torch.Tensor) -> float:
    """Return the p-value of the two-sample test of Kolmogorov and Smirnov."""
    first, second = (x.detach().flatten().double().numpy() for x in (drawn, expected))
    return float(ks_2samp(first, second).pvalue)


def test_pytorch_law_is_that_of_new_layers() -> None:
    drawn, new = nn.Linear(12, 3000), nn.Linear(12, 3000)
    with torch.random.fork_rng():
        torch.manual_seed(0)
        new.reset_parameters()
    initialize_(drawn, Ensemble.like("pytorch"), seeded(1))
    assert p_value(drawn.weight, new.weight) > FALSE_ALARM
    assert p_value(drawn.bias, new.bias) > FALSE_ALARM
    initialize_(drawn, Ensemble.he(sigma_w=3**-0.5, sigma_b="fan-in"), seeded(1))
    assert p_value(drawn.weight, new.weight) < FALSE_ALARM  # normal weights are noticed


def test_truncated_weights_have_the_variance_that_is_said() -> None:
    layer = nn.Linear(25, 4000)
    initialize_(layer, Ensemble.like("flax"), seeded(2))
    scaled = 5.0 * layer.weight.detach().double()
    assert float(scaled.abs().max()) <= 2.0 / 0.8796256
    # Σz² of 100,000 numbers: a relative error of 0.37 % (E z⁴ = 2.366), 4 standard errors.
    assert float(scaled.square().mean()) == pytest.approx(1.0, abs=0.0148)
    assert not layer.bias.any()


# --- trace ----------------------------------------------------------------------------------------


def test_a_normalisation_without_data_uses_the_inputs_and_is_left_as_it_was() -> None:
    model = Words()
    before, random = weights(model), torch.get_rng_state()
    found = trace(model, WORDS, options={"more": torch.ones(8)})
    assert found.mode == "eval; train in normalisations that have seen no data: norm (BatchNorm1d)"
    assert found.not_seen == "tokens (Embedding), norm (BatchNorm1d)"
    assert not changed(model, before)
    assert torch.equal(random, torch.get_rng_state())
    assert model.training
    assert model.norm.training
    # Behind a normalisation over the inputs the second layer reads numbers of the order of 1.
    evaluated = trace(model, WORDS, mode="eval")
    assert evaluated.mode == "eval"
    assert float(found.q1.isel(layer=1).mean() / evaluated.q1.isel(layer=1).mean()) > 2.0


def test_a_normalisation_with_data_is_evaluated() -> None:
    model = Words()
    model(WORDS)
    model.eval()
    assert trace(model, WORDS).mode == "eval"
    before, random = weights(model), torch.get_rng_state()
    trained = trace(model, WORDS, mode="train")
    assert trained.mode == "train"
    assert not changed(model, before)
    assert torch.equal(random, torch.get_rng_state())  # dropout drew from a copy
    assert not model.training
    with pytest.raises(InputError, match="mode = test: is not known"):
        trace(model, WORDS, mode="test")


def test_words_have_no_geometry_of_inputs() -> None:
    found = trace(Words(), WORDS, pairs=[(0, 3)])
    assert np.isnan(found.overlap).all()
    assert np.isnan(found.input_q1).all()
    assert np.isfinite(found.correlation).all()


@pytest.mark.parametrize("kind", ["tuples", "tensors", "dicts"])
def test_a_loader_stands_for_its_first_batch(kind: str) -> None:
    model = Words().eval()
    model(WORDS)
    data: Any = {
        "tuples": TensorDataset(WORDS, torch.zeros(6)),
        "tensors": list(WORDS),
        "dicts": [{"words": row} for row in WORDS],
    }[kind]
    random = torch.get_rng_state()
    found = trace(model, DataLoader(data, batch_size=4, shuffle=False), mode="eval")
    assert torch.equal(random, torch.get_rng_state())
    expected = trace(model, words=WORDS[:4], mode="eval")
    np.testing.assert_array_equal(found.correlation, expected.correlation)
    nothing: Any = []
    with pytest.raises(InputError, match="has no batch"):
        trace(model, DataLoader(nothing))


def test_a_compiled_model_is_traced_without_compiling_it_again() -> None:
    compiled = []

    def backend(graph: torch.fx.GraphModule, _: object) -> Any:
        compiled.append(graph)
        return graph.forward

    plain = nn.Sequential(nn.Linear(4, 6), nn.ReLU(), nn.Linear(6, 2)).eval()
    model: Any = torch.compile(plain, backend=backend)
    inputs = torch.randn(3, 4, generator=seeded(0))
    model(inputs)
    assert len(compiled) == 1
    found = trace(model, inputs)
    model(inputs)
    assert len(compiled) == 1
    assert found.module.values.tolist() == ["0", "2"]
    np.testing.assert_array_equal(found.q1, trace(plain, inputs).q1)
    assert initialize_(model, Ensemble.he(), skip="0").layers == ("2",)


# --- compare --------------------------------------------------------------------------------------


def chain(*widths: int) -> nn.Sequential:
    parts: list[nn.Module] = []
    for n, m in pairwise(widths):
        parts += [nn.Linear(n, m), nn.ReLU()]
    return nn.Sequential(*parts)


@pytest.mark.parametrize(
    "ensemble",
    [Ensemble.correlated(k=1.0), Ensemble.he(sigma_w=1.3, sigma_b="fan-in")],
    ids=["correlated", "bias by fan-in"],
)
def test_a_model_agrees_with_its_own_law_and_not_with_another(ensemble: Ensemble) -> None:
    model = chain(100, 256, 200, 256, 10)
    initialize_(model, ensemble, seeded(4))
    found = compare(model, ensemble)
    assert found.verdict.startswith("First order in 1/N holds: z = ")  # 1 of 1000 is a false alarm
    assert np.isfinite(found.data.log_q1_z).all()
    other = Ensemble.correlated(k=1.0, sigma_w=2.5)
    assert "deviates from first order in 1/N: z = -" in compare(model, other).verdict


def test_z_of_many_networks_is_standard() -> None:
    ensemble, model = Ensemble.he(sigma_w=1.2, sigma_b="fan-in"), chain(60, 200, 100, 200)
    generator, found = seeded(5), []
    inputs = torch.randn(2, 60, generator=generator)
    theory = compare(model, ensemble, inputs).data.isel(pair=0)
    for _ in range(200):
        initialize_(model, ensemble, generator)
        found.append(trace(model, inputs).log_q1.values[0])
    z = (np.array(found) - theory.log_q1_theory_1n.values) / theory.log_q1_theory_1n_std.values
    # 200 numbers: mean 0 ± 0.071, mean square 1 ± 0.1; 4 standard errors, and 10 % for 1/N².
    assert np.abs(np.mean(z, axis=0)).max() < 0.3
    assert np.abs(np.mean(np.square(z), axis=0) - 1.0).max() < 0.5


def test_mean_field_of_layers_with_different_biases() -> None:
    ensemble = Ensemble.like("pytorch")
    found = compare(chain(50, 20, 30), ensemble)
    q1 = (1.0 / 3.0) * (1.0 + 1.0 / 50.0)
    expected = [q1, (1.0 / 3.0) * (q1 / 2.0 + 1.0 / 20.0)]
    np.testing.assert_allclose(found.data.q1_theory.values[0], expected, rtol=1e-7)  # float32
    assert "No spread is known" in found.verdict


def test_what_is_outside_the_theory_is_named() -> None:
    model = nn.Sequential(
        nn.Conv2d(1, 4, 3), nn.BatchNorm2d(4), nn.ReLU(), nn.Flatten(), nn.Linear(16, 5)
    )
    found = compare(model, Ensemble.he(), torch.randn(3, 1, 4, 4, generator=seeded(0)))
    assert found.outside == ("0 (Conv2d)", "1 (BatchNorm2d)")
    assert np.isnan(found.data.log_q1_z).all()
    assert np.isfinite(found.data.log_q1_theory).all()
    assert "Outside the theory: 0 (Conv2d), 1 (BatchNorm2d)." in str(found)


def test_rai_is_compared_with_its_population() -> None:
    model = chain(40, 400)
    initialize_(model, Ensemble.rai(), seeded(0))
    found = compare(model, Ensemble.rai()).data
    gap = found.log_q1 - found.log_q1_theory
    assert math.isfinite(float(gap.values[0, 0]))
    assert abs(float(gap.values[0, 0])) < 0.5  # ln q of 400 nodes: ± 0.12


@pytest.mark.parametrize(
    ("model", "given", "message"),
    [
        (nn.Conv1d(1, 2, 2), (), "does not begin with a Linear"),
        (Words(), (WORDS,), "holds no floating numbers"),
        (nn.Linear(3, 2), ("words",), "inputs = str: must be a tensor, or hold one"),
        (nn.Linear(3, 2), (torch.zeros(4, 5),), r"model = Linear: fails on these inputs: mat1"),
    ],
)
def test_what_compare_refuses(model: nn.Module, given: tuple[Any, ...], message: str) -> None:
    with pytest.raises(InputError, match=message):
        compare(model, Ensemble.he(), *given)


def test_the_picture_has_theory_and_the_model() -> None:
    model = chain(30, 64, 64, 64)
    initialize_(model, Ensemble.he(), seeded(0))
    figure = compare(model, Ensemble.he()).plot()
    assert [axes.get_ylabel() for axes in figure.axes] == ["$c$", r"$\ln q_1$"]
    assert len(figure.axes[0].lines) == 3
    figure.draw_without_rendering()


def test_where_c_rounds_to_one_the_table_has_its_logarithm() -> None:
    linear, relu = nn.Linear(64, 64), nn.ReLU()
    nn.init.kaiming_normal_(linear.weight, generator=torch.Generator().manual_seed(0))
    near = torch.randn(64, generator=torch.Generator().manual_seed(1))
    for gap, heading in ((1e-3, "ln(1-c)"), (1.0, "c")):
        inputs = torch.stack([near, near + gap * near.flip(0)])
        found = str(compare(nn.Sequential(linear, relu), Ensemble.he(), inputs))
        head = next(line for line in found.splitlines() if line.startswith("layer"))
        assert head.split()[2] == heading
