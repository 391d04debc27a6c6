"""Observables of the layers of a PyTorch model, in the simulator's names.

The nodes of a layer are all numbers of its output for one input: outputs of a linear layer,
channels times pixels of a convolution, and so on for any further dimension. Observed is the
layer's own output, the pre-activation h; activations are max(h, 0), whatever the model applies.
"""

from __future__ import annotations

import operator
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
import xarray as xr
from torch import Tensor, nn

from simcore.inputs.input_set import DEFAULT_PAIRS
from simcore.inputs.pairs import PairGeometry, pair_geometry, pick_pairs
from simcore.physics.observables import BY_NAME, NAMES, RATE_BINS
from simcore.physics.parameters import PARAMETERS, whole

from ..errors import InputError
from . import initialization

Floats = npt.NDArray[np.float64]
Pairs = tuple[tuple[int, int], ...]
Layer = tuple[str, int, dict[str, Any]]

LAYERS = (*initialization.LAYERS, nn.ConvTranspose1d, nn.ConvTranspose2d, nn.ConvTranspose3d)
"""Layers that are observed."""

PAIR_NAMES = NAMES[: NAMES.index("dead_network1")]
"""Observables of a pair in one layer; those that follow take the layers for a chain."""

PARALLEL = 4.0
"""1 − c below this many ε² counts as 0: rounding of h alone could cause it."""

NODE_NAMES = ("dead", "activation_rate")
"""Observables of the nodes of one layer, over all inputs."""


def trace(
    model: nn.Module,
    inputs: Tensor,
    pairs: int | Sequence[tuple[int, int]] | None = None,
) -> xr.Dataset:
    """Send inputs through a model and observe the pre-activations of every layer.

    Layers are the calls of Linear and (transposed) convolutions, in their order; one that is called
    twice is there twice. The model runs once, without gradients and in `eval` mode, and is left as
    it was.

    Parameters
    ----------
    model
        A model that takes `inputs` and keeps them apart, along the first dimension.
    inputs
        M inputs, shape (M, …), floating, on the device of the model.
    pairs
        Pairs of inputs to observe: their row numbers, from 0, or the number of pairs to draw
        (always the same ones). None draws 64, or takes all if there are fewer.

    Returns
    -------
    xarray.Dataset
        Of every pair and layer, dimensions ``pair`` and ``layer``: ``q1``, ``q2``, ``log_q1``,
        ``log_q2``, ``correlation``, ``distance``, ``log_distance``, ``angle``, ``cosine``,
        ``inactive1``, ``inactive2``, ``inactive_both`` (theory.md 3), NaN where they are undefined;
        a distance that the rounding of h alone could make (5e-14 in float32) is 0.
        Of all inputs: ``dead``, dimension ``layer``, the fraction of nodes with h ≤ 0 for every
        input, and ``activation_rate``, dimensions ``layer`` and ``rate``. Coordinates ``module``
        and ``width`` are the name of each layer and its nodes; ``first_input``, ``second_input``,
        ``overlap``, ``initial_distance``, ``input_q1``, ``input_q2`` describe the pairs.

    Raises
    ------
    InputError
        If the inputs are no floating tensor with two rows or more, a pair is none of them, the
        model calls none of these layers, or one of them mixes the inputs up.

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
    """
    _check_inputs(model, inputs)
    chosen = _choose_pairs(pairs, inputs.shape[0])
    layers = _observed(model, inputs, chosen)
    if not layers:
        rule = "calls no Linear and no convolution"
        raise InputError("model", type(model).__name__, rule, "Trace one that is made of them.")
    return _dataset(layers, chosen, _doubles(inputs.detach().flatten(1)))


def _observed(model: nn.Module, inputs: Tensor, pairs: Pairs) -> list[Layer]:
    """Run a model and return the name, the nodes and the observables of each call of a layer."""
    layers: list[Layer] = []

    def observe(name: str, h: Tensor) -> None:
        if h.dim() < 2 or h.shape[0] != inputs.shape[0]:
            rule = f"gives {tuple(h.shape)} for {inputs.shape[0]} inputs: not a row to each"
            remedy = "Trace a model whose layers keep the inputs along the first dimension."
            raise InputError("model", name, rule, remedy)
        nodes = h.detach().flatten(1)
        layers.append((name, nodes.shape[1], _observe(nodes, pairs)))

    with _watched(model, observe), torch.no_grad():
        model(inputs)
    return layers


@contextmanager
def _watched(model: nn.Module, observe: Callable[[str, Tensor], None]) -> Iterator[None]:
    """Call `observe` with each output of a layer; the model is in `eval` mode meanwhile."""

    def hook(name: str) -> Callable[[nn.Module, Any, Tensor], None]:
        return lambda _layer, _given, output: observe(name, output)

    modes = [(part, part.training) for part in model.modules()]
    handles = [
        layer.register_forward_hook(hook(name or type(layer).__name__))
        for name, layer in model.named_modules()
        if isinstance(layer, LAYERS)
    ]
    model.eval()
    try:
        yield
    finally:
        for handle in handles:
            handle.remove()
        for part, training in modes:
            part.training = training


# --- inputs and pairs -----------------------------------------------------------------------------


def _check_inputs(model: nn.Module, inputs: Tensor) -> None:
    if not isinstance(model, nn.Module):
        raise InputError("model", type(model).__name__, "is no torch.nn.Module", "Give a model.")
    if not isinstance(inputs, Tensor) or not inputs.is_floating_point() or inputs.dim() < 2:
        given = f"{inputs.dtype}" if isinstance(inputs, Tensor) else type(inputs).__name__
        if isinstance(inputs, Tensor):
            given += f" of shape {tuple(inputs.shape)}"
        rule = "must be a floating tensor of the shape (inputs, ...)"
        raise InputError("inputs", given, rule, "Stack the inputs along the first dimension.")
    if inputs.is_meta:
        rule, remedy = "is the meta device, which holds no numbers", "Give numbers."
        raise InputError("inputs", "meta", rule, remedy)


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


def _observe(h: Tensor, pairs: Pairs) -> dict[str, Any]:
    """Return the observables of a layer: of the pairs, shape (P,), and of the nodes.

    `h` has shape (M, nodes).
    """
    parallel = PARALLEL * torch.finfo(h.dtype).eps ** 2
    rows = [_observe_pair(_doubles(h[[a, b]]), parallel) for a, b in pairs]
    of_pairs = {name: np.array([row[name] for row in rows]) for name in PAIR_NAMES}
    active = np.asarray((h > 0).sum(dim=0).cpu().numpy())
    rates = np.bincount(_rate_bin(active, h.shape[0]), minlength=RATE_BINS) / active.size
    return {**of_pairs, "dead": rates[0], "activation_rate": rates}


def _observe_pair(h: Floats, parallel: float) -> dict[str, float]:
    """Return the observables of the two signals h, shape (2, nodes).

    A distance below `parallel` is 0.
    """
    before, after = _geometry(h), _geometry(np.maximum(h, 0.0))
    q1, q2, distance = (float(x[0]) for x in (before.q1, before.q2, before.distance))
    distance = 0.0 if distance < parallel else distance
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


def _dataset(layers: list[Layer], pairs: Pairs, inputs: Floats) -> xr.Dataset:
    variables = {}
    for name in PAIR_NAMES + NODE_NAMES:
        values = np.array([observed[name] for _, _, observed in layers])
        dims = ("layer", "rate") if BY_NAME[name].rates else ("layer",)
        if name in PAIR_NAMES:
            values, dims = values.T, ("pair", "layer")
        attributes = {"long_name": BY_NAME[name].long_name, "units": BY_NAME[name].units}
        variables[name] = xr.Variable(dims, values, attributes)
    return xr.Dataset(variables, _coordinates(layers, pairs, inputs))


def _coordinates(layers: list[Layer], pairs: Pairs, inputs: Floats) -> dict[str, xr.Variable]:
    with np.errstate(all="ignore"):
        geometry = pair_geometry(inputs, pairs)
    first, second = zip(*pairs, strict=True)
    edges = np.linspace(0.0, 1.0, RATE_BINS - 1)
    along_layers = {
        "layer": (np.arange(1, len(layers) + 1), "layer, from 1, in the order of calls"),
        "module": ([name for name, _, _ in layers], "name of the layer in the model"),
        "width": ([nodes for _, nodes, _ in layers], PARAMETERS["width"].long_name),
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
