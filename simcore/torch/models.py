"""Initialization of a whole PyTorch model: which layers are drawn, and by which law."""

from __future__ import annotations

import warnings
from collections.abc import Iterable, Iterator, Mapping
from fnmatch import fnmatchcase
from typing import Any, NamedTuple

import torch
from torch import nn

from simcore.physics.ensembles import ASYMMETRIC
from simcore.runs.ensemble import Ensemble, checked

from ..errors import InputError, SimcoreWarning
from .initialization import LAYERS, check, draw_into
from .watching import COMPILED, modules_of, shown

Layers = str | nn.Module | Iterable[str | nn.Module]

KEEP, WEIGHTS = "keep", "weights"

SHOWN = 4
"""Number of names shown of a longer list."""


class Initialized(NamedTuple):
    """Layers of a model that `initialize_` drew, and those it left alone."""

    layers: tuple[str, ...]
    """Names of the layers whose weights were drawn."""
    left_alone: tuple[str, ...]
    """Names, with classes, of the modules that have parameters of their own and were left alone."""
    output: str
    """Name of the layer that was taken for the output layer."""
    tied: tuple[str, ...]
    """Parameters that were drawn and that another module has, too: ``head.weight = tokens.weight``.
    """


def initialize_(
    module: nn.Module,
    ensemble: Ensemble,
    generator: torch.Generator | None = None,
    *,
    skip: Layers = (),
    output: Ensemble | str | None = None,
    without_bias: Ensemble | str | None = None,
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
    skip
        Layers to leave alone: names as in ``named_modules``, patterns such as ``"encoder.*"``, or
        modules, with all that they contain.
    output
        What the output layer gets, the last layer in the order in which the model defines them: an
        ensemble of its own, or ``"keep"``, which leaves it alone. None is the law of the others.
    without_bias
        What a layer with ``bias=False`` gets where the ensemble draws a bias: ``"weights"``, the
        weights of the law alone (of `rai` and `raai`, the replaced number of a node is then lost
        with its bias, one time in n + 1); an ensemble of its own; or ``"keep"``, which leaves it
        alone. None refuses the model.

    Returns
    -------
    Initialized
        The layers that were drawn, the modules that were left alone, the output layer, and the
        parameters that are tied.

    Raises
    ------
    InputError
        If there is no such layer, or one, which is named, can't have the law: it lacks a bias, its
        weight or bias is computed from other parameters, is on the meta device or no float, or the
        weight would be 0 throughout. If a name or pattern names no module.

    Warns
    -----
    SimcoreWarning
        If a module that was left alone unasked has a parameter of two or more dimensions; if a
        parameter that was drawn belongs to another module, too.

    Examples
    --------
    >>> import simcore, torch
    >>> model = torch.nn.Sequential(
    ...     torch.nn.Linear(784, 512), torch.nn.ReLU(), torch.nn.Linear(512, 10)
    ... )
    >>> simcore.torch.initialize_(model, simcore.Ensemble.correlated(k=1.0)).layers
    ('0', '2')
    >>> simcore.torch.initialize_(
    ...     model, simcore.Ensemble.rai(), output=simcore.Ensemble.he(sigma_w=1.0)
    ... ).output
    '2'
    """
    laws, layers, last = _planned(module, ensemble, skip, output, without_bias)
    for name, law in laws.items():
        _check_layer(name, layers[name], law, generator)
    _check_unshared({name: layers[name] for name, law in laws.items() if law.name in ASYMMETRIC})
    for name, law in laws.items():
        draw_into(law, layers[name].weight, layers[name].bias, generator)
    owners = _owners(module)
    drawn = {id(p) for name in laws for p in (layers[name].weight, layers[name].bias)}
    tied = tuple(" = ".join(names) for key, names in owners.items() if key in drawn and names[1:])
    asked = _chosen(module, skip) | {id(layers[name]) for name in layers.keys() - laws.keys()}
    others = list(_others(module, drawn))
    _warn(
        [shown(name, part) for name, part, size in others if size > 1 and id(part) not in asked],
        tied,
    )
    return Initialized(
        tuple(laws), tuple(shown(name, part) for name, part, _ in others), last, tied
    )


# --- which layers, and by which law ---------------------------------------------------------------


def _planned(
    module: nn.Module,
    ensemble: Ensemble,
    skip: Layers,
    output: Ensemble | str | None,
    without_bias: Ensemble | str | None,
) -> tuple[dict[str, Ensemble], dict[str, Any], str]:
    """Return the law of each layer to draw, all layers by name, and the name of the last."""
    if not isinstance(module, nn.Module):
        raise InputError("module", type(module).__name__, "is no torch.nn.Module", "Give a model.")
    checked(ensemble)
    _check_choice("output", output, (KEEP,))
    _check_choice("without_bias", without_bias, (KEEP, WEIGHTS))
    layers = {name: part for name, part in modules_of(module) if isinstance(part, LAYERS)}
    if not layers:
        rule = "has no Linear and no Conv1d, Conv2d or Conv3d"
        raise InputError("module", type(module).__name__, rule, "Give a model with such layers.")
    skipped, last = _chosen(module, skip), list(layers)[-1]
    laws: dict[str, Ensemble] = {}
    for name, layer in layers.items():
        if id(layer) in skipped:
            continue
        law = ensemble if output is None or name != last else output
        if isinstance(law, Ensemble) and layer.bias is None and _draws_bias(law):
            law = _of_biasless(name, layer, law, without_bias)
        if isinstance(law, Ensemble):
            laws[name] = law
    return laws, layers, last


def _of_biasless(
    name: str, layer: nn.Module, law: Ensemble, without_bias: Ensemble | str | None
) -> Ensemble | str:
    """Return the law of a layer without a bias, or KEEP."""
    if without_bias is None or (isinstance(without_bias, Ensemble) and _draws_bias(without_bias)):
        drawn = law if without_bias is None else without_bias
        assert isinstance(drawn, Ensemble)
        rule = f"has no bias of its own, and {drawn.name} draws one"
        if drawn.name not in ASYMMETRIC:
            rule = f"has no bias of its own, and sigma_b = {drawn.sigma_b}"
        remedy = 'Make it with bias=True, or give without_bias="weights", "keep" or an ensemble.'
        raise InputError("module", shown(name, layer), rule, remedy)
    return law if without_bias == WEIGHTS else without_bias


def _draws_bias(law: Ensemble) -> bool:
    return law.name in ASYMMETRIC or bool(law.sigma_b)


def _check_choice(field: str, value: object, words: tuple[str, ...]) -> None:
    if value is not None and not isinstance(value, Ensemble) and value not in words:
        allowed = " or ".join(repr(word) for word in words)
        rule = f"must be a simcore.Ensemble or {allowed}"
        raise InputError(field, repr(value), rule, "Leave it out for the default.")


def _chosen(module: nn.Module, wanted: Layers) -> set[int]:
    """Return the ids of the modules that are named, and of all that they contain."""
    found: set[int] = set()
    for item in [wanted] if isinstance(wanted, str | nn.Module) else wanted:
        if isinstance(item, str):
            parts = [part for name, part in modules_of(module) if fnmatchcase(name, item)]
        else:
            parts = [part for part in module.modules() if part is item]
        if not parts:
            names = [name for name, part in modules_of(module) if isinstance(part, LAYERS)]
            value = item if isinstance(item, str) else type(item).__name__
            remedy = f"Its layers: {_listed(names)}."
            raise InputError("skip", value, "names no module of the model", remedy)
        found.update(id(inner) for part in parts for inner in part.modules())
    return found


# --- the rest of the model ------------------------------------------------------------------------


def _owners(module: nn.Module) -> dict[int, list[str]]:
    """Return the names of each parameter; several where it is tied."""
    found: dict[int, list[str]] = {}
    for name, parameter in module.named_parameters(remove_duplicate=False):
        plain = ".".join(word for word in name.split(".") if word != COMPILED)
        found.setdefault(id(parameter), []).append(plain)
    return found


def _others(module: nn.Module, drawn: set[int]) -> Iterator[tuple[str, nn.Module, int]]:
    """Yield modules with parameters that were not drawn, and the most dimensions of these."""
    for name, part in modules_of(module):
        own = [p.dim() for p in part.parameters(recurse=False) if id(p) not in drawn]
        if own:
            yield name, part, max(own)


def _warn(left_alone: list[str], tied: tuple[str, ...]) -> None:
    told = []
    if left_alone:
        rule = "only Linear and Conv1d, 2d, 3d are drawn"
        told.append(f"initialize_ left alone {_listed(left_alone)}: {rule}")
    if tied:
        told.append(f"initialize_ drew parameters that two modules share: {_listed(tied)}")
    for text in told:
        warnings.warn(text, SimcoreWarning, stacklevel=3)


def _listed(names: tuple[str, ...] | list[str]) -> str:
    rest = f" and {len(names) - SHOWN} more" if len(names) > SHOWN else ""
    return ", ".join(names[:SHOWN]) + rest


# --- checks ---------------------------------------------------------------------------------------


def _check_layer(
    name: str, layer: nn.Module, ensemble: Ensemble, generator: torch.Generator | None
) -> None:
    """Refuse a layer that can't have the law, by name; its parameters must be its own."""
    own = dict(layer.named_parameters(recurse=False))
    for part in ("weight", "bias"):
        if part not in own and (part == "weight" or layer.bias is not None):
            rule = f"has a {part} that is computed from other parameters (weight_norm, pruning)"
            remedy = "Initialize it before that is added, or skip it."
            raise InputError("module", shown(name, layer), rule, remedy)
    try:
        check(ensemble, own["weight"], own.get("bias"), generator, needs_bias=False)
    except InputError as error:
        where = f"{name}.{error.field}" if name else error.field
        raise InputError(where, error.value, error.rule, error.remedy) from None


def _check_unshared(layers: Mapping[str, nn.Module]) -> None:
    """Refuse layers that share a weight or a bias: each node has one replaced number, not two."""
    owners: dict[int, str] = {}
    for name, layer in layers.items():
        for parameter in layer.parameters(recurse=False):
            owner = owners.setdefault(id(parameter), name)
            if owner != name:
                rule = f"shares a parameter with {owner}, where one number of a node is replaced"
                raise InputError("module", shown(name, layer), rule, "Use he or correlated.")
