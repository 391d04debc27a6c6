"""Statistical checks of the normals: a source draws them as the sampler does, a battery judges.

A source may be corrupted on its way (counters, words, normals), which shows that the battery can
fail.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt
from numba import njit
from scipy import special, stats

from simcore.numerics.rng import Stream, fill_words, normal_pair, split_key
from tests.numerics.randomness.oracle import Uint32s

Normals = npt.NDArray[np.float32]

LANES = 16
NODES, LAYERS = 2**15, 4
FIRST_TRIAL = 2**32 - 20
"""Trials cross the border between the two counter words that hold them."""

CELLS_PER_UNIT, REACH = 64, 8
CELLS = 2 * REACH * CELLS_PER_UNIT
SECTORS, SHELLS = 16, 16
TAN_EIGHTH_PI = math.tan(math.pi / 8.0)
KINDS = ("products", "squares", "signs")


# --- drawing --------------------------------------------------------------------------------------


@njit
def _normals(words, draws):  # type: ignore[no-untyped-def]
    """Turn the words of node groups, (4, groups), into their four normals.

    Not cached, unlike the sums below: Numba would miss a change of the inlined `normal_pair`.
    """
    for j in range(words.shape[1]):
        draws[0, j], draws[1, j] = normal_pair(words[0, j], words[1, j])
        draws[2, j], draws[3, j] = normal_pair(words[2, j], words[3, j])


def _as_is(trial: int, layer: int) -> tuple[int, int]:
    return trial, layer


@dataclass(frozen=True)
class Source:
    """Normals of whole layers, drawn by `fill_words` and `normal_pair`.

    `counters` may change the (trial, layer) that is asked for, `words` the words, (4, groups), and
    `normals` the normals, (4, groups), in place.
    """

    key: int
    counters: Callable[[int, int], tuple[int, int]] = _as_is
    words: Callable[[Uint32s], None] = lambda words: None
    normals: Callable[[Normals], None] = lambda normals: None

    def draw(self, trial: int, layer: int) -> Normals:
        """Return the normals of a layer by group, shape (4, groups): z₁, z₂ of both its nodes."""
        words = np.empty((4, NODES // 2), dtype=np.uint32)
        asked_trial, asked_layer = self.counters(trial, layer)
        key = split_key(self.key)
        stream = np.uint64(Stream.PAIR)
        fill_words(words, 0, NODES // 2, stream, 0, asked_trial, asked_layer, *key)
        self.words(words)
        draws = np.empty(words.shape, dtype=np.float32)
        _normals(words, draws)
        self.normals(draws)
        return draws


def by_node(draws: Normals) -> Normals:
    """Bring draws by group into the order of nodes, shape (2, nodes)."""
    halves = draws.reshape(2, 2, -1, LANES)
    return np.ascontiguousarray(halves.transpose(1, 2, 0, 3)).reshape(2, -1)


# --- counting -------------------------------------------------------------------------------------


@njit(fastmath=True, cache=True)
def _add_products(a, b, sums):  # type: ignore[no-untyped-def]
    """Add the products of the values, of the centred squares and of the signs."""
    values = squares = signs = 0.0
    for i in range(a.size):
        x, y = np.float64(a[i]), np.float64(b[i])
        values += x * y
        squares += (x * x - 1.0) * (y * y - 1.0)
        signs += math.copysign(1.0, x) * math.copysign(1.0, y)
    sums[0] += values
    sums[1] += squares
    sums[2] += signs


@njit(fastmath=True, cache=True)
def _add_single(z, powers, cells):  # type: ignore[no-untyped-def]
    """Add the first four powers, and count in cells of width 1/64."""
    s1 = s2 = s3 = s4 = 0.0
    for i in range(z.size):
        x = np.float64(z[i])
        square = x * x
        s1 += x
        s2 += square
        s3 += square * x
        s4 += square * square
        cells[int((x + REACH) * CELLS_PER_UNIT)] += 1
    powers[0] += s1
    powers[1] += s2
    powers[2] += s3
    powers[3] += s4


@njit(cache=True)
def _add_polar(z1, z2, table):  # type: ignore[no-untyped-def]
    """Count nodes by sector (sixteenth of the circle) and by equiprobable shell of the radius."""
    for i in range(z1.size):
        x, y = np.float64(z1[i]), np.float64(z2[i])
        low, high = min(abs(x), abs(y)), max(abs(x), abs(y))
        sector = 8 * (x < 0.0) + 4 * (y < 0.0) + 2 * (abs(x) < abs(y))
        sector += low > TAN_EIGHTH_PI * high
        shell = int(SHELLS * math.exp(-0.5 * (x * x + y * y)))
        table[sector, min(shell, SHELLS - 1)] += 1


@dataclass
class Tally:
    """Sums over all normals of some trials, kept by relation as (combination, kind)."""

    powers: npt.NDArray[np.float64] = field(default_factory=lambda: np.zeros(4))
    cells: npt.NDArray[np.int64] = field(default_factory=lambda: np.zeros(CELLS, np.int64))
    polar: npt.NDArray[np.int64] = field(
        default_factory=lambda: np.zeros((SECTORS, SHELLS), np.int64)
    )
    products: dict[str, npt.NDArray[np.float64]] = field(default_factory=dict)
    pairs: dict[str, int] = field(default_factory=dict)

    def add(self, draws: Normals, nodes: Normals) -> None:
        """Add one layer: its draws by group and the same by node."""
        _add_single(draws.ravel(), self.powers, self.cells)
        _add_polar(draws[0], draws[1], self.polar)
        _add_polar(draws[2], draws[3], self.polar)
        self.relate("in a node", nodes[:1], nodes[1:])
        self.relate("next node", nodes[:, :-1], nodes[:, 1:])
        self.relate("half of a call", draws[:2], draws[2:])

    def relate(self, relation: str, first: Normals, second: Normals) -> None:
        """Add the products of every row of `first` with every row of `second`."""
        combinations = len(first) * len(second)
        sums = self.products.setdefault(relation, np.zeros((combinations, len(KINDS))))
        for n in range(combinations):
            i, j = divmod(n, len(second))
            _add_products(first[i], second[j], sums[n])
        self.pairs[relation] = self.pairs.get(relation, 0) + first.shape[1]


def tally(source: Source, normals: int) -> Tally:
    """Draw `normals` normals (rounded up to whole trials) and sum them up."""
    result = Tally()
    before: list[Normals] = []
    for trial in range(-(-normals // (2 * NODES * LAYERS))):
        rows: list[Normals] = []
        for layer in range(1, LAYERS + 1):
            draws = source.draw(FIRST_TRIAL + trial, layer)
            nodes = by_node(draws)
            result.add(draws, nodes)
            if rows:
                result.relate("next layer", rows[-1], nodes)
            if before:
                result.relate("next trial", before[layer - 1], nodes)
            rows.append(nodes)
        before = rows
    return result


# --- judging --------------------------------------------------------------------------------------


def p_values(counted: Tally) -> dict[str, float]:
    """Return the p-value of every check under independent standard normals."""
    n = int(counted.cells.sum())
    checks = {}
    x, x2, x3, x4 = counted.powers / n
    # Means of the Hermite polynomials, which are uncorrelated; their variances are 1, 2, 6, 24.
    # They are mean, variance, skewness and kurtosis about the exact values.
    for name, mean, variance in (
        ("mean", x, 1.0),
        ("variance", x2 - 1.0, 2.0),
        ("skewness", x3 - 3.0 * x, 6.0),
        ("kurtosis", x4 - 6.0 * x2 + 3.0, 24.0),
    ):
        checks[name] = math.erfc(abs(mean) / math.sqrt(2.0 * variance / n))
    checks["histogram"] = _histogram(counted.cells)
    outside = np.abs(np.arange(CELLS) + 0.5 - CELLS / 2) / CELLS_PER_UNIT
    for edge in (3, 4, 5):
        beyond = int(counted.cells[outside > edge].sum())
        probability = math.erfc(edge / math.sqrt(2.0))
        checks[f"beyond {edge}"] = _binomial(beyond, n, probability)
    checks["angle and radius"] = float(stats.chisquare(counted.polar.ravel()).pvalue)
    for relation, sums in counted.products.items():
        for kind, total, variance in zip(KINDS, sums.T, (1.0, 4.0, 1.0), strict=True):
            # The combinations are uncorrelated, each normal by the central limit theorem.
            scores = total / math.sqrt(variance * counted.pairs[relation])
            checks[f"{relation}: {kind}"] = float(stats.chi2.sf(np.sum(scores**2), scores.size))
    return checks


def _histogram(cells: npt.NDArray[np.int64]) -> float:
    """p-value of χ² over the cells; those that expect fewer than 50 are joined in either tail."""
    edges = (np.arange(CELLS + 1) - CELLS / 2) / CELLS_PER_UNIT
    expected = cells.sum() * np.diff(special.ndtr(edges))
    kept = np.flatnonzero(expected >= 50.0)
    inner = slice(kept[0], kept[-1] + 1)
    left, right = slice(0, inner.start), slice(inner.stop, CELLS)
    groups = (left, right)
    observed = np.append(cells[inner], [cells[group].sum() for group in groups])
    predicted = np.append(expected[inner], [expected[group].sum() for group in groups])
    # The grid ends at 8, beyond which lies 1e-15 of the mass: the sums agree to far less than one.
    predicted *= observed.sum() / predicted.sum()
    return float(stats.chisquare(observed, predicted).pvalue)


def _binomial(count: int, n: int, probability: float) -> float:
    """Two-sided p-value of a count: twice the smaller tail."""
    below = stats.binom.cdf(count, n, probability)
    above = stats.binom.sf(count - 1, n, probability)
    return float(min(1.0, 2.0 * min(below, above)))
