"""Draft captions of figures of runs."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import numpy as np

from simcore.physics.observables import BY_NAME, CONTROL, COUNTED
from simcore.physics.parameters import PARAMETERS
from simcore.results.intervals import FEW
from simcore.results.points import swept_of

from .style import plain_number

if TYPE_CHECKING:
    import xarray as xr

WHAT = {
    "correlation": "Correlation c of two signals",
    "distance": "Distance 1 − c of two signals",
    "q": "Mean of ln q, q the mean squared pre-activation of a layer,",
    "inactive": "Share of inactive nodes, for one signal and for both,",
    "dead": "Share of networks with a layer that has no active node, for one signal and for both,",
    "gradient": "Mean of ln |δ|², δ the gradient of a random read-out,",
    "gradient-correlation": "Correlation of the gradients of two signals",
    "tangent": "Tangent kernel of a signal with itself and of two signals, layers so far,",
    "dead-inputs": "Share of nodes inactive for all inputs, and of inputs that find a dead layer,",
}
"""Beginnings of captions of means by layer."""

UNTOLD = ("g", "pair", "initial_distance")
"""Parameters that others tell."""

MOST_TOLD = 4
"""Values of a parameter that are told one by one."""


def caption_of(dataset: xr.Dataset, kind: str, observables: tuple[str, ...], layer: int) -> str:
    """Return a draft of the caption: what is shown, of which networks, and what bars mean."""
    shown = {
        "deviation": _deviation,
        "z": _scores,
        "distribution": _distribution,
        "scaling": _scaling,
    }.get(kind)
    told = shown(dataset, observables, layer) if shown else _along(dataset, observables, kind)
    return f"{told} {_networks(dataset, observables)}"


def _along(dataset: xr.Dataset, names: tuple[str, ...], kind: str) -> str:
    bars = _bars(dataset, names[0])
    below = "the ratio to theory, less 1" if kind == "distance" else "the same less theory"
    lines = _lines(dataset, names[0])
    return f"{WHAT[kind]} by layer. Points: simulation; {bars}{lines}. Below: {below}."


def _deviation(dataset: xr.Dataset, names: tuple[str, ...], _: int) -> str:
    name = names[0]
    told = f"Mean of {_symbol(name)} less mean field by layer. Points: simulation; "
    told += f"{_bars(dataset, name)}{_lines(dataset, name)}."
    if f"{name}_theory_1n" in dataset:
        told += " Below: what first order leaves, times N²."
    if not swept_of(dataset):
        told += " Grey: intervals of the plain mean of the same networks."
    return told


def _scores(dataset: xr.Dataset, names: tuple[str, ...], _: int) -> str:
    told = f"z = (mean − theory)/standard error of {', '.join(map(_symbol, names))} by layer, "
    first = any(f"{name}_theory_1n" in dataset for name in names)
    told += "against mean field" + (" and, below, first order in 1/N" if first else "")
    return f"{told}. Strip: 95 % of all z where theory holds; layers are not independent."


def _distribution(dataset: xr.Dataset, names: tuple[str, ...], layer: int) -> str:
    told = f"Distribution of {_symbol(names[0])} over networks at layer {layer}, as a density"
    lines = _lines(dataset, names[0])
    return f"{told}{lines}{' (normal law)' if '1/N' in lines else ''}."


def _scaling(dataset: xr.Dataset, names: tuple[str, ...], layer: int) -> str:
    told = f"Mean of {_symbol(names[0])} at layer {layer}, less mean field, against 1/N. "
    told += f"Points: simulation; {_bars(dataset, names[0])}; solid: fit, with a band of two "
    return f"{told}standard errors, and its limit (open){_lines(dataset, names[0])}."


def _symbol(name: str) -> str:
    return BY_NAME[name].symbol or BY_NAME[name].label


def _lines(dataset: xr.Dataset, name: str) -> str:
    theories = {
        "theory": "dashed: " + ("theory" if name in COUNTED else "mean field (infinite width)"),
        "theory_1n": "dotted: first order in 1/N",
    }
    return "".join(f"; {told}" for end, told in theories.items() if f"{name}_{end}" in dataset)


def _bars(dataset: xr.Dataset, name: str) -> str:
    how = "± 2 standard errors"
    if name in COUNTED:
        how = "of the binomial law"
    elif float(dataset[f"{name}_count"].min()) < FEW:
        how = "by Student’s law"
    return f"bars: intervals that hold 95 % of such means ({how})"


def _networks(dataset: xr.Dataset, names: tuple[str, ...]) -> str:
    """Return a sentence on the networks: number, parameters, way of estimation, seed."""
    least, most = (int(f(dataset[f"{names[0]}_count"])) for f in (np.min, np.max))
    number = f"{most:,}" if least == most else f"up to {most:,}"
    config = json.loads(dataset.attrs.get("config_json", "{}"))
    told = f"{number} network{'s' * (most != 1)}{' at each point' if swept_of(dataset) else ''}"
    told += f" ({config['ensemble']})" if "ensemble" in config else ""
    facts = [_value(dataset, name) for name in PARAMETERS if name not in UNTOLD]
    facts.append(f"L = {int(dataset['layer'][-1])}")
    told = f"{told}: {', '.join(filter(None, facts))}."
    if any(name + CONTROL in dataset for name in names):
        told += " Means are estimated with control variates."
    version = dataset.attrs.get("simcore_version", "")
    return told + (f" simcore {version}, seed {config['seed']}." if "seed" in config else "")


def _value(dataset: xr.Dataset, parameter: str) -> str:
    values = np.unique(np.asarray(dataset.get(parameter, np.nan), dtype=np.float64))
    values = values[~np.isnan(values)]
    if not values.size:
        return ""
    shown = [plain_number(float(x)) for x in values]
    text = ", ".join(shown) if len(shown) <= MOST_TOLD else f"{shown[0]} … {shown[-1]}"
    return f"{PARAMETERS[parameter].symbol} = {text}"
