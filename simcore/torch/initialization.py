"""Random weights in place, in the manner of `torch.nn.init`: the laws of `simcore.initializers`.

The fan-in n of a weight is all of its dimensions but the first: inputs of a linear layer, channels
of a group times kernel of a convolution. Correlations span the whole fan-in.

Numbers are drawn on the device of the tensor, in float64 for float64 tensors and else in float32;
half precision and bfloat16 hold them rounded.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
from torch import Tensor, nn

from simcore.physics.ensembles import ASYMMETRIC
from simcore.runs.ensemble import Ensemble

from ..errors import InputError
from ..initializers import (
    TRUNCATED_AT,
    TRUNCATED_STD,
    bias_scale,
    centring,
    check_fan_in,
    scales_with_fan_in,
)

LAYERS = (nn.Linear, nn.Conv1d, nn.Conv2d, nn.Conv3d)
"""Layers whose nodes read x as W x + b, with W of the shape (nodes, fan-in)."""

FLOATING = (torch.float16, torch.bfloat16, torch.float32, torch.float64)


# --- one layer ------------------------------------------------------------------------------------


def he_(
    weight: Tensor,
    sigma_w: float | str | None = None,
    generator: torch.Generator | None = None,
    *,
    slopes: str | Sequence[float] | None = None,
) -> Tensor:
    """Fill a weight with independent N(0, σ_w²/n), in place.

    Parameters
    ----------
    weight
        Shape (fan-out, …), at least two dimensions; half, bfloat16, float or double.
    sigma_w, slopes
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
    _fill(Ensemble.he(sigma_w=sigma_w, slopes=slopes), weight, None, generator)
    return weight


def correlated_(
    weight: Tensor,
    k: float,
    sigma_w: float | str | None = None,
    generator: torch.Generator | None = None,
    *,
    slopes: str | Sequence[float] | None = None,
) -> Tensor:
    """Fill a weight with rows of covariance (σ_w²/n)(I − g J/n), in place, theory.md 1 [SS].

    Parameters
    ----------
    weight, sigma_w, generator, slopes
        As for `he_`, which also says what is returned and raised. With k = ∞ there must be more
        than one weight to a node.
    k
        Correlation parameter, −1 < k ≤ ∞.
    """
    _fill(Ensemble.correlated(k, sigma_w=sigma_w, slopes=slopes), weight, None, generator)
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
    check(ensemble, weight, bias, generator, needs_bias=ensemble.name in ASYMMETRIC)
    draw_into(ensemble, weight, bias, generator)


def draw_into(
    ensemble: Ensemble, weight: Tensor, bias: Tensor | None, generator: torch.Generator | None
) -> None:
    """Draw the weights and the bias of a layer into their tensors."""
    fan_out, fan_in = weight.shape[0], _fan_in(weight)
    dtype = torch.float64 if weight.dtype == torch.float64 else torch.float32
    device = weight.device
    with torch.no_grad():
        numbers = torch.empty(fan_out, fan_in + 1, dtype=dtype, device=device)
        _fill_standard(ensemble.weights, numbers, generator)
        rows, biases = numbers[:, :-1], numbers[:, -1]
        if ensemble.weights != "normal" and not scales_with_fan_in(ensemble):
            biases.normal_(generator=generator)
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


def _fill_standard(law: str, numbers: Tensor, generator: torch.Generator | None) -> None:
    """Fill a tensor with numbers of a law, mean 0 and variance 1."""
    if law == "uniform":
        numbers.uniform_(-math.sqrt(3.0), math.sqrt(3.0), generator=generator)
    elif law == "truncated":
        nn.init.trunc_normal_(numbers, a=-TRUNCATED_AT, b=TRUNCATED_AT, generator=generator)
        numbers /= TRUNCATED_STD
    else:
        numbers.normal_(generator=generator)


def _fan_in(weight: Tensor) -> int:
    return math.prod(weight.shape[1:])


# --- checks ---------------------------------------------------------------------------------------


def check(
    ensemble: Ensemble,
    weight: Tensor,
    bias: Tensor | None,
    generator: torch.Generator | None,
    *,
    needs_bias: bool,
) -> None:
    """Raise InputError unless weight and bias can hold a layer of the ensemble."""
    _check_tensor("weight", weight)
    if weight.dim() < 2 or weight.shape[0] < 1:
        rule = "must have two dimensions or more: nodes, and the weights of a node"
        raise InputError("weight", f"shape {tuple(weight.shape)}", rule, "Give a layer's weight.")
    check_fan_in(ensemble, _fan_in(weight))
    if bias is not None or needs_bias:
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
