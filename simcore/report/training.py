"""The part of a page that is about training: words, tables and figures of each file."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from simcore.numerics.spacing import evenly
from simcore.training import statistics
from simcore.training.differences import Difference, differences
from simcore.training.facts import repeating_command
from simcore.training.verdict import interval_words, ratio_words, verdict

from .training_source import Training
from .words import known_provenance

if TYPE_CHECKING:
    import xarray as xr


TASKS = {
    "teacher-student": "learn a random teacher network from samples of its answers",
    "digits": "learn to classify the 8×8 handwritten digits",
}

MEANINGS = {
    "task": "task to learn",
    "ensembles": "initial weights of the hidden layers; torch is PyTorch’s default, orthogonal its "
    "orthogonal_ with gain √2",
    "width": "nodes of every hidden layer",
    "depth": "hidden layers",
    "samples": "samples of the training set",
    "inputs": "components of an input",
    "noise": "standard deviation of the noise on training’s targets, in units of the teacher’s",
    "teacher": "weights of the teacher",
    "teacher_width": "nodes of its hidden layers",
    "teacher_depth": "its hidden layers",
    "optimizer": "the same for all ensembles",
    "rates": "learning rates that every ensemble is tried at",
    "steps": "updates of the weights",
    "batch": "samples of each",
    "seeds": "networks of each ensemble that are measured; those of one seed have the same data "
    "and batches in all ensembles",
    "pilots": "other networks that each rate is tried on",
    "seed": "the same seed gives the same numbers on one machine",
}
"""Meanings of the parameters of a plan, in the order of the page."""

MOST_LAYERS = 12
"""Hidden layers in the table of dead units."""


def shown(training: Training) -> dict[str, Any]:
    """Return words and tables about a file, ready for the template."""
    dataset = training.dataset
    against = statistics.baseline_of(dataset)
    found = differences(dataset, against)
    return {
        "name": training.path.name,
        "summary": _summary(training),
        "described": _described(training.facts["config"]),
        "notes": training.notes,
        "verdict": verdict(dataset, against, found).splitlines(),
        "ensembles": statistics.trained(dataset),
        "against": against,
        "accuracy": "accuracy" in dataset,
        "ends": _ends(dataset),
        "differences": [_difference(d) for d in found],
        "dead": _dead(dataset),
        "provenance": _provenance(training),
    }


def _summary(training: Training) -> str:
    config = training.facts["config"]
    return (
        f"{config['seeds']} ReLU networks of {config['depth']} hidden layers of {config['width']} "
        f"nodes {TASKS[config['task']]}, from each of {len(config['ensembles'])} kinds of initial "
        f"weights: {config['steps']:,} steps of {config['optimizer']}, batches of "
        f"{config['batch']} of {config['samples']:,} samples."
    )


def _described(config: Mapping[str, Any]) -> list[tuple[str, str, str]]:
    return [
        (name.replace("_", " "), _plain(config[name]), meaning)
        for name, meaning in MEANINGS.items()
        if config.get(name) is not None
    ]


def _plain(value: Any) -> str:
    if isinstance(value, list | tuple):
        return ", ".join(map(_plain, value))
    return f"{value:g}" if isinstance(value, float) else str(value)


def _provenance(training: Training) -> dict[str, Any]:
    facts = training.facts
    return {
        "rows": [
            *known_provenance(facts["provenance"]),
            ("format", f"{facts['filetype']} {facts['format_version']}"),
            ("configuration", f"SHA-256 {facts['config_sha256']}"),
        ],
        "command": repeating_command(facts["config"], training.path.name),
    }


# --- tables ---------------------------------------------------------------------------------------


def _ends(dataset: xr.Dataset) -> dict[str, Any]:
    """Return the table of every ensemble's final results: headings, and rows of cells."""
    ends, reach = statistics.final(dataset), statistics.steps_to_reach(dataset)
    seeds, last = dataset.sizes["seed"], int(reach.attrs["last_step"])
    targets = [f"{float(x):g}" for x in reach["target"]]
    headings = [
        "ensemble",
        "rate",
        "final test loss",
        *(["accuracy"] if "accuracy" in ends else []),
    ]
    headings += [f"steps to {target}" for target in targets] + ["diverged"]
    rows = []
    for name in map(str, ends["ensemble"].to_numpy()):
        own = ends.sel(ensemble=name)
        cells = [name, f"{float(dataset['learning_rate'].sel(ensemble=name)):g}"]
        cells.append(_range(own["loss_quantile"].to_numpy(), 1.0))
        if "accuracy" in ends:
            cells.append(_range(own["accuracy_quantile"].to_numpy(), 100.0) + " %")
        for place in range(len(targets)):
            reached = reach.isel(target=place).sel(ensemble=name)
            many = f", {int(reached['reached'])} of {seeds}"
            cells.append(_range(reached["quantile"].to_numpy(), 1.0, last) + many)
        rows.append([*cells, f"{int(own['diverged'])} of {seeds}"])
    return {"headings": headings, "rows": rows}


def _range(levels: Any, unit: float, last: int | None = None) -> str:
    """Return median and band, "0.12 (0.1 to 0.2)"; beyond the last step as "> step"."""

    def text(value: float) -> str:
        if math.isinf(value):
            return "∞" if last is None else f"> {last}"
        return f"{float(f'{unit * value:.3g}'):g}"

    low, middle, high = (text(float(x)) for x in levels)
    return f"{middle} ({low} to {high})"


def _difference(d: Difference) -> dict[str, Any]:
    what = {"steps": f"steps to {d.target:g}" if d.target else "", "loss": "final test loss"}
    kind = ("better" if d.is_better else "worse") if d.decided else "not shown"
    return {
        "class": {"better": "agrees", "worse": "deviates"}.get(kind, "unknown"),
        "cells": [
            d.ensemble,
            what.get(d.measure, "accuracy, points"),
            ratio_words(d),
            interval_words(d).partition("interval ")[2],
            f"{d.better} : {d.worse}",
            f"{d.p_corrected:.2g}",
            kind,
        ],
    }


def _dead(dataset: xr.Dataset) -> dict[str, Any]:
    """Return the table of dead units: of chosen layers before and after, in per cent."""
    found = statistics.dead_units(dataset)
    layers = [int(x) for x in found["layer"].to_numpy()]
    chosen = [layers[i] for i in evenly(len(layers), MOST_LAYERS)]
    rows = []
    for name in map(str, found["ensemble"].to_numpy()):
        for when in ("before", "after"):
            share = found[when].sel(ensemble=name, layer=chosen).to_numpy()
            cells = ["–" if math.isnan(x) else f"{100.0 * x:.1f}" for x in share.tolist()]
            rows.append([name, when, *cells])
    return {"headings": ["ensemble", "training", *map(str, chosen)], "rows": rows}
