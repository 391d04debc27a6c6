"""The slopes of the activations of a model, read from its modules."""

from __future__ import annotations

from torch import nn

from simcore.physics.slopes import RELU, Slopes, check_slopes

from .watching import LAYERS, modules_of


def slopes_of(model: nn.Module) -> dict[int, Slopes]:
    """Return s₊ and s₋ of the activation behind each layer of a model, by the id of the layer.

    It is that of the ReLU or LeakyReLU which the model defines next, before another layer. Where
    there is none (the output layer, a module used again and again, a function) it is that of all
    such modules, if they are alike, and else ReLU.

    Raises
    ------
    InputError
        If a LeakyReLU has a slope out of range.
    """
    found: dict[int, Slopes] = {}
    layers, kinds = [], set()
    for _, part in modules_of(model):
        if isinstance(part, LAYERS):
            layers.append(id(part))
        elif isinstance(part, nn.ReLU | nn.LeakyReLU):
            slopes = RELU if isinstance(part, nn.ReLU) else check_slopes((1.0, part.negative_slope))
            kinds.add(slopes)
            if layers:
                found.setdefault(layers[-1], slopes)
    default = kinds.pop() if len(kinds) == 1 else RELU
    return {layer: found.get(layer, default) for layer in layers}
