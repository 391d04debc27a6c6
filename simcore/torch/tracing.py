"""Observables of the layers of a PyTorch model, in the simulator's names.

The nodes of a layer are all numbers of its output for one input: outputs of a linear layer,
channels times pixels of a convolution, and so on for any further dimension. Observed is the
layer's own output, the pre-activation h; activations are those of the ReLU or LeakyReLU behind it
(`activations.slopes_of`), and max(h, 0) where the model applies anything else.
"""

from __future__ import annotations

import operator
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import fields
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
import xarray as xr
from torch import Tensor, nn

from simcore.inputs.input_set import DEFAULT_PAIRS
from simcore.inputs.pairs import PairGeometry, pair_geometry, pick_pairs
from simcore.physics.observables import BY_NAME, GRADIENT_NAMES, NAMES, RATE_BINS
from simcore.physics.parameters import PARAMETERS, whole
from simcore.physics.slopes import RELU, Slopes
from simcore.runs.ensemble import Ensemble

from ..errors import InputError
from .activations import slopes_of
from .watching import LAYERS, arguments, checked_model, modules_of, run, shown
from .way_back import TANGENT, WayBack, observe_back

Floats = npt.NDArray[np.float64]
Pairs = tuple[tuple[int, int], ...]
Layer = tuple[str, int, dict[str, Any]]

PAIR_NAMES = tuple(name for name in NAMES if not name.startswith("dead_network"))
"""Observables of a pair in one layer; the others take the layers for a chain."""

PARALLEL = 4.0
"""1 − c below this many ε² counts as 0: rounding of h alone could cause it."""

NODE_NAMES = ("dead", "activation_rate")
"""Observables of the nodes of one layer, over all inputs."""


def trace(
    model: nn.Module,
    *args: Any,
    pairs: int | Sequence[tuple[int, int]] | None = None,
    mode: str | None = None,
    gradients: bool | Ensemble = False,
    readout_seed: int = 0,
    **kwargs: Any,
) -> xr.Dataset:
    """Send inputs through a model and observe the pre-activations of every layer.

    Layers are the calls of Linear and (transposed) convolutions, in their order; one that is called
    twice is there twice. The model runs once, as ``model(*args, **kwargs)``, not compiled. Modes,
    buffers (running statistics) and PyTorch's random numbers are restored, no parameter changes.

    Parameters
    ----------
    model
        A model that keeps its inputs apart, along the first dimension.
    *args, **kwargs
        What the model takes, on its device: tensors of numbers or words, and tuples, lists and
        dicts of them. The first tensor has a row for each of the M inputs. A DataLoader stands for
        its first batch: the first part of a tuple, or the named arguments of a dict.
    pairs
        Pairs of inputs to observe: their row numbers, from 0, or the number of pairs to draw
        (always the same ones). None draws 64, or takes all if there are fewer.
    mode
        ``"eval"`` or ``"train"`` for all modules. None is `eval`, but `train` in normalisations
        that have seen no data yet, whose running statistics would say nothing: they use those of
        the inputs.
    gradients
        Whether to go back, too: f = v·x/√N with x = φ(h) of the last layer, v standard normal,
        N its nodes, and δ = ∂f/∂h of every layer by autograd. An `Ensemble` gives the σ_w and σ_b
        that scale the tangent kernel; True measures them, σ_w² = n⟨W²⟩ and σ_b² = ⟨b²⟩ of a layer.
        Normalisations that use the statistics of the inputs mix their gradients.
    readout_seed
        Of v, by numpy.random.default_rng.

    Returns
    -------
    xarray.Dataset
        Of every pair and layer, dimensions ``pair`` and ``layer``: ``q1``, ``q2``, ``log_q1``,
        ``log_q2``, ``correlation``, ``distance``, ``log_distance``, ``angle``, ``cosine``,
        ``inactive1``, ``inactive2``, ``inactive_both`` (theory.md 3), NaN where they are undefined;
        a distance that the rounding of h alone could make (5e-14 in float32) is 0. With gradients
        also ``log_gradient1``, ``log_gradient2``, ``gradient_correlation``, ``weight_gradient1``,
        ``tangent11``, ``tangent12``, ``tangent22`` (theory.md 7); the last four are those of a
        Linear that reads one vector of each input, and NaN from any other layer on (of it alone
        for ``weight_gradient1``).
        Of all inputs: ``dead``, dimension ``layer``, the fraction of nodes with h ≤ 0 for every
        input, and ``activation_rate``, dimensions ``layer`` and ``rate``. Coordinates ``module``
        and ``width`` are the name of each layer and its nodes, ``positive_slope`` and
        ``negative_slope`` those of its activation; ``first_input``, ``second_input``,
        ``overlap``, ``initial_distance``, ``input_q1``, ``input_q2`` describe the pairs, the last
        four by the first tensor, NaN where it holds whole numbers. Attributes: ``mode`` in words,
        and ``not_seen``, the modules with parameters that were not observed.

    Raises
    ------
    InputError
        If there are no inputs, or fewer than two, a pair is none of them, the model fails, calls
        none of these layers, or one of them mixes the inputs up.

    Examples
    --------
    >>> import simcore, torch
    >>> generator = torch.Generator().manual_seed(0)
    >>> model = torch.nn.Sequential(
    ...     torch.nn.Linear(784, 512), torch.nn.ReLU(), torch.nn.Linear(512, 10)
    ... )
    >>> traced = simcore.torch.trace(model, torch.randn(8, 784, generator=generator), pairs=3)
    >>> traced.correlation.dims, traced.width.values.tolist()
    (('pair', 'layer'), [512, 10])
    >>> traced.mode
    'eval'
    """
    model = checked_model(model)
    inputs = arguments(args, kwargs)
    chosen = _choose_pairs(pairs, inputs.count)
    layers: list[Layer] = []
    slopes = slopes_of(model)
    back = _way_back(gradients, readout_seed, slopes)

    def observe(name: str, layer: nn.Module, h: Tensor) -> None:
        if h.dim() < 2 or h.shape[0] != inputs.count:
            rule = f"gives {tuple(h.shape)} for {inputs.count} inputs: not a row to each"
            remedy = "Trace a model whose layers keep the inputs along the first dimension."
            raise InputError("model", name, rule, remedy)
        nodes = h.detach().flatten(1)
        own = slopes[id(layer)]
        layers.append((name, nodes.shape[1], {"slopes": own, **_observe(nodes, chosen, own)}))

    words = run(model, inputs, observe, mode, None if back is None else back.add)
    if not layers:
        rule = "calls no Linear and no convolution"
        raise InputError("model", type(model).__name__, rule, "Trace one that is made of them.")
    if back is not None:
        _add_back(layers, back, chosen)
    first = inputs.first.detach()
    numbers = _doubles(first.flatten(1)) if first.is_floating_point() else None
    found = _dataset(layers, chosen, numbers)
    not_seen = _not_seen(model, {name for name, _, _ in layers})
    return found.assign_attrs(mode=words, not_seen=", ".join(not_seen))


def _way_back(gradients: object, seed: int, slopes: dict[int, Slopes]) -> WayBack | None:
    """Return the way back that was asked for; None is none."""
    if not isinstance(gradients, bool | Ensemble):
        rule = "must be True, False or a simcore.Ensemble"
        raise InputError("gradients", repr(gradients), rule, "Leave it out, or give True.")
    if gradients is False:
        return None
    drawn = whole("readout_seed", seed, 0, 2**63 - 1)
    return WayBack(drawn, None if gradients is True else gradients, slopes)


def _add_back(layers: list[Layer], back: WayBack, pairs: Pairs) -> None:
    """Add the observables of the way back to those of the layers, the tangent kernel as sums."""
    total = np.zeros((len(TANGENT), len(pairs)))
    for (_, _, seen), (delta, read, scales) in zip(layers, back.gradients(), strict=True):
        rows = [
            observe_back(
                _doubles(delta[[a, b]]), None if read is None else _doubles(read[[a, b]]), scales
            )
            for a, b in pairs
        ]
        seen.update({name: np.array([row[name] for row in rows]) for name in GRADIENT_NAMES})
        for i, name in enumerate(TANGENT):
            total[i] += seen[name]
            seen[name] = total[i].copy()


def _not_seen(model: nn.Module, seen: set[str]) -> Iterator[str]:
    """Yield the modules with parameters of their own that were not observed."""
    if isinstance(model, LAYERS):
        return
    for name, part in modules_of(model):
        words = name.split(".")
        holders = {".".join(words[: i + 1]) for i in range(len(words))}
        if not holders & seen and next(part.parameters(recurse=False), None) is not None:
            yield shown(name, part)


# --- inputs and pairs -----------------------------------------------------------------------------


def _choose_pairs(pairs: int | Sequence[tuple[int, int]] | None, count: int) -> Pairs:
    """Return the pairs to follow among `count` inputs."""
    if pairs is None:
        return pick_pairs(count, max(1, min(DEFAULT_PAIRS, count * (count - 1) // 2)), 0)
    if not isinstance(pairs, Iterable) or getattr(pairs, "ndim", None) == 0:
        return pick_pairs(count, whole("pairs", pairs), 0)
    remedy = f"Give pairs of two different whole numbers from 0 to {count - 1}."
    try:
        chosen = tuple((operator.index(a), operator.index(b)) for a, b in pairs)
    except (TypeError, ValueError):
        raise InputError("pairs", repr(pairs), "must be pairs of row numbers", remedy) from None
    for a, b in chosen:
        if a == b or not (0 <= a < count and 0 <= b < count):
            rule = f"does not name two of the {count} inputs"
            raise InputError("pairs", f"({a}, {b})", rule, remedy)
    if not chosen:
        raise InputError("pairs", "()", "names no pair", remedy)
    return chosen


def _doubles(tensor: Tensor) -> Floats:
    return np.asarray(tensor.cpu().double().numpy())


# --- observables ----------------------------------------------------------------------------------


def _observe(h: Tensor, pairs: Pairs, slopes: Slopes) -> dict[str, Any]:
    """Return the observables of a layer: of the pairs, shape (P,), and of the nodes.

    `h` has shape (M, nodes), `slopes` are those of the activation.
    """
    parallel = PARALLEL * torch.finfo(h.dtype).eps ** 2
    rows = [_observe_pair(_doubles(h[[a, b]]), parallel, slopes) for a, b in pairs]
    of_pairs = {name: np.array([row[name] for row in rows]) for name in PAIR_NAMES}
    active = np.asarray((h > 0).sum(dim=0).cpu().numpy())
    rates = np.bincount(_rate_bin(active, h.shape[0]), minlength=RATE_BINS) / active.size
    return {**of_pairs, "dead": rates[0], "activation_rate": rates}


def _observe_pair(h: Floats, parallel: float, slopes: Slopes = RELU) -> dict[str, float]:
    """Return the observables of the two signals h, shape (2, nodes).

    A distance below `parallel` is 0.
    """
    x = slopes[0] * np.maximum(h, 0.0) + slopes[1] * np.minimum(h, 0.0)
    before, after = _geometry(h), _geometry(x)
    q1, q2, distance = (float(x[0]) for x in (before.q1, before.q2, before.distance))
    distance = 0.0 if distance < parallel else distance
    apart = float(after.distance[0])
    apart = 0.0 if apart < parallel else apart
    inactive = h <= 0.0
    return {
        "q1": q1,
        "q2": q2,
        "log_q1": _log(q1),
        "log_q2": _log(q2),
        "correlation": float(before.overlap[0]),
        "distance": distance,
        "log_distance": _log(distance),
        "angle": 2.0 * float(np.arcsin(np.sqrt(0.5 * distance))),
        "cosine": float(after.overlap[0]),
        "inactive1": float(inactive[0].mean()),
        "inactive2": float(inactive[1].mean()),
        "inactive_both": float(inactive.all(axis=0).mean()),
        "mean1": float(x[0].mean()),
        "mean2": float(x[1].mean()),
        "product": float((x[0] * x[1]).mean()),
        "variance": 0.5 * float(((x[0] - x[1]) ** 2).mean()),
        "log_sine": _log(apart * (2.0 - apart)),
    }


def _geometry(signals: Floats) -> PairGeometry:
    with np.errstate(all="ignore"):
        return pair_geometry(signals, ((0, 1),))


def _log(x: float) -> float:
    """Return ln x, NaN where it is undefined."""
    return float(np.log(x)) if x > 0.0 else np.nan


def _rate_bin(active: npt.NDArray[np.int64], inputs: int) -> npt.NDArray[np.int64]:
    """Return the bin of `observables.RATE_BINS` of nodes that are active for so many inputs."""
    bins = 1 + ((RATE_BINS - 2) * active - 1) // inputs
    return np.where(active == 0, 0, np.where(active == inputs, RATE_BINS - 1, bins))


# --- the Dataset ----------------------------------------------------------------------------------


def _dataset(layers: list[Layer], pairs: Pairs, inputs: Floats | None) -> xr.Dataset:
    variables = {}
    of_pairs = PAIR_NAMES + (GRADIENT_NAMES if GRADIENT_NAMES[0] in layers[0][2] else ())
    for name in of_pairs + NODE_NAMES:
        values = np.array([observed[name] for _, _, observed in layers])
        dims = ("layer", "rate") if BY_NAME[name].rates else ("layer",)
        if name in of_pairs:
            values, dims = values.T, ("pair", "layer")
        attributes = {"long_name": BY_NAME[name].long_name, "units": BY_NAME[name].units}
        variables[name] = xr.Variable(dims, values, attributes)
    return xr.Dataset(variables, _coordinates(layers, pairs, inputs))


def _coordinates(
    layers: list[Layer], pairs: Pairs, inputs: Floats | None
) -> dict[str, xr.Variable]:
    none = np.full(len(pairs), np.nan)
    geometry = PairGeometry(*(none for _ in fields(PairGeometry)))
    if inputs is not None:
        with np.errstate(all="ignore"):
            geometry = pair_geometry(inputs, pairs)
    first, second = zip(*pairs, strict=True)
    edges = np.linspace(0.0, 1.0, RATE_BINS - 1)
    along_layers = {
        "layer": (np.arange(1, len(layers) + 1), "layer, from 1, in the order of calls"),
        "module": ([name for name, _, _ in layers], "name of the layer in the model"),
        "width": ([nodes for _, nodes, _ in layers], PARAMETERS["width"].long_name),
        **{
            name: ([observed["slopes"][i] for _, _, observed in layers], PARAMETERS[name].long_name)
            for i, name in enumerate(("positive_slope", "negative_slope"))
        },
    }
    along_pairs = {
        "pair": (np.arange(len(pairs)), PARAMETERS["pair"].long_name),
        "first_input": (first, "row of the first input, from 0"),
        "second_input": (second, "row of the second input, from 0"),
        "overlap": (geometry.overlap, PARAMETERS["overlap"].long_name),
        "initial_distance": (geometry.distance, PARAMETERS["initial_distance"].long_name),
        "input_q1": (geometry.q1, "mean square of the first input of the pair"),
        "input_q2": (geometry.q2, "mean square of the second input of the pair"),
    }
    along_rates = {
        "rate": (np.arange(RATE_BINS), "bin of the activation rate; the ends are 0 and 1"),
        "rate_lower": (np.concatenate([[0.0], edges]), "lower end of a bin, not in it"),
        "rate_upper": (np.concatenate([edges, [1.0]]), "upper end of a bin"),
    }
    return {
        name: xr.Variable((dim,), np.asarray(values), {"long_name": meaning})
        for dim, found in (("layer", along_layers), ("pair", along_pairs), ("rate", along_rates))
        for name, (values, meaning) in found.items()
    }
