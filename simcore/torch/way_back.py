"""The way back through a model that is traced: gradients of a random read-out, by autograd.

To the output h of each layer a tensor of zeros is added, whose gradient is δ = ∂f/∂h. It does not
matter then which parameters of the model are trained, and no parameter gets a gradient.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, nn

from simcore.physics.slopes import Slopes
from simcore.runs.ensemble import Ensemble

from ..errors import InputError
from ..initializers import bias_scale

Floats = npt.NDArray[np.float64]

TANGENT = ("tangent11", "tangent12", "tangent22")


@dataclass
class WayBack:
    """What a run leaves for its way back; `add` is called with every layer, `gradients` at its end.

    Parameters
    ----------
    seed
        Of the read-out v: f = v·x/√N, x = φ(h) of the last layer with N nodes.
    ensemble
        Whose σ_w and σ_b scale the tangent kernel; None measures those of each layer.
    slopes
        Those of the activation behind each layer, by its id.
    """

    seed: int
    ensemble: Ensemble | None
    slopes: dict[int, Slopes]
    _probes: list[Tensor] = field(default_factory=list)
    _reads: list[Tensor | None] = field(default_factory=list)
    _scales: list[tuple[float, float]] = field(default_factory=list)
    _last: Tensor | None = None

    def add(self, part: Any, given: tuple[Any, ...], h: Tensor) -> Tensor:
        """Note a layer, what it reads and gives; return what it is to give instead."""
        probe = torch.zeros_like(h, requires_grad=True)
        probed = h + probe
        plain = isinstance(part, nn.Linear) and h.dim() == 2
        self._probes.append(probe)
        self._reads.append(given[0].detach() if plain else None)
        self._scales.append(_scales(part, self.ensemble))
        positive, negative = self.slopes[id(part)]
        self._last = positive * torch.relu(probed)
        if negative:
            self._last = self._last - negative * torch.relu(-probed)
        return probed

    def gradients(self) -> list[tuple[Tensor, Tensor | None, tuple[float, float]]]:
        """Return δ of every layer, shape (M, nodes), what it read, None but of a Linear, scales."""
        if self._last is None or not self._last.requires_grad:
            rule = "switches gradients off (no_grad or inference_mode)"
            raise InputError("model", "gradients", rule, "Trace it without gradients.")
        x = self._last.flatten(1)
        drawn = np.random.default_rng(self.seed).standard_normal(x.shape[1])
        v = torch.as_tensor(drawn, dtype=x.dtype, device=x.device)
        f = (x @ v).sum() / math.sqrt(x.shape[1])
        deltas = torch.autograd.grad(f, self._probes, allow_unused=True)
        found = [
            (probe if delta is None else delta).detach().flatten(1)  # a probe is 0
            for probe, delta in zip(self._probes, deltas, strict=True)
        ]
        return list(zip(found, self._reads, self._scales, strict=True))


def _scales(part: Any, ensemble: Ensemble | None) -> tuple[float, float]:
    """Return σ_w² and σ_b² of a layer: of an ensemble, or measured."""
    weight, bias = part.weight.detach().double(), part.bias
    fan_in = math.prod(weight.shape[1:])
    if ensemble is not None:
        drawn = 0.0 if bias is None else bias_scale(ensemble, fan_in) ** 2
        return ensemble.resolved_sigma_w**2, drawn
    measured = 0.0 if bias is None else float((bias.detach().double() ** 2).mean())
    return fan_in * float((weight**2).mean()), measured


def observe_back(
    delta: Floats, read: Floats | None, scales: tuple[float, float]
) -> dict[str, float]:
    """Return the observables of one layer and pair; the tangent kernel is the layer's own term.

    `delta` and `read` have a row for each of the two inputs.
    """
    products = delta @ delta.T
    lengths = np.sqrt(np.diagonal(products))
    live = lengths > 0.0
    units = delta / np.where(live, lengths, 1.0)[:, None]
    reads = np.full((2, 2), np.nan) if read is None else read @ read.T / read.shape[1]
    kernel = (scales[0] * reads + scales[1]) * products
    logs = [2.0 * math.log(length) if length > 0.0 else math.nan for length in lengths]
    return {
        "log_gradient1": logs[0],
        "log_gradient2": logs[1],
        "gradient_correlation": float(units[0] @ units[1]) if live.all() else math.nan,
        "weight_gradient1": float(products[0, 0] * reads[0, 0]),
        "tangent11": float(kernel[0, 0]),
        "tangent12": float(kernel[0, 1]),
        "tangent22": float(kernel[1, 1]),
    }
