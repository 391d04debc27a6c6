"""Results of training in words: ensembles that learn faster, and runs that diverged."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from functools import lru_cache

import numpy as np
import xarray as xr

from ..errors import InputError
from .differences import CONFIDENCE, Difference, differences
from .labels import growth, parse_label
from .statistics import baseline_of, final, reference_loss, trained

FEWEST = 6
"""Fewest pairs with which the sign test can decide anything: 2 · 2⁻⁵ is more than 5 %."""

FINE = 1.5
"""Largest ratio of neighbouring learning rates that needs no warning."""

SAME_SCALE = 0.05
"""Largest |ln| of the ratio of two factors of q that count as one."""


def verdict(
    dataset: xr.Dataset,
    baseline: str | None = None,
    found: Sequence[Difference] | None = None,
) -> str:
    """Compare the speed of training of all ensembles with the baseline, in words.

    `found` are the `differences`, if they are known already; p-values are corrected for their
    number. There is one line for each ensemble, one on runs that diverged, those on scales and
    learning rates, and one on the statistical method. InputError if the baseline is not in the
    file.
    """
    against = baseline_of(dataset, baseline)
    judged = differences(dataset, against) if found is None else tuple(found)
    lines = [*_ensembles(dataset, against, judged), *_diverged(dataset)]
    lines += [*scale_words(dataset, against), *grid_words(dataset)]
    lines += [_basis(judged)] if judged else []
    return "\n".join(lines)


def _ensembles(dataset: xr.Dataset, against: str, judged: Sequence[Difference]) -> Iterator[str]:
    names, ended = [str(x) for x in dataset["ensemble"].to_numpy()], trained(dataset)
    missing = [name for name in names if name not in ended]
    if missing:
        yield f"No result yet for {_listed(missing)}: not trained to the end."
    if against not in ended:
        yield f"Nothing can be compared to {against}."
        return
    target = reference_loss(dataset, against)
    rates = dict(_of_ensembles(dataset["learning_rate"]))
    for name in ended:
        if name != against:
            at = f" Learning rates: {rates[name]:.3g}, {against} {rates[against]:.3g}."
            yield _ensemble([d for d in judged if d.ensemble == name], target) + at
    if ended == [against]:
        yield f"There is nothing to compare {against} to."


def _ensemble(own: Sequence[Difference], target: float | None) -> str:
    """Return the line of one ensemble: its speed first, then where it ends."""
    steps = [d for d in own if d.measure == "steps"] if target is not None else []
    # Differences that were asked for at other losses have none at this one.
    speed = [d for d in steps if d.target == target] or steps
    ends = [d for d in own if d.measure != "steps"]
    name, against = own[0].ensemble, own[0].baseline
    words = [_speed(d) for d in speed] or [name]
    if target is None:
        words = [f"{name}: speeds can't be compared, since too few runs of {against} learn"]
    return ". ".join([*words, *map(_ending, ends)]) + "."


def _speed(d: Difference) -> str:
    kind = "faster" if d.is_better else "more slowly"
    if d.decided:
        claim = f"{d.ensemble} trains {kind} than {d.baseline}"
    elif d.hinted:
        claim = f"{d.ensemble} may train {kind} than {d.baseline}, which is not shown"
    else:
        claim = f"{d.ensemble} is not shown to train faster or more slowly than {d.baseline}"
    return f"{claim}: it takes {difference_words(d)} the steps to a test loss of {d.target:g}"


def _ending(d: Difference) -> str:
    better, worse = ("lower", "higher") if d.measure == "loss" else ("higher", "lower")
    kind = better if d.is_better else worse
    if not d.decided:
        kind = f"perhaps {kind}, which is not shown" if d.hinted else "not shown to differ"
    of = f" that of {d.baseline}" if d.measure == "loss" else ""
    return f"Its final {d.measure} is {kind}: {difference_words(d)}{of}"


def difference_words(d: Difference) -> str:
    """Return estimate and interval: "0.62 times (95 % interval 0.5 to 0.81)"."""
    if d.measure == "accuracy":
        return f"{_points(d.estimate[0])} points ({interval_words(d)})"
    return f"{ratio_words(d)} times ({interval_words(d)})"


def ratio_words(d: Difference) -> str:
    """Return the estimate alone: a ratio or its bounds; points for the accuracy."""
    if d.measure == "accuracy":
        return _points(d.estimate[0])
    low, high = (_ratio(x) for x in d.estimate)
    if low == high:
        return low
    if d.estimate[1] == math.inf:
        return "0 to ∞" if d.estimate[0] == -math.inf else f"at least {low}"
    return f"at most {high}" if d.estimate[0] == -math.inf else f"{low} to {high}"


def interval_words(d: Difference) -> str:
    """Return the interval: "95 % interval 0.5 to 0.81"."""
    shown = _points if d.measure == "accuracy" else _ratio
    low, high = (shown(x) for x in d.interval)
    return f"{100.0 * CONFIDENCE:.0f} % interval {low} to {high}"


def _ratio(log_ratio: float) -> str:
    if math.isinf(log_ratio):
        return "∞" if log_ratio > 0.0 else "0"
    ratio = math.exp(min(log_ratio, 700.0))
    return f"{float(f'{ratio:.2g}'):g}"


def _points(share: float) -> str:
    if math.isinf(share):
        return "∞" if share > 0.0 else "−∞"
    return f"{100.0 * share:+.1f}".replace("-", "−")


# --- runs and learning rates ----------------------------------------------------------------------


def _diverged(dataset: xr.Dataset) -> Iterator[str]:
    counts = final(dataset)["diverged"]
    seeds = dataset.sizes["seed"]
    told = [f"{int(n)} of {seeds} runs of {e}" for e, n in _of_ensembles(counts) if n]
    if told:
        yield (
            f"Diverged: {_listed(told)}. They count as runs that reach no loss and end with an "
            "infinite one."
        )
    elif counts.size:
        yield "No run diverged."


def unstable(dataset: xr.Dataset) -> list[str]:
    """Return the ensembles of which some pilot diverged at every rate that was tried."""
    none = dataset["pilot_loss"].isnull().all("rate") & dataset["learning_rate"].notnull()
    return [e for e, flag in _of_ensembles(none) if flag]


def grid_words(dataset: xr.Dataset) -> list[str]:
    """Return notes on the learning rates, each chosen from a grid by pilot runs."""
    rates = {e: r for e, r in _of_ensembles(dataset["learning_rate"]) if math.isfinite(r)}
    if dataset.sizes["rate"] == 1:
        text = "All were trained at one learning rate, {:g}, which suits some better than others."
        return [text.format(rate) for rate in sorted(set(rates.values()))]
    at_edge, extended = (
        {e for e, flag in _of_ensembles(dataset[name]) if flag} for name in ("at_edge", "extended")
    )
    nowhere = unstable(dataset)
    edge = [f"{e} ({rates[e]:.3g})" for e in rates if e in at_edge and e not in nowhere]
    inside = [e for e in rates if e in extended - at_edge]
    held = [f"{e} ({rates[e]:.3g})" for e in _held(dataset, rates) if e not in nowhere]
    notes = {
        "Some pilot of {} diverged at every learning rate of the grid; the smallest was "
        "taken.": nowhere,
        "The best learning rate of {} is at the edge of the grid. A better one may lie beyond: "
        "extend the grid before you draw conclusions.": edge,
        "For {} the grid of learning rates was extended; the best now lies within it.": inside,
        "The learning rate of {} is the largest of the grid at which no pilot diverged: what "
        "holds it back is stability.": held,
    }
    spacing = _spacing(dataset)
    coarse = f"Learning rates are up to a factor of {spacing:.2g} apart, which can turn the sign"
    told = [f"{coarse} of a difference: try them 1.4 apart."] if spacing > FINE and rates else []
    return [text.format(_listed(names)) for text, names in notes.items() if names] + told


def _held(dataset: xr.Dataset, rates: Mapping[str, float]) -> Iterator[str]:
    """Yield the ensembles some pilot of which diverged at the next larger rate."""
    grid = dataset["rate"].to_numpy()
    for name, rate in rates.items():
        larger = grid > rate * (1.0 + 1e-9)
        gone = dataset["pilot_diverged"].sel(ensemble=name).to_numpy()[larger]
        if gone.size and gone[0]:
            yield name


def _spacing(dataset: xr.Dataset) -> float:
    """Return the largest ratio of neighbouring rates."""
    grid = np.log(dataset["rate"].to_numpy())
    return float(np.exp(np.diff(grid).max(initial=0.0)))


def scale_words(dataset: xr.Dataset, against: str) -> list[str]:
    """Return a note on ensembles whose signals shrink or grow otherwise than the baseline's.

    There is none for an ensemble beside which the file has independent weights of the same scale.
    """
    names = [str(x) for x in dataset["ensemble"].to_numpy()]
    grown = {name: x for name in names if (x := _growth(name))}
    base = grown.get(against)
    if base is None:
        return []
    controls = [x for name, x in grown.items() if name.partition("@")[0] == "he"]
    alone = [
        name
        for name, x in grown.items()
        if not (_close(x, base) or any(_close(x, control) for control in controls))
    ]
    if not alone:
        return []
    told = [f"{name} ({grown[name]:.2g}; he@{math.sqrt(2.0 * grown[name]):.3g})" for name in alone]
    factors = f"by a factor of {base:.2g} for {against}, and by another one for {_listed(told)}"
    advice = "compare with he at the same factor, which is named in brackets"
    text = "The mean square of signals changes from layer to layer {}. {}: {}."
    return [text.format(factors, "Small scales alone can train faster", advice)]


def _close(x: float, y: float) -> bool:
    return abs(math.log(x / y)) < SAME_SCALE


@lru_cache
def _growth(label: str) -> float | None:
    """Return the factor of q of a label; None if it names no initial weights."""
    try:
        return growth(parse_label("ensembles", label))
    except InputError:
        return None


def _of_ensembles(array: xr.DataArray) -> Iterable[tuple[str, float]]:
    names = [str(x) for x in array["ensemble"].to_numpy()]
    return zip(names, np.asarray(array.to_numpy(), dtype=float).tolist(), strict=True)


def _listed(names: Sequence[str]) -> str:
    return names[0] if len(names) == 1 else f"{', '.join(names[:-1])} and {names[-1]}"


def _basis(judged: Sequence[Difference]) -> str:
    pairs, count = judged[0].pairs, len(judged)
    corrected = f", corrected by Holm for all {count} differences," if count > 1 else ""
    text = (
        f"(Medians over {pairs} pair{'s' if pairs > 1 else ''} of runs with the same seed, data "
        f"and batches; intervals by bootstrap, each for itself. A difference is called one where "
        f"the sign test{corrected} errs in at most "
        f"{100.0 * (1.0 - CONFIDENCE):.0f} % of files; an interval alone shows less."
    )
    if any(d.estimate[0] != d.estimate[1] for d in judged):
        text += " Two numbers are bounds: some runs ended before they reached the loss."
    if pairs < FEWEST:
        text += f" With fewer than {FEWEST} pairs, as here, it can call none."
    elif min(count * 2.0 ** (1 - pairs), 1.0) >= 1.0 - CONFIDENCE:
        text += f" With {pairs} pairs it can call none of so many: train more seeds."
    return text + ")"
