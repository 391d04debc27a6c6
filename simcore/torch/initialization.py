"""Random weights in place, in the manner of `torch.nn.init`: the laws of `simcore.initializers`.

The fan-in n of a weight is all of its dimensions but the first: inputs of a linear layer, channels
of a group times kernel of a convolution. Correlations span the whole fan-in.

Numbers are drawn on the device of the tensor, in float64 for float64 tensors and else in float32;
half precision and bfloat16 hold them rounded.
"""

from __future__ import annotations

import math
import warnings
from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn

from simcore.physics.ensembles import ASYMMETRIC
from simcore.runs.ensemble import Ensemble, checked

from ..errors import InputError, SimcoreWarning
from ..initializers import bias_scale, centring, check_fan_in

LAYERS = (nn.Linear, nn.Conv1d, nn.Conv2d, nn.Conv3d)
"""Layers whose nodes read x as W x + b, with W of the shape (nodes, fan-in)."""

FLOATING = (torch.float16, torch.bfloat16, torch.float32, torch.float64)

SHOWN = 4
"""Number of names shown of a longer list."""


# --- one layer ------------------------------------------------------------------------------------


def he_(
    weight: Tensor,
    sigma_w: float | str | None = None,
    generator: torch.Generator | None = None,
) -> Tensor:
    """Fill a weight with independent N(0, σ_w²/n), in place.

    Parameters
    ----------
    weight
        Shape (fan-out, …), at least two dimensions; half, bfloat16, float or double.
    sigma_w
        As for `simcore.Ensemble`.
    generator
        Source of the draws, on the device of the weight; None is PyTorch's own.

    Returns
    -------
    Tensor
        The weight.

    Raises
    ------
    InputError
        If the weight is none of those, a parameter is out of range, or the generator is elsewhere.
    """
    _fill(Ensemble.he(sigma_w=sigma_w), weight, None, generator)
    return weight


def correlated_(
    weight: Tensor,
    k: float,
    sigma_w: float | str | None = None,
    generator: torch.Generator | None = None,
) -> Tensor:
    """Fill a weight with rows of covariance (σ_w²/n)(I − g J/n), in place, theory.md 1 [SS].

    Parameters
    ----------
    weight, sigma_w, generator
        As for `he_`, which also says what is returned and raised. With k = ∞ there must be more
        than one weight to a node.
    k
        Correlation parameter, −1 < k ≤ ∞.
    """
    _fill(Ensemble.correlated(k, sigma_w=sigma_w), weight, None, generator)
    return weight


def rai_(
    weight: Tensor,
    bias: Tensor,
    sigma_w: float | str | None = None,
    sigma_b: float | None = None,
    generator: torch.Generator | None = None,
) -> tuple[Tensor, Tensor]:
    """Fill weight and bias by the law `rai`, in place, theory.md 1 [L].

    The n weights and the bias of a node are N(0, σ_w²/n), and one of the n + 1 is replaced by a
    Beta(2,1) draw.

    Parameters
    ----------
    weight, generator
        As for `he_`, which also says what is raised.
    bias
        Shape (fan-out,).
    sigma_w, sigma_b
        As for `simcore.Ensemble`.

    Returns
    -------
    weight, bias
        The tensors that were given.
    """
    _fill(Ensemble.rai(sigma_w=sigma_w, sigma_b=sigma_b), weight, bias, generator)
    return weight, bias


def raai_(
    weight: Tensor,
    bias: Tensor,
    k: float,
    sigma_w: float | str | None = None,
    sigma_b: float | None = None,
    generator: torch.Generator | None = None,
) -> tuple[Tensor, Tensor]:
    """Fill weight and bias by the law `raai`, in place, theory.md 1 [SS].

    As `rai_`, the weights first drawn as `correlated_` draws them; the parameters are theirs.
    """
    _fill(Ensemble.raai(k, sigma_w=sigma_w, sigma_b=sigma_b), weight, bias, generator)
    return weight, bias


def _fill(
    ensemble: Ensemble, weight: Tensor, bias: Tensor | None, generator: torch.Generator | None
) -> None:
    """Check a weight and, where there is one, its bias, and draw them."""
    _check(ensemble, weight, bias, generator)
    _draw_into(ensemble, weight, bias, generator)


def _draw_into(
    ensemble: Ensemble, weight: Tensor, bias: Tensor | None, generator: torch.Generator | None
) -> None:
    """Draw the weights and the bias of a layer into their tensors."""
    fan_out, fan_in = weight.shape[0], _fan_in(weight)
    dtype = torch.float64 if weight.dtype == torch.float64 else torch.float32
    device = weight.device
    with torch.no_grad():
        numbers = torch.randn(fan_out, fan_in + 1, dtype=dtype, device=device, generator=generator)
        rows, biases = numbers[:, :-1], numbers[:, -1]
        rows *= ensemble.resolved_sigma_w / math.sqrt(fan_in)
        for a in centring(ensemble):
            rows -= a * rows.mean(dim=1, keepdim=True)
        scale = bias_scale(ensemble, fan_in)
        biases.copy_(scale * biases if scale else torch.zeros_like(biases))
        if ensemble.name in ASYMMETRIC:
            one = (fan_out, 1)
            index = torch.randint(fan_in + 1, one, device=device, generator=generator)
            uniform = torch.rand(one, dtype=dtype, device=device, generator=generator)
            numbers.scatter_(1, index, uniform.sqrt())
        weight.copy_(rows.reshape(weight.shape))
        if bias is not None:
            bias.copy_(biases)


def _fan_in(weight: Tensor) -> int:
    return math.prod(weight.shape[1:])


# --- a whole model --------------------------------------------------------------------------------


class Initialized(NamedTuple):
    """Layers of a model that `initialize_` drew, and those it left alone."""

    layers: tuple[str, ...]
    """Names of the layers whose weights were drawn."""
    left_alone: tuple[str, ...]
    """Names, with classes, of the modules that have parameters of their own and were left alone."""


def initialize_(
    module: nn.Module, ensemble: Ensemble, generator: torch.Generator | None = None
) -> Initialized:
    """Draw the weights and biases of every Linear and Conv1d, 2d, 3d of a model, in place.

    Each layer has the ensemble's law at its own fan-in. Biases are zeroed where the ensemble has
    none. Other modules with parameters (normalisations, embeddings, transposed convolutions,
    recurrent layers, the packed weight of an attention) are left alone. Nothing is changed if one
    of the layers is refused.

    Parameters
    ----------
    module
        The model, or one layer.
    ensemble
        The law.
    generator
        Source of the draws, on the device of the weights; None is PyTorch's own.

    Returns
    -------
    Initialized
        The layers that were drawn, and the modules that were left alone.

    Raises
    ------
    InputError
        If there is no such layer, or one, which is named, can't have the law: it lacks a bias, its
        weight or bias is computed from other parameters, is on the meta device or no float, or the
        weight would be 0 throughout.

    Warns
    -----
    SimcoreWarning
        If a module that was left alone has a parameter of two or more dimensions.

    Examples
    --------
    >>> import simcore, torch
    >>> model = torch.nn.Sequential(
    ...     torch.nn.Linear(784, 512), torch.nn.ReLU(), torch.nn.Linear(512, 10)
    ... )
    >>> simcore.torch.initialize_(model, simcore.Ensemble.correlated(k=1.0)).layers
    ('0', '2')
    """
    layers = _checked_layers(module, ensemble, generator)
    for layer in layers.values():
        _draw_into(ensemble, layer.weight, layer.bias, generator)
    drawn = {id(p) for layer in layers.values() for p in (layer.weight, layer.bias)}
    others = {_shown(name, part): shape for name, part, shape in _others(module, drawn)}
    _warn_of([name for name, dimensions in others.items() if dimensions > 1])
    return Initialized(tuple(layers), tuple(others))


def _others(module: nn.Module, drawn: set[int]) -> Iterator[tuple[str, nn.Module, int]]:
    """Yield modules with parameters that were not drawn, and the most dimensions of these."""
    for name, part in module.named_modules():
        own = [p.dim() for p in part.parameters(recurse=False) if id(p) not in drawn]
        if own:
            yield name, part, max(own)


def _warn_of(names: list[str]) -> None:
    if names:
        rest = f" and {len(names) - SHOWN} more" if len(names) > SHOWN else ""
        listed = ", ".join(names[:SHOWN]) + rest
        told = f"initialize_ left alone {listed}: only Linear and Conv1d, 2d, 3d are drawn"
        warnings.warn(told, SimcoreWarning, stacklevel=3)


def _shown(name: str, layer: nn.Module) -> str:
    """Return a module's name in its model with its class, or its class alone."""
    kind = type(layer).__name__
    return f"{name} ({kind})" if name else kind


# --- checks ---------------------------------------------------------------------------------------


def _check(
    ensemble: Ensemble, weight: Tensor, bias: Tensor | None, generator: torch.Generator | None
) -> None:
    """Raise InputError unless weight and bias can hold a layer of the ensemble."""
    _check_tensor("weight", weight)
    if weight.dim() < 2 or weight.shape[0] < 1:
        rule = "must have two dimensions or more: nodes, and the weights of a node"
        raise InputError("weight", f"shape {tuple(weight.shape)}", rule, "Give a layer's weight.")
    check_fan_in(ensemble, _fan_in(weight))
    if bias is not None or ensemble.name in ASYMMETRIC:
        bias = _check_tensor("bias", bias)
        if bias.shape != weight.shape[:1]:
            rule = f"must have the shape ({weight.shape[0]},): one for each node of the weight"
            raise InputError("bias", f"shape {tuple(bias.shape)}", rule, "Give the layer's bias.")
    if generator is not None and generator.device.type != weight.device.type:
        rule = f"is not on the device of the weight, {weight.device}"
        remedy = f"Make it by torch.Generator('{weight.device}')."
        raise InputError("generator", str(generator.device), rule, remedy)


def _check_tensor(field: str, tensor: Tensor | None) -> Tensor:
    """Return a tensor; InputError if it can't be filled."""
    if not isinstance(tensor, Tensor):
        raise InputError(field, type(tensor).__name__, "must be a tensor", f"Give a {field}.")
    if nn.parameter.is_lazy(tensor):
        remedy = "Run a batch of inputs through the model first."
        raise InputError(field, "uninitialized", "has no shape yet", remedy)
    if tensor.is_meta:
        remedy = "Give it memory first: module.to_empty(device='cpu')."
        raise InputError(field, "meta", "is on the meta device and holds no numbers", remedy)
    if tensor.dtype not in FLOATING or tensor.layout != torch.strided:
        rule = "must hold half, bfloat16, float or double in dense memory"
        raise InputError(field, f"{tensor.dtype}, {tensor.layout}", rule, "Convert it first.")
    return tensor


def _checked_layers(
    module: nn.Module, ensemble: Ensemble, generator: torch.Generator | None
) -> dict[str, Any]:
    """Return the layers of a model by name; InputError if one can't have the law."""
    if not isinstance(module, nn.Module):
        raise InputError("module", type(module).__name__, "is no torch.nn.Module", "Give a model.")
    checked(ensemble)
    layers: dict[str, Any] = {
        name: layer for name, layer in module.named_modules() if isinstance(layer, LAYERS)
    }
    if not layers:
        rule = "has no Linear and no Conv1d, Conv2d or Conv3d"
        raise InputError("module", type(module).__name__, rule, "Give a model with such layers.")
    for name, layer in layers.items():
        _check_layer(name, layer, ensemble, generator)
    if ensemble.name in ASYMMETRIC:
        _check_unshared(layers, ensemble)
    return layers


def _check_layer(
    name: str, layer: nn.Module, ensemble: Ensemble, generator: torch.Generator | None
) -> None:
    """As `_check`, of a layer whose parameters are its own; errors name it."""
    own = dict(layer.named_parameters(recurse=False))
    shown = _shown(name, layer)
    for part in ("weight", "bias"):
        if part not in own and (part == "weight" or layer.bias is not None):
            rule = f"has a {part} that is computed from other parameters (weight_norm, pruning)"
            raise InputError("module", shown, rule, "Initialize it before that is added.")
    needs_bias = ensemble.name in ASYMMETRIC or bool(ensemble.sigma_b)
    if needs_bias and "bias" not in own:
        rule = f"has no bias of its own, and {ensemble.name} draws one"
        if ensemble.name not in ASYMMETRIC:
            rule = f"has no bias of its own, and sigma_b = {ensemble.sigma_b:g}"
        raise InputError("module", shown, rule, "Make it with bias=True.")
    try:
        _check(ensemble, own["weight"], own.get("bias"), generator)
    except InputError as error:
        where = f"{name}.{error.field}" if name else error.field
        raise InputError(where, error.value, error.rule, error.remedy) from None


def _check_unshared(layers: Mapping[str, nn.Module], ensemble: Ensemble) -> None:
    """Refuse layers that share a weight or a bias: each node has one replaced number, not two."""
    owners: dict[int, str] = {}
    for name, layer in layers.items():
        for parameter in layer.parameters(recurse=False):
            owner = owners.setdefault(id(parameter), name)
            if owner != name:
                rule = f"shares a parameter with {owner}, where {ensemble.name} replaces one"
                raise InputError("module", _shown(name, layer), rule, "Use he or correlated.")
