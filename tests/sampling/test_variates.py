"""Weight laws: their texts, the variates' exact values, laws, order and independence."""

from __future__ import annotations

import itertools
import math
from dataclasses import dataclass, replace
from functools import lru_cache
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
from scipy import stats

from simcore.errors import InputError
from simcore.numerics import lanes, rng
from simcore.physics.weight_laws import WEIGHT_LAWS, WeightLaw, parse_weights
from simcore.sampling import variates
from tests.numerics.randomness import oracle

Floats = npt.NDArray[np.float64]

# --- texts ----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "law", "canonical"),
    [
        ("normal", WeightLaw("normal"), "normal"),
        (" uniform ", WeightLaw("uniform"), "uniform"),
        ("rademacher", WeightLaw("rademacher"), "rademacher"),
        ("laplace", WeightLaw("laplace"), "laplace"),
        ("student:5", WeightLaw("student", 5.0), "student:5"),
        ("student: 4.5", WeightLaw("student", 4.5), "student:4.5"),
        ("bernoulli:0.1", WeightLaw("bernoulli", 0.1), "bernoulli:0.1"),
        ("bernoulli:1", WeightLaw("bernoulli", 1.0), "bernoulli:1"),
        ("bernoulli:1e-5", WeightLaw("bernoulli", 1e-5), "bernoulli:1e-05"),
    ],
)
def test_a_text_names_a_law_and_the_law_its_text(text: str, law: WeightLaw, canonical: str) -> None:
    assert parse_weights(text) == law
    assert str(law) == canonical
    assert parse_weights(canonical) == law


@pytest.mark.parametrize(
    ("text", "rule"),
    [
        ("", "is not known"),
        ("gauss", "is not known"),
        ("normal:", "takes none"),
        ("laplace:1", "takes none"),
        ("student", "lacks the parameter NU"),
        ("bernoulli:", "lacks the parameter P"),
        ("student:five", "not a number"),
        ("student:5:6", "not a number"),
        ("student:4", "distribution without the needed moment"),
        ("student:-inf", "distribution without the needed moment"),
        ("student:nan", "must have a NU"),
        ("student:inf", "must have a NU"),
        ("bernoulli:0", "above 0 and at most 1"),
        ("bernoulli:1.01", "above 0 and at most 1"),
        ("bernoulli:nan", "above 0 and at most 1"),
        ("bernoulli:1e-9", "at least 1e-06"),
    ],
)
def test_what_names_no_law_is_refused(text: str, rule: str) -> None:
    with pytest.raises(InputError, match=rule) as refusal:
        parse_weights(text)
    assert refusal.value.field == "weights"
    assert refusal.value.remedy


def test_a_law_without_a_parameter_refuses_one() -> None:
    with pytest.raises(InputError, match="takes none"):
        WeightLaw("normal", 2.0)


def test_codes_are_distinct_and_all_laws_are_listed() -> None:
    names = [text.partition(":")[0] for text in WEIGHT_LAWS]
    assert set(names) == {law.name for law in LAWS}
    assert len({law.code for law in LAWS}) == len({law.name for law in LAWS}) == len(names)


# --- exact values ---------------------------------------------------------------------------------

LAWS = [
    parse_weights(text)
    for text in ("normal", "uniform", "rademacher", "laplace", "student:9", "bernoulli:0.3")
]
MORE_LAWS = [
    *LAWS,
    *(parse_weights(f"student:{nu}") for nu in ("4.001", "5", "100", "12345.678", "1e9")),
    *(parse_weights(f"bernoulli:{p}") for p in ("1", "0.5", "1e-6")),
]


def two_word(law: WeightLaw) -> bool:
    return law.name in ("student", "bernoulli")


def exact(law: WeightLaw, words: oracle.Uint32s) -> Floats:
    """Variates of the words of groups, (4, groups), by their definition.

    Shape (4, groups), or (2, groups) for laws of two words.
    """
    wide = words.astype(np.longdouble)
    values: Any
    match law.name:
        case "uniform":
            values = np.sqrt(np.longdouble(3)) * (2 * (wide + 0.5) / 2**32 - 1)
        case "rademacher":
            values = np.where(words < 2**31, 1.0, -1.0)
        case "laplace":
            magnitude = -np.log(oracle.uniform(words).astype(np.longdouble))
            values = np.where(words % 2, -1, 1) * magnitude / np.sqrt(np.longdouble(2))
        case "student":
            nu = np.longdouble(law.parameter)
            log_u = np.log(oracle.uniform(words[::2]).astype(np.longdouble))
            radius = np.sqrt(-2 * log_u)
            normals = np.stack([oracle.normal_pairs(words[v], words[v + 1])[0] for v in (0, 2)])
            cosine = np.divide(normals, radius, out=np.zeros_like(normals), where=radius > 0)
            values = np.sqrt((nu - 2) * np.expm1(-2 * log_u / nu)) * cosine
        case "bernoulli":
            kept = words[2:].astype(np.float64) < law.parameter * 2.0**32
            scale = 1 / np.sqrt(np.longdouble(math.ceil(law.parameter * 2**32)) / 2**32)
            values = np.where(kept, oracle.normal_pairs(words[0], words[1]) * scale, 0)
        case _:
            pairs = [oracle.normal_pairs(words[v], words[v + 1]) for v in (0, 2)]
            values = np.concatenate(pairs)
    return np.asarray(values, dtype=np.float64)


def made(law: WeightLaw, words: oracle.Uint32s) -> Floats:
    """What the kernel makes of the words of ROOM groups, in the shape of `exact`."""
    scratch = words.copy()
    variates.make_variates(scratch, rng.ROOM // lanes.LANES, law.code, law.parameter)
    values = scratch.view(np.float32)
    return (values[::2] if two_word(law) else values).astype(np.float64)


def edge_words(law: WeightLaw) -> npt.NDArray[np.uint32]:
    """All combinations of four words at edges, in tables of ROOM groups: (tables, 4, ROOM)."""
    edges = [0, 1, 2, 3, 2**30, 2**31 - 1, 2**31, 2**32 - 2, 2**32 - 1]
    kept = math.ceil((law.parameter if law.name == "bernoulli" else 0.7) * 2**32)
    edges += [kept - 1, kept % 2**32]
    table = np.array(list(itertools.product(edges, repeat=4)), dtype=np.uint32)
    filled = np.resize(table, (-(-len(table) // rng.ROOM) * rng.ROOM, 4))
    return filled.reshape(-1, rng.ROOM, 4).transpose(0, 2, 1).copy()


@pytest.mark.parametrize("law", MORE_LAWS, ids=str)
def test_words_become_the_documented_value(law: WeightLaw) -> None:
    random = np.random.default_rng(51).integers(0, 2**32, (400, 4, rng.ROOM), dtype=np.uint32)
    for words in (*random, *edge_words(law)):
        expected, values = exact(law, words), made(law, words)
        assert np.all(np.isfinite(values))
        np.testing.assert_allclose(values, expected, rtol=RELATIVE[law.name], atol=0.0)


RELATIVE = {
    "normal": 6e-7,
    "uniform": 3e-7,
    "rademacher": 0.0,
    "laplace": 3e-7,
    "student": 1e-6,
    "bernoulli": 7e-7,
}
"""Bounds of the relative error; 5 ulp of a normal are up to 6e-7."""


def test_student_of_many_degrees_of_freedom_is_normal() -> None:
    words = np.random.default_rng(52).integers(0, 2**32, (4, rng.ROOM), dtype=np.uint32)
    normals = made(WeightLaw("normal"), words)[::2]
    np.testing.assert_allclose(made(WeightLaw("student", 1e9), words), normals, rtol=1e-6)


# --- the order of columns -------------------------------------------------------------------------

KEY = 0x13198A2E03707344


@dataclass(frozen=True)
class Place:
    """Where a row is drawn."""

    stream: int = 4
    row: int = 7
    trial: int = 2**32 + 3
    layer: int = 5
    key: int = KEY


def row(law: WeightLaw, columns: int, place: Place) -> npt.NDArray[np.float32]:
    out = np.full(columns, np.nan, dtype=np.float32)
    words = np.empty((4, rng.ROOM), dtype=np.uint32)
    counter = (np.uint64(place.stream), place.row, place.trial, place.layer)
    variates.fill_variates(out, law.code, law.parameter, words, *counter, *rng.split_key(place.key))
    return out


def place_words(place: Place, groups: int) -> oracle.Uint32s:
    """Words by the oracle of Philox, shape (4, groups)."""
    at = {"stream": place.stream, "row": place.row, "trial": place.trial, "layer": place.layer}
    key = (place.key % oracle.WORD, place.key // oracle.WORD)
    drawn = [oracle.philox(oracle.counter(group=g, **at), key) for g in range(groups)]
    return np.array(drawn, dtype=np.uint32).T


@pytest.mark.parametrize("law", LAWS, ids=str)
def test_columns_have_the_documented_words(law: WeightLaw) -> None:
    values = exact(law, place_words(Place(), 2 * rng.ROOM))
    per_block = 32 if two_word(law) else 64
    c = np.arange(per_block * 2 * rng.ROOM // 16 - 5)  # two whole chunks, almost
    expected = values[c % per_block // 16, 16 * (c // per_block) + c % 16]
    np.testing.assert_allclose(row(law, c.size, Place()), expected, rtol=1e-6, atol=0.0)


@pytest.mark.parametrize("law", LAWS, ids=str)
def test_a_column_does_not_depend_on_the_number_of_columns(law: WeightLaw) -> None:
    long = row(law, 2500, Place())
    for columns in (1, 2, 15, 16, 17, 31, 33, 64, 65, 100, 511, 512, 513, 1023, 1024, 1025, 2047):
        np.testing.assert_array_equal(row(law, columns, Place()), long[:columns])


def test_normals_are_those_of_fill_normals() -> None:
    words = np.empty((4, rng.ROOM), dtype=np.uint32)
    place = Place()
    rng.fill_normals(words, 0, 16, np.uint64(4), 7, place.trial, 5, *rng.split_key(KEY))
    expected = words.view(np.float32).reshape(4, -1, 16).transpose(1, 0, 2).ravel()
    np.testing.assert_array_equal(row(WeightLaw("normal"), expected.size, place), expected)


@pytest.mark.parametrize("law", LAWS, ids=str)
@pytest.mark.parametrize("part", ["stream", "row", "trial", "layer", "key"])
def test_every_part_of_the_counter_matters(law: WeightLaw, part: str) -> None:
    place = Place()
    other = replace(place, **{part: getattr(place, part) + 1})
    # Two rows of 256 signs, or of zeros and normals, agree in 256 places by no accident.
    assert np.mean(row(law, 256, place) == row(law, 256, other)) < 0.8


# --- the laws -------------------------------------------------------------------------------------

TRIALS, LAYERS, ROWS, COLUMNS = 8, 4, 128, 1024
DRAWS = TRIALS * LAYERS * ROWS * COLUMNS
"""4.2 million."""

SIGMAS = 5.0
"""A correct generator goes beyond for one key in two million per check; about a hundred checks
make one key in twenty thousand."""

P_VALUE = 1e-4
"""Of the Kolmogorov–Smirnov tests: five of the laws here, so that one key in 2000 fails."""


@lru_cache(maxsize=2)
def sample(law: WeightLaw, key: int = KEY) -> npt.NDArray[np.float32]:
    """Return variates, shape (trial, layer, row, column)."""
    out = np.empty((TRIALS, LAYERS, ROWS, COLUMNS), dtype=np.float32)
    words = np.empty((4, rng.ROOM), dtype=np.uint32)
    split = rng.split_key(key)
    for t, layer, r in np.ndindex(TRIALS, LAYERS, ROWS):
        counter = (np.uint64(4), r, 2**32 - 4 + t, layer + 1)
        variates.fill_variates(out[t, layer, r], law.code, law.parameter, words, *counter, *split)
    return out


def exact_moment(law: WeightLaw, order: int) -> float:
    """E z^order of a standardised law, for even orders up to 8, in closed form."""
    half, p = order // 2, law.parameter
    normal = math.prod(range(1, order, 2))
    match law.name:
        case "uniform":
            return 3.0**half / (order + 1)
        case "rademacher":
            return 1.0
        case "laplace":
            return math.factorial(order) / 2.0**half
        case "student":
            ratios = ((2 * i - 1) / (p - 2 * i) for i in range(1, half + 1))
            return float((p - 2.0) ** half * math.prod(ratios))
        case "bernoulli":
            return float(normal / p ** (half - 1))
    return float(normal)


def moment_scores(law: WeightLaw, z: npt.NDArray[np.floating]) -> list[float]:
    """First four moments about those of a law, in standard errors."""
    values = z.ravel().astype(np.float64)
    scores = []
    for order in range(1, 5):
        mean = 0.0 if order % 2 else exact_moment(law, order)
        variance = exact_moment(law, 2 * order) - mean**2
        excess = float(np.mean(values**order)) - mean
        if variance == 0.0:
            assert excess == 0.0
        else:
            scores.append(excess / math.sqrt(variance / values.size))
    return scores


@pytest.mark.parametrize("law", LAWS, ids=str)
def test_the_first_four_moments(law: WeightLaw) -> None:
    assert exact_moment(law, 2) == pytest.approx(1.0)
    assert law.fourth_moment == pytest.approx(exact_moment(law, 4))
    assert max(map(abs, moment_scores(law, sample(law)))) < SIGMAS


def distribution(law: WeightLaw) -> Any:
    """Return the distribution; that of the nonzero values of a sparse one."""
    match law.name:
        case "uniform":
            return stats.uniform(-math.sqrt(3.0), 2.0 * math.sqrt(3.0))
        case "laplace":
            return stats.laplace(scale=math.sqrt(0.5))
        case "student":
            nu = law.parameter
            return stats.t(nu, scale=math.sqrt((nu - 2.0) / nu))
        case "bernoulli":
            return stats.norm(scale=1.0 / math.sqrt(law.parameter))
    return stats.norm()


def law_p_value(law: WeightLaw, z: npt.NDArray[np.floating]) -> float:
    """p-value of a Kolmogorov–Smirnov test, zeros of a sparse law left out."""
    values = z.ravel().astype(np.float64)
    if law.name == "bernoulli":
        values = values[values != 0.0]
    return float(stats.kstest(values, distribution(law).cdf, method="asymp").pvalue)


@pytest.mark.slow
@pytest.mark.parametrize("law", [law for law in LAWS if law.name != "rademacher"], ids=str)
def test_the_whole_law(law: WeightLaw) -> None:
    assert law_p_value(law, sample(law)) > P_VALUE


def zero_score(law: WeightLaw, z: npt.NDArray[np.floating]) -> float:
    p = law.parameter
    return float((np.mean(z == 0.0) - (1.0 - p)) / math.sqrt(p * (1.0 - p) / z.size))


def test_a_sparse_law_is_zero_with_its_probability() -> None:
    assert abs(zero_score(LAWS[-1], sample(LAWS[-1]))) < SIGMAS


def test_signs_of_rademacher_are_even() -> None:
    assert set(np.unique(sample(LAWS[2]))) == {-1.0, 1.0}


@pytest.mark.slow
def test_wrong_laws_are_rejected() -> None:
    student, sparse, laplace = LAWS[4], LAWS[5], LAWS[3]
    assert law_p_value(replace(student, parameter=10.0), sample(student)) < P_VALUE
    assert law_p_value(replace(sparse, parameter=0.32), sample(sparse)) < P_VALUE
    assert abs(zero_score(replace(sparse, parameter=0.302), sample(sparse))) > SIGMAS
    wide = 1.01 * sample(laplace)
    assert max(map(abs, moment_scores(laplace, wide))) > SIGMAS
    assert law_p_value(LAWS[0], sample(laplace)) < P_VALUE


# --- independence ---------------------------------------------------------------------------------


def correlation_scores(law: WeightLaw, z: npt.NDArray[np.floating]) -> dict[str, float]:
    """Correlations of values and of squares between neighbours of every kind, in standard errors.

    Columns 16, 32 and 48 apart share a call of Philox; for normals two of them are one pair.
    """
    scores = {}
    fourth = exact_moment(law, 4)
    values = z.astype(np.float64)
    kinds = [("values", values, 1.0)]
    if fourth > 1.0:
        kinds.append(("squares", values**2 - 1.0, fourth - 1.0))
    shifts = [("trial", 0, 1), ("layer", 1, 1), ("row", 2, 1)]
    shifts += [(f"column + {by}", 3, by) for by in (1, 16, 32, 48, 64)]
    for kind, x, variance in kinds:
        for name, axis, by in shifts:
            size = x.shape[axis]
            first = np.take(x, range(size - by), axis)
            second = np.take(x, range(by, size), axis)
            total = float(np.vdot(first, second))
            scores[f"{name}: {kind}"] = total / (variance * math.sqrt(first.size))
    return scores


@pytest.mark.parametrize("law", LAWS, ids=str)
def test_neighbours_are_uncorrelated(law: WeightLaw) -> None:
    scores = correlation_scores(law, sample(law)[:, :, :64])
    assert max(map(abs, scores.values())) < SIGMAS, scores


def test_dependence_is_noticed() -> None:
    law = LAWS[0]
    shared = 0.01 * sample(law)[:, :, :64, :1] + sample(law)[:, :, :64]
    found = correlation_scores(law, np.roll(shared, 1, axis=1) + 0.01 * shared)
    assert abs(found["layer: values"]) > SIGMAS


# --- choices --------------------------------------------------------------------------------------


def choices(
    nodes: int, n: int, place: Place
) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.float64]]:
    index, beta = np.full(nodes, -1, dtype=np.int64), np.full(nodes, np.nan)
    words = np.empty((4, rng.ROOM), dtype=np.uint32)
    key = rng.split_key(place.key)
    counter = (np.uint64(place.stream), place.trial, place.layer)
    variates.fill_choices(index, beta, n, *counter, *key, words)
    return index, beta


@pytest.mark.parametrize("n", [1, 2, 100, 2**25, 2**32 - 2])
def test_choices_have_the_documented_words(n: int) -> None:
    place = Place(stream=6, row=0)
    index, beta = choices(1100, n, place)
    words = place_words(place, 3 * rng.ROOM)
    for i in range(index.size):
        group, v = 16 * (i // 32) + i % 16, i % 32 // 16
        w, u = (int(word) for word in words[2 * v : 2 * v + 2, group])
        assert index[i] == w * (n + 1) // 2**32
        assert beta[i] == math.sqrt((u + 0.5) / 2**32)


def test_choices_do_not_depend_on_the_number_of_nodes() -> None:
    place = Place(stream=6)
    index, beta = choices(1300, 9, place)
    for nodes in (1, 16, 33, 512, 513, 1024):
        few = choices(nodes, 9, place)
        np.testing.assert_array_equal(few[0], index[:nodes])
        np.testing.assert_array_equal(few[1], beta[:nodes])


def choice_p_values(key: int, n: int = 99, exponent: float = 2.0) -> dict[str, float]:
    """p-values of a uniform index, of Beta(exponent, 1), and of the two being independent."""
    index, beta = choices(2**20, n, Place(stream=6, key=key))
    counts = np.bincount(index, minlength=n + 1)
    share = (index - n / 2) * (beta - 2.0 / 3.0) / math.sqrt(((n + 1) ** 2 - 1) / 12.0 / 18.0)
    score = float(share.sum()) / math.sqrt(index.size)
    return {
        "index": float(stats.chisquare(counts).pvalue),
        "beta": float(stats.kstest(beta, stats.beta(exponent, 1.0).cdf, method="asymp").pvalue),
        "together": math.erfc(abs(score) / math.sqrt(2.0)),
    }


def test_the_index_is_uniform_and_the_weight_beta() -> None:
    # Three checks at 1e-4: one key in 3300 fails.
    p_values = choice_p_values(KEY)
    assert min(p_values.values()) > P_VALUE, p_values


def test_a_wrong_beta_and_a_wrong_range_are_rejected() -> None:
    assert choice_p_values(KEY, exponent=2.02)["beta"] < P_VALUE
    index, _ = choices(2**20, 98, Place(stream=6))
    assert stats.chisquare(np.bincount(index, minlength=100)).pvalue < P_VALUE
