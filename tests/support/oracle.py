"""The slow, obvious check on the samplers: whole networks in float64, every weight drawn.

It follows theory.md 1 and 3 word for word and shares nothing with the simulation.

Exactly parallel signals. Where a single node was active for either signal (or a layer of one or two
nodes leaves the next a single direction), two live signals are exactly parallel or anti-parallel in
real numbers, and float64 leaves some 1e-16 of rounding in their directions, 1e-32 of distance. So a
distance below `PARALLEL` = 1e-20 *is* taken as 0 (and one above 2 − 1e-20 is 2 in float64 anyway).

With a drawn bias signals do not stay parallel, since (a + b₁, b₂) and (ca + b₁, b₂) are not. A
replaced bias does the same: it adds one and the same +β to both signals, and so the asymmetric laws
at σ_b = 0 leave signals parallel only as long as no bias of the layer is replaced. Two dead signals
have one and the same next layer, b or +β, where it is not zero throughout: at distance 0 for good.

The common +β or b makes lengths converge too, so that truly small distances are less rare than
without. Measured at widths 2, 3 and 5, six layers, 100,000 networks of each law (`he` with and
without a bias, `correlated` at k = ∞ without, `rai`, and `raai` at k = ∞, with the bias drawn and
with σ_b = 0): rounding stayed below 1e-22, and no distance lay between that and 1e-20; above it, of
the 600,000 distances of a law and width at most 3 were below 1e-18, and 147 below 1e-14.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

__all__ = ["FixedInputs", "Inputs", "Law", "RandomPairs", "simulate", "simulate_shared"]

Floats = npt.NDArray[np.float64]
Integers = npt.NDArray[np.int64]

PARALLEL = 1e-20
BATCH_NUMBERS = 2**21
"""Weights held at a time: networks are taken in batches."""

TWENTIETHS = 20
RATE_BINS = TWENTIETHS + 2
"""Bins of the activation rate: exactly 0, twentieths of the open interval (0, 1), exactly 1."""


@dataclass(frozen=True)
class Law:
    """The law of the weights and biases, the widths of the layers, and the pair of inputs.

    Parameters
    ----------
    widths
        Nodes of each layer.
    g, sigma_w
        Rows of weights have covariance (σ_w²/n)(I − g J/n), theory.md 1; g = 0 is `he` or `rai`.
    sigma_b
        Standard deviation of the bias; None is σ_w/√n, for asymmetric laws only.
    overlap, q0
        Cosine between the inputs of `simulate`, and mean square of every random input.
    asymmetric
        Whether one of a node's n weights and bias is replaced by a Beta(2,1) draw (`rai`, `raai`).
    weights
        Law of the independent draws z that rows are made of, standardised to mean 0 and variance 1:
        normal, uniform, rademacher, laplace, student:NU (NU degrees of freedom) or bernoulli:P (a
        normal kept with probability P). The bias is Gaussian for all of them.
    replaced
        Which one an asymmetric law replaces: "any" of the n + 1 is right. Wrong, to show that tests
        can fail: "first" (always the first weight), "weights" (any, but not the bias), "none".
    """

    widths: tuple[int, ...]
    g: float = 0.0
    sigma_w: float = math.sqrt(2.0)
    sigma_b: float | None = 0.0
    overlap: float = 0.5
    q0: float = 1.0
    asymmetric: bool = False
    weights: str = "normal"
    replaced: str = "any"

    def __post_init__(self) -> None:
        if self.sigma_b is None and not self.asymmetric:
            raise ValueError("sigma_b may be left to the fan-in for asymmetric laws only")

    def bias_scale(self, fan_in: int) -> float:
        """Return the standard deviation of the bias of a layer."""
        return self.sigma_w / math.sqrt(fan_in) if self.sigma_b is None else self.sigma_b


@dataclass(frozen=True)
class RandomPairs:
    """Pairs drawn anew in each trial, independent of each other: one for each overlap.

    Pair p is made of the inputs 2p and 2p + 1.
    """

    overlaps: tuple[float, ...]

    @property
    def count(self) -> int:
        """Inputs of a network."""
        return 2 * len(self.overlaps)

    @property
    def pairs(self) -> tuple[tuple[int, int], ...]:
        """The two inputs of each pair."""
        return tuple((2 * p, 2 * p + 1) for p in range(len(self.overlaps)))

    def draw(self, law: Law, trials: int, rng: np.random.Generator) -> Floats:
        """Return the inputs, shape (trial, N₀, input), as theory.md 1 says."""
        n0 = max(law.widths[0], 3)
        first, second = rng.standard_normal((2, trials, len(self.overlaps), n0))
        first -= first.mean(axis=-1, keepdims=True)
        second -= second.mean(axis=-1, keepdims=True)
        first /= np.linalg.norm(first, axis=-1, keepdims=True)
        second -= np.sum(first * second, axis=-1, keepdims=True) * first
        second /= np.linalg.norm(second, axis=-1, keepdims=True)
        cosine = np.array(self.overlaps)[:, np.newaxis]
        sine = np.sqrt(1.0 - cosine**2)
        pairs = np.stack([first, cosine * first + sine * second], axis=2)
        inputs = pairs.reshape(trials, self.count, n0).swapaxes(1, 2)
        return np.asarray(math.sqrt(law.q0 * n0) * inputs)


@dataclass(frozen=True)
class FixedInputs:
    """Inputs that every trial reads, as from a file.

    Parameters
    ----------
    rows
        One input each, shape (M, N₀); taken as they are, whatever the law's q₀.
    pairs
        The rows (a, b) whose observables are wanted, a ≠ b.
    """

    rows: Floats
    pairs: tuple[tuple[int, int], ...]

    @property
    def count(self) -> int:
        """Inputs of a network."""
        return int(self.rows.shape[0])

    def draw(self, law: Law, trials: int, rng: np.random.Generator) -> Floats:
        """Return the inputs, shape (trial, N₀, input)."""
        return np.broadcast_to(self.rows.T, (trials, *self.rows.T.shape))


Inputs = RandomPairs | FixedInputs


def simulate(law: Law, trials: int, rng: np.random.Generator) -> dict[str, Floats]:
    """Return a pair's observables by name, shape (trial, layer), NaN where theory.md 3 says so.

    Parameters
    ----------
    law
        What to simulate.
    trials
        Independent networks.
    rng
        Source of all draws.
    """
    shared = simulate_shared(law, RandomPairs((law.overlap,)), trials, rng)
    return {name: x[:, 0] for name, x in shared.items() if name not in NETWORK}


def simulate_shared(
    law: Law, inputs: Inputs, trials: int, rng: np.random.Generator
) -> dict[str, Floats]:
    """Send many inputs through each network; return every observable by name.

    Parameters
    ----------
    law
        What to simulate; its `overlap` is not used, the inputs have their own.
    inputs
        The inputs of a network, and the pairs to observe.
    trials
        Independent networks.
    rng
        Source of all draws.

    Returns
    -------
    dict
        Observables of a pair, shape (trial, pair, layer), NaN where theory.md 3 leaves them out;
        those of the network, shape (trial, layer); `activation_rate`, shape (trial, layer, 22).
    """
    largest = max(law.widths) * max(*law.widths, 3, inputs.count)
    batch = max(1, BATCH_NUMBERS // largest)
    parts = [
        list(_layers(law, inputs, min(batch, trials - first), rng))
        for first in range(0, trials, batch)
    ]
    return {
        name: np.concatenate(
            [np.stack([row[name] for row in part], axis=_layer_axis(name)) for part in parts]
        )
        for name in parts[0][0]
    }


NETWORK = ("dead", "dead_inputs", "dead_network_all", "activation_rate")


def _layer_axis(name: str) -> int:
    return 1 if name in NETWORK else 2


def _layers(
    law: Law, inputs: Inputs, trials: int, rng: np.random.Generator
) -> Iterator[dict[str, Floats]]:
    """Yield the observables of one layer after the other, shape (trial, pair) or (trial, …)."""
    x = inputs.draw(law, trials, rng)
    first, second = (list(members) for members in zip(*inputs.pairs, strict=True))
    dead = np.zeros((trials, inputs.count), dtype=bool)
    for width in law.widths:
        h = pre_activations(law, width, x, rng)
        dead |= np.all(h <= 0.0, axis=1)
        x = np.maximum(h, 0.0)
        yield (
            observe_pairs(h[:, :, first], h[:, :, second])
            | observe_network(h)
            | {
                "dead_network1": dead[:, first].astype(float),
                "dead_network2": dead[:, second].astype(float),
                "dead_network_both": (dead[:, first] & dead[:, second]).astype(float),
                "dead_inputs": dead.mean(axis=1),
                "dead_network_all": dead.all(axis=1).astype(float),
            }
        )


# --- one layer of random weights ----------------------------------------------------------------

TIE = 1e-12
"""Share of the sizes of its terms below which a sum is 0."""


def pre_activations(law: Law, width: int, x: Floats, rng: np.random.Generator) -> Floats:
    """Draw all weights and biases of a layer; return h, shape (trial, node, input).

    Terms that cancel, as ±1 do, leave rounding of 1e-16 of their sizes: that is 0.
    """
    trials, n, _ = x.shape
    z = standardised(law.weights, (trials, width, n), rng)
    a = 1.0 - math.sqrt(1.0 - law.g)
    weights = (law.sigma_w / math.sqrt(n)) * (z - a * z.mean(axis=2, keepdims=True))
    bias = law.bias_scale(n) * rng.standard_normal((trials, width, 1))
    if law.asymmetric:
        weights, bias = _replace_one(law.replaced, weights, bias, rng)
    h = weights @ x + bias
    return np.where(np.abs(h) > TIE * (np.abs(weights) @ np.abs(x) + np.abs(bias)), h, 0.0)


def standardised(weights: str, shape: tuple[int, ...], rng: np.random.Generator) -> Floats:
    """Return independent draws of mean 0 and variance 1; `weights` as in `Law`."""
    name, _, parameter = weights.partition(":")
    if name == "normal":
        return rng.standard_normal(shape)
    if name == "uniform":
        return rng.uniform(-math.sqrt(3.0), math.sqrt(3.0), shape)
    if name == "rademacher":
        return np.where(rng.random(shape) < 0.5, 1.0, -1.0)
    if name == "laplace":
        return rng.laplace(0.0, 1.0 / math.sqrt(2.0), shape)
    if name == "student":
        nu = float(parameter)
        return math.sqrt((nu - 2.0) / nu) * rng.standard_t(nu, shape)
    if name == "bernoulli":
        p = float(parameter)
        kept = rng.random(shape) < p
        return np.where(kept, rng.standard_normal(shape) / math.sqrt(p), 0.0)
    raise ValueError(f"unknown law of the weights: {weights}")


def _replace_one(
    which: str, weights: Floats, bias: Floats, rng: np.random.Generator
) -> tuple[Floats, Floats]:
    """Replace one of the n + 1 numbers of each node by a Beta(2,1) draw, theory.md 1 [L]."""
    if which == "none":
        return weights, bias
    n = weights.shape[2]
    choices = {"any": n + 1, "weights": n, "first": 1}[which]
    replaced = rng.integers(choices, size=bias.shape)
    beta = np.sqrt(rng.random(bias.shape))
    numbers = np.concatenate([weights, bias], axis=2)
    np.put_along_axis(numbers, replaced, beta, axis=2)
    return numbers[:, :, :n], numbers[:, :, n:]


# --- observables --------------------------------------------------------------------------------


def observe_pairs(u: Floats, v: Floats) -> dict[str, Floats]:
    """Return the observables of pairs that one layer alone defines, shape (trial, pair) each.

    `u` and `v` are the pre-activations of the pairs' two signals, shape (trial, node, pair).
    """
    q1, q2 = np.mean(u * u, axis=1), np.mean(v * v, axis=1)
    correlation, distance = _similarity(u, v)
    return {
        "q1": q1,
        "q2": q2,
        "log_q1": _log(q1),
        "log_q2": _log(q2),
        "correlation": correlation,
        "distance": distance,
        "log_distance": _log(distance),
        "angle": 2.0 * np.arcsin(np.sqrt(distance / 2.0)),
        "cosine": _similarity(np.maximum(u, 0.0), np.maximum(v, 0.0))[0],
        "inactive1": np.mean(u <= 0.0, axis=1),
        "inactive2": np.mean(v <= 0.0, axis=1),
        "inactive_both": np.mean((u <= 0.0) & (v <= 0.0), axis=1),
    }


def observe_network(h: Floats) -> dict[str, Floats]:
    """Return the observables of all inputs together, of pre-activations (trial, node, input)."""
    active = np.sum(h > 0.0, axis=2)
    bins = rate_bin(active, h.shape[2])
    return {
        "dead": np.mean(active == 0, axis=1),
        "activation_rate": np.stack([np.mean(bins == b, axis=1) for b in range(RATE_BINS)], axis=1),
    }


def rate_bin(active: Integers, inputs: int) -> Integers:
    """Return the bin of the activation rate: bin b = 1 … 20 holds (b − 1)/20 < rate ≤ b/20.

    Exactly 0 has bin 0 and exactly 1 has bin 21 to itself; `active` of `inputs` are active.
    """
    bins = 1 + (TWENTIETHS * active - 1) // inputs
    return np.where(active == 0, 0, np.where(active == inputs, RATE_BINS - 1, bins))


def _similarity(u: Floats, v: Floats) -> tuple[Floats, Floats]:
    """Return cosine and 1 − cosine of the vectors along axis 1.

    Both NaN where one of the vectors is zero. 1 − c is half the squared distance of the directions,
    and 1 + c that to the opposite one: the lesser is as good as the directions are.
    """
    lengths = [np.sqrt(np.sum(x * x, axis=1, keepdims=True)) for x in (u, v)]
    defined = (lengths[0] > 0.0) & (lengths[1] > 0.0)
    a, b = (x / np.where(defined, length, 1.0) for x, length in zip((u, v), lengths, strict=True))
    less, more = (np.sum((a - s * b) ** 2, axis=1) / 2.0 for s in (1.0, -1.0))
    distance = np.where(less < more, less, 2.0 - more)
    distance = np.where(less < PARALLEL, 0.0, distance)
    distance = np.where(more < PARALLEL, 2.0, distance)
    distance = np.where(defined[:, 0], distance, np.nan)
    return 1.0 - distance, distance


def _log(x: Floats) -> Floats:
    """Natural logarithm, NaN where x is 0 or NaN."""
    positive = x > 0.0
    return np.where(positive, np.log(np.where(positive, x, 1.0)), np.nan)
