"""The slow, obvious check on the samplers: whole networks in float64, every weight drawn.

It follows theory.md 1 and 3 word for word and shares nothing with the simulation. How exactly
parallel signals are told from close ones is said in `tests/support/observe.py`.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from .observe import TIE, activation, observe_gradients, observe_network, observe_pairs

__all__ = [
    "GRADIENTS",
    "FixedInputs",
    "Inputs",
    "Law",
    "RandomPairs",
    "simulate",
    "simulate_shared",
]

Floats = npt.NDArray[np.float64]
Integers = npt.NDArray[np.int64]

BATCH_NUMBERS = 2**21
"""Weights held at a time: networks are taken in batches."""


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
    slopes
        Slopes of the activation above and below 0. Signals die where the second is 0.
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
    slopes: tuple[float, float] = (1.0, 0.0)

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


def simulate(
    law: Law, trials: int, rng: np.random.Generator, *, gradients: bool = False
) -> dict[str, Floats]:
    """Return a pair's observables by name, shape (trial, layer), NaN where theory.md 3 says so.

    Parameters
    ----------
    law
        What to simulate.
    trials
        Independent networks.
    rng
        Source of all draws.
    gradients
        Whether to go back through the same weights, for the observables of the gradients.
    """
    inputs = RandomPairs((law.overlap,))
    shared = simulate_shared(law, inputs, trials, rng, gradients=gradients)
    return {name: x[:, 0] for name, x in shared.items() if name not in NETWORK}


def simulate_shared(
    law: Law,
    inputs: Inputs,
    trials: int,
    rng: np.random.Generator,
    *,
    gradients: bool = False,
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
    gradients
        As for `simulate`.

    Returns
    -------
    dict
        Observables of a pair, shape (trial, pair, layer), NaN where theory.md 3 leaves them out;
        those of the network, shape (trial, layer); `activation_rate`, shape (trial, layer, 22).
    """
    largest = max(law.widths) * max(*law.widths, 3, inputs.count)
    if gradients:
        largest *= len(law.widths)  # all layers' weights are held
    batch = max(1, BATCH_NUMBERS // largest)
    parts = [
        list(_layers(law, inputs, min(batch, trials - first), rng, gradients=gradients))
        for first in range(0, trials, batch)
    ]
    return {
        name: np.concatenate(
            [np.stack([row[name] for row in part], axis=_layer_axis(name)) for part in parts]
        )
        for name in parts[0][0]
    }


TANGENT = ("tangent11", "tangent12", "tangent22")
GRADIENTS = (
    "log_gradient1",
    "log_gradient2",
    "gradient_correlation",
    "weight_gradient1",
    *TANGENT,
)
"""Observables of the way back; their values depend on the depth of the network."""

NETWORK = ("dead", "dead_inputs", "dead_network_all", "activation_rate")


def _layer_axis(name: str) -> int:
    return 1 if name in NETWORK else 2


@dataclass(frozen=True)
class Layer:
    """One layer of each trial's network: what it reads, its weights, what it computes."""

    x: Floats
    """Activations that it reads, shape (trial, fan-in, input)."""
    weights: Floats
    """Shape (trial, node, fan-in)."""
    h: Floats
    """Pre-activations, shape (trial, node, input)."""


def _layers(
    law: Law, inputs: Inputs, trials: int, rng: np.random.Generator, *, gradients: bool
) -> Iterator[dict[str, Floats]]:
    """Yield the observables of one layer after the other, shape (trial, pair) or (trial, …)."""
    network = forward(law, inputs, trials, rng)
    if not gradients:
        yield from observe_forward(law, network, inputs)
        return
    layers = list(network)
    deltas = backward(law, layers, rng)
    there = observe_forward(law, layers, inputs)
    back = observe_back(law, layers, deltas, inputs)
    yield from (one | other for one, other in zip(there, back, strict=True))


def forward(law: Law, inputs: Inputs, trials: int, rng: np.random.Generator) -> Iterator[Layer]:
    """Draw inputs and weights; yield the layers of the networks."""
    x = inputs.draw(law, trials, rng)
    for width in law.widths:
        weights, bias = draw_weights(law, width, trials, x.shape[1], rng)
        h = _affine(weights, bias, x)
        yield Layer(x, weights, h)
        x = activation(h, law.slopes)


def observe_forward(
    law: Law, network: Iterable[Layer], inputs: Inputs
) -> Iterator[dict[str, Floats]]:
    """Yield what is seen of the signals, layer by layer."""
    first, second = (list(members) for members in zip(*inputs.pairs, strict=True))
    dead = np.zeros((1, inputs.count), dtype=bool)
    for h in (layer.h for layer in network):
        dead = dead | np.all(h <= 0.0, axis=1)
        yield (
            observe_pairs(h[:, :, first], h[:, :, second], law.slopes)
            | observe_network(h)
            | {
                "dead_network1": dead[:, first].astype(float),
                "dead_network2": dead[:, second].astype(float),
                "dead_network_both": (dead[:, first] & dead[:, second]).astype(float),
                "dead_inputs": dead.mean(axis=1),
                "dead_network_all": dead.all(axis=1).astype(float),
            }
        )


# --- the way back -------------------------------------------------------------------------------


def backward(law: Law, layers: Sequence[Layer], rng: np.random.Generator) -> list[Floats]:
    """Return δ = ∂f/∂h of every layer, shape (trial, node, input), by explicit transposed products.

    f = v·x/√N with x and N of the last layer, v of standard normals drawn for each trial.
    """
    trials, nodes, _ = layers[-1].h.shape
    back = rng.standard_normal((trials, nodes, 1)) / math.sqrt(nodes)
    deltas = []
    for layer in reversed(layers):
        deltas.append(np.where(layer.h > 0.0, law.slopes[0], law.slopes[1]) * back)
        back = layer.weights.swapaxes(1, 2) @ deltas[-1]
    return deltas[::-1]


def observe_back(
    law: Law, layers: Sequence[Layer], deltas: Sequence[Floats], inputs: Inputs
) -> Iterator[dict[str, Floats]]:
    """Yield the observables of the gradients layer by layer, shape (trial, pair) each."""
    first, second = (list(members) for members in zip(*inputs.pairs, strict=True))
    tangent: dict[str, Floats] = {}
    for layer, delta in zip(layers, deltas, strict=True):
        reads = layer.x[:, :, first], layer.x[:, :, second]
        bias = law.bias_scale(layer.x.shape[1])
        seen = observe_gradients(
            reads, (delta[:, :, first], delta[:, :, second]), scales=(law.sigma_w, bias)
        )
        for name in TANGENT:
            seen[name] = tangent[name] = tangent.get(name, 0.0) + seen[name]
        yield seen


# --- one layer of random weights ----------------------------------------------------------------


def pre_activations(law: Law, width: int, x: Floats, rng: np.random.Generator) -> Floats:
    """Draw all weights and biases of a layer; return h, shape (trial, node, input)."""
    return _affine(*draw_weights(law, width, x.shape[0], x.shape[1], rng), x)


def draw_weights(
    law: Law, width: int, trials: int, n: int, rng: np.random.Generator
) -> tuple[Floats, Floats]:
    """Return weights, shape (trial, node, fan-in n), and biases, shape (trial, node, 1)."""
    z = standardised(law.weights, (trials, width, n), rng)
    a = 1.0 - math.sqrt(1.0 - law.g)
    weights = (law.sigma_w / math.sqrt(n)) * (z - a * z.mean(axis=2, keepdims=True))
    bias = law.bias_scale(n) * rng.standard_normal((trials, width, 1))
    return _replace_one(law.replaced, weights, bias, rng) if law.asymmetric else (weights, bias)


def _affine(weights: Floats, bias: Floats, x: Floats) -> Floats:
    """Return h = W x + b; terms that cancel, as ±1 do, leave rounding of 1e-16: that is 0."""
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
