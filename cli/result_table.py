"""The table of a run: columns, and the lines below it."""

from __future__ import annotations

import math
import re
from collections.abc import Iterator, Sequence
from dataclasses import replace

import typer

from simcore.api import BY_NAME
from simcore.results.intervals import FEW, LEVEL, of_share

from .numbers import NOTHING, counted, plain, with_error
from .summary import COMPARED, COUNTED, GRADIENTS, NETWORK, Row
from .table import Column, show_table, show_text

MOST_ROWS = 20
"""Points of a grid that are printed."""

LEAVING = (
    *("both", "inactive", "other z", "other", "first", "limit", "inputs", "nodes theory"),
    *("q z", "q", "dead", "nodes", "z first", "z limit"),
)
"""Columns in the order in which they leave a table that is too wide."""

GRADIENTS_LEAVING = (
    *("tangent11 z", "tangent11", "gradient_correlation z", "tangent12 z"),
    *("log_gradient1 z", "tangent12"),
)
"""Likewise of the table of gradients."""

GRADIENT_NOTES = (
    "ln grad: ln of the squared gradient of a random read-out with respect to the layer, signal 1",
    "grad corr: correlation of the two signals' gradients",
    "tangent: kernel of the layers so far, of signal 1 alone (11) and of both (12)",
    "tangent: kernel of the layers so far, of signal 1 alone (11) and of both (12)",
)

LIMIT, FIRST = "mean field", "1/N"
"""Headings of theories."""

EXACT = 8
"""Digits of what has no error."""

ROUNDING = 1e-15
"""Size of a theory up to which it is 0 but for rounding."""

FEW_NOTE = (
    f"With fewer than {FEW} networks the error of c is too small, and z too large: with 3 to 10 "
    "networks c +- 2 errors holds the true mean in about 80 instead of 95 of 100 cases. Simulate "
    "more networks (--trials), or compare ln q and ln(1 - c), which are less skewed."
)
NO_THEORY = "An unfinished run has no theory yet; it comes with the last write."


def show_rows(result: Sequence[Row], networks: int) -> None:
    """Print rows, and what their columns mean.

    `networks` is the least number of networks behind a row.
    """
    last = [row for row in result if row.layer == result[-1].layer] if result[0].point else result
    shown = show_table(columns(last), LEAVING)
    show_text(notes(last, shown, networks))
    if GRADIENTS[0] in result[0].values:
        typer.echo()
        shown = show_table(gradient_columns(result), GRADIENTS_LEAVING)
        show_text([column_notes(shown), *_growth(result)])


def columns(result: Sequence[Row]) -> list[Column]:
    """Return all columns of rows, for a line of any length."""
    rows = result[:MOST_ROWS]
    found = _places(rows)
    main, other = "correlation", "log_distance"
    if any(_is_one(row) for row in rows):
        main, other = other, main
    found += _compared(main, rows)
    found += _beside("log_q1", rows, "q") + _beside(other, rows, "other")
    if not any(row.has_controlled("correlation") for row in result):
        # With control variates half of the nodes are inactive on average, exactly.
        found.append(_measured("inactive1", rows, "inactive", "inactive: share of nodes"))
        note = "both: share of nodes inactive for both signals"
        found.append(_measured("inactive_both", rows, "both", note))
    return found + _dead(result, rows) + _of_network(rows)


def _places(rows: Sequence[Row]) -> list[Column]:
    """Return the columns of the swept parameters and of the layer."""
    swept = [
        Column(name.replace("_", "-"), [plain(row.point[name], 12) for row in rows])
        for name in rows[0].point
    ]
    return [*swept, Column("layer", [str(row.layer) for row in rows])]


def gradient_columns(result: Sequence[Row]) -> list[Column]:
    """Return the columns of the way back, each mean with its z against the best theory."""
    rows = result[: 2 * MOST_ROWS]
    found = _places(rows)
    for name, note in zip(GRADIENTS, GRADIENT_NOTES, strict=True):
        measured, *scores = _beside(name, rows, name) or [_measured(name, rows, name)]
        with_controls = any(row.has_controlled(name) for row in rows)
        words = f"{note}, with control variates" if with_controls else note
        found += [replace(measured, note=words), *scores]
    return found


def _is_one(row: Row) -> bool:
    """Return whether c is 1 at the digits shown though ln(1 - c) has a value."""
    text = _with_error("correlation", row).partition("(")[0].partition(" ")[0]
    known = math.isfinite(row.best("log_distance")[0])
    return known and text != NOTHING and float(text) == 1.0


def _compared(name: str, rows: Sequence[Row]) -> list[Column]:
    """Return a mean, and both theories of it with their z."""
    heading = BY_NAME[name].column
    means = [_with_error(name, row) for row in rows]
    errors = any(row.best(other)[1] > 0.0 for row in rows for other in COMPARED)
    note = "(12): one standard error in the last digits" * errors
    if note and any(row.has_controlled(name) for row in rows):
        note += ", of means with control variates"
    found = [Column(heading, means, note=note)]
    for theory, key, word, alone, note in (
        (
            "theory",
            "limit",
            LIMIT,
            "z inf",
            f"z: ({heading} - theory)/error; {LIMIT}, inf: N = inf",
        ),
        ("theory_1n", "first", FIRST, "z 1/N", f"{FIRST}: first order"),
    ):
        values = [row.values.get(f"{name}_{theory}", math.nan) for row in rows]
        if not any(map(math.isfinite, values)):
            continue
        cells = [_like(value, text) for value, text in zip(values, means, strict=True)]
        scores = [_z(row.z(name, theory)) for row in rows]
        found += [Column(word, cells, key), Column("z", scores, f"z {key}", alone, note)]
    return found


def _beside(name: str, rows: Sequence[Row], key: str) -> list[Column]:
    """Return another mean, with its z against the best theory there is."""
    first = any(math.isfinite(row.z(name, "theory_1n")) for row in rows)
    theory, word = ("theory_1n", FIRST) if first else ("theory", LIMIT)
    heading = BY_NAME[name].column
    found = [Column(heading, [_with_error(name, row) for row in rows], key)]
    scores = [row.z(name, theory) for row in rows]
    if any(map(math.isfinite, scores)):
        note = f"z of {heading} against {word}"
        found.append(Column("z", list(map(_z, scores)), f"{key} z", f"z {heading}", note))
    return found if any(math.isfinite(row.best(name)[0]) for row in rows) else []


def _measured(name: str, rows: Sequence[Row], key: str, note: str = "") -> Column:
    cells = [_with_error(name, row) for row in rows]
    return Column(BY_NAME[name].column, cells, key, note=note)


def _dead(result: Sequence[Row], rows: Sequence[Row]) -> list[Column]:
    """Return the share of networks that are dead, unless none is."""
    name, heading = COUNTED, BY_NAME[COUNTED].column
    if not any(row.best(name)[0] > 0.0 for row in result):
        return []
    if any(row.has_controlled(name) for row in rows):
        note = f"{heading}: probability that a network is dead for signal 1, a sum of conditional "
        return [_measured(name, rows, "dead", f"{note}probabilities")]
    note = f"{heading}: share of networks dead for signal 1, with its {LEVEL:.0%} interval"
    return [Column(heading, [_share(row) for row in rows], "dead", note=note)]


def _share(row: Row) -> str:
    """Return a counted share in percent, with its interval."""
    share, networks = row.values[COUNTED], row.values.get(f"{COUNTED}_count", math.nan)
    low, high = (100.0 * float(end) for end in of_share(share, networks))
    if math.isnan(low):
        return NOTHING
    if share in (0.0, 1.0):
        return f"<{_percent(high)}%" if share == 0.0 else f">{_percent(low)}%"
    return f"{100.0 * share:.3g}% ({_percent(low, '#')}-{_percent(high, '#')})"


def _percent(value: float, zeros: str = "") -> str:
    """Return a percentage with two digits, or as many as keep it below 100; "#" keeps zeros."""
    if value > 99.0:
        return f"{100.0 - float(f'{100.0 - value:.1g}'):.12g}"
    return f"{value:{zeros}.2g}".removesuffix(".")


def _of_network(rows: Sequence[Row]) -> list[Column]:
    """Return the columns of a network that many inputs share."""
    if NETWORK[0] not in rows[0].values:
        return []
    note = "dead nodes: share inactive for all inputs; other columns: pair 0, the file has all"
    found = [_measured(NETWORK[0], rows, "nodes", note)]
    theory = [row.values.get(f"{NETWORK[0]}_theory", math.nan) for row in rows]
    if any(map(math.isfinite, theory)):
        cells = [_like(x, text) for x, text in zip(theory, found[0].cells, strict=True)]
        found.append(Column(LIMIT, cells, "nodes theory", note=f"{LIMIT}: infinite width"))
    if any(math.isfinite(row.best(NETWORK[1])[0]) for row in rows):
        found.append(_measured(NETWORK[1], rows, "inputs", "dead inputs: share that died"))
    return found


# --- below the table ------------------------------------------------------------------------------


def _growth(result: Sequence[Row]) -> Iterator[str]:
    """Yield how the gradients of one point change from layer to layer, and at infinite width."""
    last, first = result[-1], result[0]
    layers = last.layer - first.layer
    if first.point or layers < 1:
        return
    name = GRADIENTS[0]
    ends = [
        [row.best(name)[0], row.values.get(f"{name}_theory", math.nan)] for row in (first, last)
    ]
    factors = [math.exp((near - far) / layers) for near, far in zip(*ends, strict=True)]
    if not math.isfinite(factors[0]):
        return
    text = f"On the way back a typical squared gradient is multiplied by {factors[0]:.4g} a layer"
    yield text + (f", at infinite width by {factors[1]:.4g}." if factors[1] > 0.0 else ".")


def column_notes(shown: Sequence[Column]) -> str:
    """Return the explanations of the columns that are shown."""
    return "; ".join(dict.fromkeys(column.note for column in shown if column.note))


def notes(result: Sequence[Row], shown: Sequence[Column], networks: int) -> Iterator[str]:
    """Yield paragraphs: how many points are left out, the columns, deaths, too few networks."""
    if len(result) > MOST_ROWS:
        yield f"... and {counted(len(result) - MOST_ROWS, 'more point')}, all in the file"
    yield column_notes(shown)
    if not any(
        "theory" in name and math.isfinite(x) for r in result for name, x in r.values.items()
    ):
        yield "There is no theory for these points."
    yield from _no_deaths(result)
    if 1 < networks < FEW:
        yield FEW_NOTE


def _no_deaths(result: Sequence[Row]) -> Iterator[str]:
    """Yield what a count of no deaths says."""
    if any(row.has_controlled(COUNTED) for row in result):
        return
    counts = [row.values.get(f"{COUNTED}_count", math.nan) for row in result]
    least = min((n for n in counts if n > 0.0), default=0.0)
    if least > 1.0 and not any(row.values[COUNTED] > 0.0 for row in result):
        _, high = of_share(0.0, least)
        where = " at any point" if result[0].point else ""
        bound = f"below {_percent(100.0 * float(high))} % at {100.0 * LEVEL:.0f} %"
        yield f"No network of {least:.0f} died for signal 1{where} ({bound})."


# --- numbers --------------------------------------------------------------------------------------


def _with_error(name: str, row: Row) -> str:
    mean, error = row.best(name)
    return plain(mean, EXACT) if error == 0.0 else with_error(mean, error)


def _like(value: float, text: str) -> str:
    """Return a theory with as many decimals as the mean that it is compared with."""
    found = re.fullmatch(r"-?\d+\.(\d+)(?:\(\d+\)(e?).*)?", text)
    if found is None or math.isnan(value):
        return plain(value, EXACT)
    if abs(value) < ROUNDING:
        return "0"
    return f"{value:.{len(found[1])}{found[2] or 'f'}}"


def _z(value: float) -> str:
    if math.isnan(value):
        return NOTHING
    if abs(value) < 99.95:
        return f"{value:+.1f}"
    return f"{value:+.0f}" if abs(value) < 1e6 else f"{value:+.1e}"
