"""Kernel matrices of a data set, `simcore.kernels`: infinite width, and means over networks."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
import numpy.typing as npt

from .errors import InputError
from .physics.ensembles import ASYMMETRIC, FAN_IN
from .physics.parameters import several, whole
from .physics.slopes import RELU, Slopes, mean_square
from .runs.ensemble import Ensemble, checked

if TYPE_CHECKING:
    import xarray as xr

Floats = npt.NDArray[np.float64]

MAX_DEPTH = 100_000
MOST = 2**31 - 1
ROWS = 64
"""Rows of the matrices that are followed together through all layers, to stay in cache."""

MATRICES = 3
"""M × M matrices that are held at infinite width; networks hold twice as many more."""

WORK = 1e13
"""Products that may be spent on networks: about ten minutes of one core."""

_OUTPUTS = {
    "nngp": "covariance of the outputs at infinite width",
    "tangent": "tangent kernel at infinite width",
    "nngp_mean": "mean over networks of the product of two inputs' last activations",
    "nngp_stderr": "standard error of the mean over networks",
    "tangent_mean": "mean tangent kernel over networks",
    "tangent_stderr": "standard error of the mean tangent kernel over networks",
}


def kernels(
    inputs: Any,
    depth: int,
    ensemble: Ensemble | None = None,
    *,
    networks: int | None = None,
    width: int | Sequence[int] | None = None,
    seed: int = 0,
) -> xr.Dataset:
    """Compute the NNGP and tangent kernel matrices of M inputs.

    The network has `depth` hidden layers h^l = W^l x^{l−1} + b^l, x^l = φ(h^l), and a linear
    read-out f = v·x^L/√N_L, v standard normal, without bias. Parameters are those of the NTK
    parametrization: weights σ_w ω/√n, biases σ_b β, read-out v/√N. So

    - ``nngp`` is E f(a) f(b) = ⟨x_a x_b⟩ of the last layer,
    - ``tangent`` is Σ ∂f(a)/∂p ∂f(b)/∂p over all parameters p: `tangent12` of a run with gradients
      in its last layer (the hidden layers), and ``nngp``, the read-out's own term.

    (In neural-tangents: Dense(N, W_std=σ_w, b_std=σ_b), Relu, or ABRelu(s₋, s₊), for each hidden
    layer, then Dense(1, W_std=1, b_std=0).) φ is ReLU, or has the slopes of the ensemble. Of
    `correlated` weights the W are the parameters, as for `he`.

    Parameters
    ----------
    inputs
        One input a row, shape (M, N₀): an array, or a file as for `simulate`.
    depth
        Number of hidden layers L.
    ensemble
        `Ensemble.he(...)`, the default, or `Ensemble.correlated(...)`.
    networks, width
        Number of random networks, at least 2, and the nodes of their layers (one number, or one for
        each layer): adds means over networks with explicit weights and exact gradients, in float64.
    seed
        Of the networks.

    Returns
    -------
    xarray.Dataset
        ``nngp`` and ``tangent``, shape (M, M), dimensions ``input`` and ``other_input``; with
        networks also ``nngp_mean``, ``nngp_stderr``, ``tangent_mean``, ``tangent_stderr``. At
        infinite width to some 1e-13, or 1e-8 where two inputs nearly coincide.

    Raises
    ------
    InputError
        If an argument is out of range, the ensemble has no limit (`rai`, `raai`), or the matrices
        take too much memory or networks too many operations (`WORK`).

    Examples
    --------
    >>> import numpy as np, simcore
    >>> inputs = np.array([[1.0, 0.0], [0.0, 1.0], [1.0, 1.0]])
    >>> found = simcore.kernels(inputs, 3)
    >>> found.tangent.shape, round(float(found.nngp[0, 0]), 3)
    ((3, 3), 0.5)
    """
    from .inputs.rows import read_inputs

    law = _Law.of(checked(ensemble if ensemble is not None else Ensemble.he()))
    layers = whole("depth", depth, 1, MAX_DEPTH)
    rows = read_inputs(inputs)
    sizes = None
    if networks is not None or width is not None:
        networks, sizes = _networks(networks, width, layers)
        _check_work(rows, networks, sizes)
    _check_memory(rows, sizes)
    found = dict(zip(("nngp", "tangent"), _limit(rows, layers, law), strict=True))
    if networks is not None and sizes is not None:
        rng = np.random.default_rng(whole("seed", seed, 0, MOST))
        found |= _averages(rows, law, networks, sizes, rng)
    return _dataset(found, law, layers)


class _Law(NamedTuple):
    ensemble: Ensemble
    g: float
    weight: float
    """σ_w²."""
    bias: float
    """σ_b²."""
    slopes: Slopes = RELU

    @property
    def step(self) -> float:
        """(s₊ − s₋)²."""
        return (self.slopes[0] - self.slopes[1]) ** 2

    @property
    def linear(self) -> float:
        """s₊s₋."""
        return self.slopes[0] * self.slopes[1]

    @classmethod
    def of(cls, ensemble: Ensemble) -> _Law:
        """Return the numbers of an ensemble; InputError if it has no kernel at infinite width."""
        remedy = "Take Ensemble.he() or Ensemble.correlated(k)."
        if ensemble.name in ASYMMETRIC:
            rule = "has no kernel at infinite width"
            raise InputError("ensemble", ensemble.name, rule, remedy)
        if ensemble.sigma_b == FAN_IN:
            rule = "follows the fan-in, and there is none at infinite width"
            raise InputError("sigma_b", FAN_IN, rule, "Give a number.")
        bias = float(ensemble.sigma_b or 0.0)
        return cls(ensemble, ensemble.g, ensemble.resolved_sigma_w**2, bias**2, ensemble.activation)


def _networks(
    networks: int | None, width: int | Sequence[int] | None, depth: int
) -> tuple[int, tuple[int, ...]]:
    """Return the number of networks and the nodes of each layer; InputError unless both are."""
    if networks is None or width is None:
        name = "networks" if networks is None else "width"
        rule = "must be given with the other of networks and width"
        raise InputError(name, "", rule, "Give both, or neither for infinite width alone.")
    sizes = tuple(whole("width", n, 1, MOST) for n in several(width))
    if len(sizes) not in (1, depth):
        rule = f"must be one number, or one for each of the {depth} layers"
        raise InputError("width", f"{len(sizes)} numbers", rule, "Change it, or the depth.")
    return whole("networks", networks, 2, MOST), sizes * (depth if len(sizes) == 1 else 1)


def _check_work(rows: Floats, networks: int, sizes: tuple[int, ...]) -> None:
    count, fan_in, products = len(rows), rows.shape[1], 0.0
    for width in sizes:
        products += count * (2.0 * fan_in * width + (fan_in + width) * count)
        fan_in = width
    if networks * products > WORK:
        rule = f"would take {networks * products:.0e} products, and at most {WORK:.0e} are taken"
        raise InputError("networks", networks, rule, "Take fewer or smaller ones, or fewer inputs.")


def _check_memory(rows: Floats, sizes: tuple[int, ...] | None) -> None:
    """Raise InputError if the matrices, and the signals of a network, do not fit."""
    from .machine.memory import SHARE, available_bytes

    count = len(rows)
    needed = 8 * MATRICES * count**2
    if sizes is not None:
        fan_ins = (rows.shape[1], *sizes)
        weights = sum(n * m for n, m in zip(fan_ins, sizes, strict=False))
        needed += 8 * (2 * MATRICES * count**2 + weights + 2 * count * sum(fan_ins))
    left = available_bytes()
    if needed > SHARE * left:
        rule = f"need {needed / 1e9:.1f} GB of memory, and {left / 1e9:.1f} GB are free"
        raise InputError("inputs", f"{count} rows", rule, "Take fewer inputs.")


# --- infinite width -----------------------------------------------------------------------------


def _limit(rows: Floats, depth: int, law: _Law) -> tuple[Floats, Floats]:
    """Return both matrices at infinite width, theory.md (5), (6), (15).

    Some rows at a time go through all layers: what they need of the others are lengths.
    """
    from .theory.data_set import seen_inputs

    seen = seen_inputs(rows, law.g)
    nngp, tangent = seen @ seen.T, rows @ rows.T
    nngp /= rows.shape[1]
    tangent /= rows.shape[1]
    roots = np.sqrt(_lengths(np.diagonal(nngp).copy(), depth, law))
    for first in range(0, len(rows), ROWS):
        part, rest = slice(first, first + ROWS), slice(first, None)
        own, other = _through(nngp[part, rest], tangent[part, rest], (part, rest), roots, law)
        nngp[part, rest], tangent[part, rest] = own, other
        nngp[rest, part], tangent[rest, part] = own.T, other.T
    if not (np.isfinite(nngp).all() and np.isfinite(tangent).all()):
        rule = "takes the kernels out of the range of float64"
        raise InputError("depth", depth, rule, "Take fewer layers, or another sigma_w.")
    return nngp, tangent


def _lengths(inputs: Floats, depth: int, law: _Law) -> Floats:
    """Return the mean squares of the pre-activations of the layers, shape (depth, M)."""
    found = np.empty((depth, inputs.size))
    found[0] = law.weight * inputs + law.bias
    with np.errstate(over="ignore", invalid="ignore"):
        for layer in range(1, depth):
            half = law.weight * (mean_square(law.slopes) - law.g * law.step / (2.0 * math.pi))
            found[layer] = half * found[layer - 1] + law.bias
    return found


def _through(
    seen: Floats, read: Floats, place: tuple[slice, slice], roots: Floats, law: _Law
) -> tuple[Floats, Floats]:
    """Take some entries through the layers; return ⟨x_a x_b⟩ of the last and the tangent kernel.

    Parameters
    ----------
    seen, read
        Products of the inputs as the weights see them, and as they are.
    place
        Where these entries are; the first of them is on the diagonal.
    roots
        √q of the layers, shape (depth, M).
    law
        Of the weights.
    """
    covariance = law.weight * seen + law.bias
    tangent = law.weight * read + law.bias
    with np.errstate(all="ignore"):
        for layer, root in enumerate(roots):
            size = root[place[0], None] * root[None, place[1]]
            cosine = np.where(size > 0.0, covariance / size, 0.0)
            np.clip(cosine, -1.0, 1.0, out=cosine)
            np.fill_diagonal(cosine, 1.0)
            reach = math.pi - np.arccos(cosine)
            of_relu = size * (np.sqrt(1.0 - cosine**2) + reach * cosine) / (2.0 * math.pi)
            product = law.step * of_relu + law.linear * size * cosine
            both = law.step * reach / (2.0 * math.pi) + law.linear
            share = np.where(size > 0.0, both, 0.0)
            if layer + 1 == len(roots):
                return product, share * tangent + product
            mean = law.step * law.g / (2.0 * math.pi) * size
            covariance = law.weight * (product - mean) + law.bias
            tangent = law.weight * (share * tangent + product) + law.bias
    raise AssertionError  # there is a layer


# --- networks -----------------------------------------------------------------------------------


def _averages(
    rows: Floats, law: _Law, networks: int, sizes: tuple[int, ...], rng: np.random.Generator
) -> dict[str, Floats]:
    """Return means over networks and their standard errors."""
    shape = (2, len(rows), len(rows))
    mean, squares = np.zeros(shape), np.zeros(shape)
    for done in range(1, networks + 1):
        for i, one in enumerate(_network(rows, law, sizes, rng)):
            off = one - mean[i]
            mean[i] += off / done
            squares[i] += off * (one - mean[i])
    errors = np.sqrt(squares / (networks - 1) / networks)
    return {
        "nngp_mean": mean[0],
        "nngp_stderr": errors[0],
        "tangent_mean": mean[1],
        "tangent_stderr": errors[1],
    }


def _network(
    rows: Floats, law: _Law, sizes: tuple[int, ...], rng: np.random.Generator
) -> tuple[Floats, Floats]:
    """Draw a network; return ⟨x_a x_b⟩ of its last layer and its tangent kernel."""
    from .initializers import layer

    positive, negative = law.slopes
    signals, slopes, weights = [rows.T], [], []
    for width in sizes:
        weight, bias = layer(law.ensemble, len(signals[-1]), width, rng)
        weights.append(weight)
        h = weight @ signals[-1] + bias[:, None]
        slopes.append(np.where(h > 0.0, positive, negative))
        signals.append(slopes[-1] * h)
    nngp = _product(signals[-1])
    tangent = nngp.copy()
    back = rng.standard_normal((sizes[-1], 1)) / math.sqrt(sizes[-1])
    for above in range(len(sizes) - 1, -1, -1):
        delta = slopes[above] * back
        read = law.weight * _product(signals[above]) + law.bias
        tangent += read * (delta.T @ delta)
        back = weights[above].T @ delta if above else delta
    return nngp, tangent


def _product(x: Floats) -> Floats:
    return np.asarray(x.T @ x / len(x))


# --- the Dataset --------------------------------------------------------------------------------


def _dataset(found: dict[str, Floats], law: _Law, depth: int) -> xr.Dataset:
    import xarray as xr

    dims = ("input", "other_input")
    variables = {
        name: (dims, values, {"long_name": _OUTPUTS[name], "units": "1"})
        for name, values in found.items()
    }
    given = law.ensemble
    attributes = {"depth": depth, "ensemble": given.name, "k": given.k}
    if given.slopes is not None:
        attributes["slopes"] = str(given.slopes)
    attributes |= {"sigma_w": given.resolved_sigma_w, "sigma_b": math.sqrt(law.bias)}
    return xr.Dataset(variables, attrs=attributes)
