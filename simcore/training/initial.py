"""Initial weights of many networks, stacked along a leading axis."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from itertools import pairwise

import numpy as np
import numpy.typing as npt
import torch

from .labels import REFERENCES, Purpose, Start, stream

Floats = npt.NDArray[np.float64]

Layers = list[tuple[torch.Tensor, torch.Tensor]]
"""Weights (networks, fan-in, fan-out) and biases (networks, 1, fan-out), layer by layer."""


def draw_networks(
    start: Start,
    sizes: Sequence[int],
    seed: int,
    owners: Iterable[tuple[int | str, ...]],
    dtype: torch.dtype = torch.float32,
) -> Layers:
    """Draw networks: hidden layers as `start` says, the output layer alike for all.

    `sizes` are the components of the input, the nodes of each hidden layer, the outputs. `owners`
    are keys of the random streams, one for each network; the key of an output layer has no ensemble
    in it: its weights are Gaussian of variance 1/n, without bias, for all ensembles. All is drawn
    in float64.
    """
    networks = [_draw(start, sizes, seed, owner) for owner in owners]
    return [
        (
            torch.from_numpy(np.stack([weight.T for weight, _ in layer])).to(dtype).contiguous(),
            torch.from_numpy(np.stack([bias for _, bias in layer])).to(dtype).unsqueeze(1),
        )
        for layer in zip(*networks, strict=True)
    ]


def _draw(
    start: Start, sizes: Sequence[int], seed: int, owner: tuple[int | str, ...]
) -> list[tuple[Floats, Floats]]:
    hidden = []
    for number, (fan_in, fan_out) in enumerate(pairwise(sizes[:-1]), 1):
        rng = stream(seed, Purpose.HIDDEN, *owner, start.key, number)
        hidden.append(_hidden(start, fan_in, fan_out, rng))
    rng = stream(seed, Purpose.OUTPUT, *owner)
    last = rng.standard_normal((sizes[-1], sizes[-2])) / math.sqrt(sizes[-2])
    return [*hidden, (last, np.zeros(sizes[-1]))]


def _hidden(
    start: Start, fan_in: int, fan_out: int, rng: np.random.Generator
) -> tuple[Floats, Floats]:
    if start.name not in REFERENCES:
        from ..initializers import layer

        return layer(start.ensemble, fan_in, fan_out, rng)
    generator = torch.Generator().manual_seed(int(rng.integers(2**63)))
    # Of this type whatever torch.set_default_dtype is: another type draws other numbers.
    weight = torch.empty(fan_out, fan_in, dtype=torch.float32)
    bias = torch.zeros(fan_out, dtype=torch.float32)
    if start.name == "orthogonal":
        torch.nn.init.orthogonal_(weight, gain=start.gain, generator=generator)
    else:
        # As torch.nn.Linear.reset_parameters, which takes no generator.
        torch.nn.init.kaiming_uniform_(weight, a=math.sqrt(5.0), generator=generator)
        bound = 1.0 / math.sqrt(fan_in)
        torch.nn.init.uniform_(bias, -bound, bound, generator=generator)
    return weight.double().numpy(), bias.double().numpy()
