"""The page: data and words of all files, put into the template."""

from __future__ import annotations

import json
import math
import re
import shlex
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import xarray as xr

from simcore.physics.observables import BY_NAME, CONTROL, CONTROLLED, GRADIENT_CONTROLLED

from .answers import Answer, across_widths, answer
from .overview import LAST, MOST_ROWS, last_layer, varied_parameters
from .phase import phase_data
from .points import (
    MOST_LAYERS,
    MOST_POINTS,
    Point,
    all_points,
    chosen_points,
    group_key,
    parameter_label,
    point_label,
)
from .series import DEVIATIONS, DISTRIBUTIONS, LINES, numbers, series_of
from .sources import Source, is_asymmetric, values_of
from .training import shown as shown_training
from .training_source import Training
from .widths import widths_data
from .words import described, provenance_of, summary_of

HERE = Path(__file__).parent

SCRIPTS = ("page.js", "drawings.js")
"""Parts of the page's script, in their order."""

SUBJECTS = {
    True: "Signal propagation in random ReLU networks",
    False: "Training of ReLU networks from random weights",
}
"""Subject of a page: with runs on it, and with training only."""


def render(
    sources: Sequence[Source], trainings: Sequence[Training], problems: Sequence[str]
) -> str:
    """Return the page as HTML; `problems` has a line for each file that could not be read."""
    from bokeh.embed import json_item

    from .figures import figures
    from .training_figures import training_figures

    paths = [*(source.path for source in sources), *(training.path for training in trainings)]
    files = [path.name for path in paths]
    page, about_runs = (
        _of_runs(sources) if sources else ({"points": []}, {"runs": [], "results": []})
    )
    results = about_runs.pop("results")
    made = figures(page) if sources else {}
    about_trainings = []
    for number, training in enumerate(trainings):
        name = f"training{number}"
        about_trainings.append(shown_training(training) | {"id": name})
        drawn = training_figures(training.dataset)
        made |= {f"{name}-{figure}": model for figure, model in drawn.items()}
    html: str = _template().render(
        title=files[0] if len(files) == 1 else f"{files[0]} and {len(files) - 1} more",
        subject=SUBJECTS[bool(sources)],
        command=shlex.join(["simcore", "report", *files]),
        problems=problems,
        results=[
            *results,
            *((t["name"], line) for t in about_trainings for line in t["verdict"][:1]),
        ],
        trainings=about_trainings,
        style=(HERE / "style.css").read_text(encoding="utf-8"),
        scripts=[(HERE / name).read_text(encoding="utf-8") for name in SCRIPTS],
        bokeh=_bokeh(),
        data=_json(page),
        figures=_json({name: json_item(model) for name, model in made.items()}),
        **about_runs,
    )
    return html


def _of_runs(sources: Sequence[Source]) -> tuple[dict[str, Any], dict[str, Any]]:
    """Return the data of the runs' figures, and the values for the template."""
    everything = all_points(sources)
    shown = chosen_points(sources)
    varied = varied_parameters(everything, sources)
    answers = [answer(s, [p for p in shown if p.source == i]) for i, s in enumerate(sources)]
    page = _data(sources, everything, shown, varied, answers)
    widths = page.pop("widths_text")
    page["axes"] = _axes(page)
    return page, {
        "runs": [_run(source, found) for source, found in zip(sources, answers, strict=True)],
        "results": [(s.path.name, a.conclusion) for s, a in zip(sources, answers, strict=True)],
        "page": page,
        "has_death": page["has_death"],
        "names": {name: observable.label for name, observable in BY_NAME.items()},
        "symbols": {name: parameter_label(name) for name in [*varied, "g"]},
        "axes": page["axes"],
        "observables": [n for n in DISTRIBUTIONS if n in page["distribution_names"]],
        "last": [n for n in LAST if n in page["rows"]],
        "z_names": page["z_names"],
        "deviation_names": page["deviation_names"],
        "controlled": _controlled(sources),
        "widths_text": widths,
        "chips": 1 < len(shown) <= 7,
        "counts": {
            "points": len(everything),
            "shown": len(shown),
            "most_points": MOST_POINTS,
            "most_layers": MOST_LAYERS,
            "rows": len(page["rows"]["label"]),
        },
        "asymmetric": any(is_asymmetric(source) for source in sources),
        "shared": any("pair" in source.swept for source in sources),
        "biased": any(any(s.config["sigma_b"] or [1.0]) for s in sources),
    }


def _template() -> Any:
    from jinja2 import Environment, FileSystemLoader, StrictUndefined

    environment = Environment(
        loader=FileSystemLoader(HERE),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters["symbols"] = _symbols
    return environment.get_template("page.html.j2")


def _symbols(text: str) -> Any:
    """Return a text as HTML with the indices of its symbols lowered."""
    from markupsafe import Markup, escape

    return Markup(re.sub(r"(σ|N)_(\w)", r"\1<sub>\2</sub>", str(escape(text))))


def _bokeh() -> str:
    """Return Bokeh's script; its widgets, tables and formulas are not needed."""
    from bokeh.resources import Resources

    return "\n".join(Resources(mode="inline", components=["bokeh"]).js_raw)


def _json(value: object) -> str:
    """Return JSON that can stand inside a script element."""
    text = json.dumps(value, separators=(",", ":"), allow_nan=False, ensure_ascii=False)
    return text.replace("<", "\\u003c")


def _run(source: Source, found: Answer) -> dict[str, Any]:
    return {
        "name": source.path.name,
        "summary": summary_of(source),
        "described": described(source),
        "notes": source.notes,
        "verdict": _paragraphs(found.text),
        "provenance": provenance_of(source),
    }


def _paragraphs(text: str) -> list[tuple[str, list[str]]]:
    """Return the lines of an answer, each with the indented lines that follow it."""
    told: list[tuple[str, list[str]]] = []
    for line in text.splitlines():
        if line.startswith(" ") and told:
            told[-1][1].append(line.strip())
        elif line.strip():
            told.append((line, []))
    return told


# --- data of the figures --------------------------------------------------------------------------


def _data(
    sources: Sequence[Source],
    everything: Sequence[Point],
    shown: Sequence[Point],
    varied: Sequence[str],
    answers: Sequence[Answer],
) -> dict[str, Any]:
    points = _points(sources, shown, varied, answers)
    step = -(-len(everything) // MOST_ROWS)
    columns = last_layer(sources, everything[::step], varied)
    asymmetric = any(is_asymmetric(source) for source in sources)
    widths = across_widths(sources) if "width" in varied else None
    lines = [point["lines"] for point in points]
    return {
        "points": points,
        "rows": {n: _column(values) for n, values in columns.items() if n != "slopes_all"},
        "varied": list(varied),
        "phase": phase_data(columns, varied, asymmetric=asymmetric),
        "widths": widths and widths_data(widths, varied, {point["group"] for point in points}),
        "widths_text": widths.text.splitlines() if widths else [],
        "dead_networks": _any(lines, ("dead_network1", "dead_network2", "dead_inputs")),
        "has_distributions": any(p["distributions"]["observables"] for p in points),
        "has_single": any(p["single"] for p in points),
        "gradients": any("log_gradient1" in found for found in lines),
        "has_death": any("theory" in found.get("dead_network1", {}) for found in lines),
        "has_first": any("first" in line for found in lines for line in found.values()),
        "distribution_names": sorted(
            {n for p in points for n in p["distributions"]["observables"]}
        ),
        "deviation_names": [n for n in DEVIATIONS if any(n in p["deviations"] for p in points)],
        "z_names": [n for n in LINES if any("z" in found.get(n, {}) for found in lines)],
    }


def _controlled(sources: Sequence[Source]) -> str:
    """Return the observables of the lines that are estimated with control variates, in words."""
    held = {name for source in sources for name in source.dataset}
    some = [name for name in CONTROLLED + GRADIENT_CONTROLLED if name + CONTROL in held]
    return "; ".join(BY_NAME[name].label for name in LINES if name in some)


def _column(values: Sequence[Any]) -> list[Any]:
    return list(values) if values and isinstance(values[0], str | int) else numbers(values)


def _any(lines: Sequence[Mapping[str, Any]], names: Sequence[str]) -> bool:
    """Return True if one of some observables is not zero somewhere."""
    return any(x for found in lines for name in names for x in found.get(name, {}).get("mean", []))


def _points(
    sources: Sequence[Source],
    shown: Sequence[Point],
    varied: Sequence[str],
    answers: Sequence[Answer],
) -> list[dict[str, Any]]:
    found = []
    for number, source in enumerate(sources):
        own = [point for point in shown if point.source == number]
        drawn = series_of(source, own)
        _add_z(drawn, answers[number], own, source)
        coordinates = [values_of(source.dataset, name) for name in source.swept]
        for point, one in zip(own, drawn, strict=True):
            key = tuple(x[i] for x, i in zip(coordinates, point.place, strict=True))
            verdicts = answers[number].verdicts.get(key, [])
            found.append(one | _names(point, varied) | {"source": number, "verdicts": verdicts})
    return found


def _names(point: Point, varied: Sequence[str]) -> dict[str, Any]:
    values = [point.values.get(name, math.nan) for name in varied]
    return {
        "label": point_label(point, varied),
        "parts": {name: point_label(point, [name]) for name in varied if name in point.values},
        "values": dict(zip(varied, numbers(values), strict=True)),
        "group": group_key(
            point.values, [name for name in varied if name not in ("file", "width")]
        ),
        "bias": f"{point.values.get('sigma_b', 0.0):.12g}",
    }


def _add_z(
    drawn: Sequence[dict[str, Any]], found: Answer, points: Sequence[Point], source: Source
) -> None:
    """Add the z-scores of points to their lines."""
    if found.z is None or not points:
        return
    at: dict[str, Any] = {"layer": drawn[0]["layers"]}
    for j, dim in enumerate(source.swept):
        values = values_of(source.dataset, dim)
        at[dim] = xr.DataArray([values[point.place[j]] for point in points], dims="point")
    for name, z in found.z.data_vars.items():
        observable, _, ending = str(name).rpartition("_z")
        own = z.sel({d: index for d, index in at.items() if d in z.dims})
        if "point" not in own.dims:
            own = own.expand_dims(point=len(points))
        for row, one in zip(own.transpose("point", "layer").values, drawn, strict=True):
            if np.isfinite(row).any():
                part = "z_first" if ending else "z"
                one["lines"].setdefault(observable, {})[part] = numbers(row, 4)


def _axes(page: Mapping[str, Any]) -> list[str]:
    """Return the possible axes of the points at the last layer; g in place of an infinite k."""
    infinite = "k" in page["varied"] and None in page["rows"]["k"]
    names = [name for name in page["varied"] if name != "file"]
    return ["g" if name == "k" and infinite else name for name in names]
