"""`simcore.scaling`: how results fall towards infinite width, and whether theory says so."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
import xarray as xr

from simcore.errors import InputError
from simcore.numerics.text import with_error
from simcore.physics.observables import CONTROL, COVARIANCE, NAMES, NEAR_ONE

from .points import check_dataset, check_results, points
from .words import SYMBOLS, listed, point_words

Floats = npt.NDArray[np.float64]

ENOUGH = 0.1
"""First order is enough while it leaves at most this part of the deviation from mean field."""

SURE = 3.0
"""… or what it leaves is within so many standard errors."""

SLOPES = ("positive_slope", "negative_slope")
"""Coordinates of the activation; those of shaped ReLU, 1 + c/√N, follow the width."""

_WORST_CONDITION = 1e6
"""Condition number of a fit beyond which one width has all the weight, and there is no fit."""

_NEARLY_INFINITE = 2**20
"""Width at which the slope of first order in 1/N is read off; what it leaves of order 1/N² is 1e-6
of it, and 2^20 times the rounding of a mean 1e-9."""


@dataclass(frozen=True, eq=False)
class Scaling:
    """Fits of mean(N) = a + b/N (+ c/N²); its text says how they lie to theory.

    Parameters
    ----------
    fits
        Along the swept parameters but ``width``, and ``layer``, for each observable: ``_limit`` and
        ``_slope`` (a and b) with ``_limit_stderr`` and ``_slope_stderr``, and with ``_limit_z`` and
        ``_slope_z``, their distances from theory in these errors; ``_curvature`` (c, where
        it was fitted), ``_chi2`` of the fit; ``_controlled``, whether the means are estimated with
        control variates, as they are where all widths have such; ``_mean_field``, with which the
        limit is compared;
        ``_slope_theory``, that of b by theory.md (8), where it applies; and ``_first_order_reach``:
        the largest L/N of these widths up to which first order is seen to leave no more than a
        tenth of the deviation (or than three errors), without layers. ``_mean_field`` is NaN where
        theory depends on the width, as for `rai` and `raai`.
    terms
        Fitted terms, 2 or 3.
    widths
        The widths.
    """

    fits: xr.Dataset
    terms: int
    widths: tuple[int, ...]

    def __str__(self) -> str:
        return "\n".join(self._lines())

    def __repr__(self) -> str:
        return str(self)

    def _repr_html_(self) -> str:
        return listed(self._lines())

    def _lines(self) -> Iterator[str]:
        law = "a + b/N" + " + c/N²" * (self.terms == 3)
        widths = ", ".join(map(str, self.widths))
        last = self.fits.isel(layer=-1)
        finer = np.concatenate(
            [last[f"{n}_controlled"].to_numpy().ravel() for n in self.observables]
        )
        means = "plain means" if not finer.any() else "means with control variates"
        some = (
            "" if finer.all() or not finer.any() else " where all widths have them, else plain ones"
        )
        yield f"Fits of {law} over N = {widths}, at the last layer, to {means}{some}:"
        for point, at in points(last[f"{self.observables[0]}_limit"]):
            for name in self.observables:
                yield f"{point_words(point)}{': ' if point else ''}{_words(last.isel(at), name)}"

    @property
    def observables(self) -> list[str]:
        """The observables that were fitted."""
        return [str(n).removesuffix("_limit") for n in self.fits if str(n).endswith("_limit")]


def _words(last: xr.Dataset, name: str) -> str:
    def value(what: str) -> float:
        return float(last[f"{name}_{what}"]) if f"{name}_{what}" in last else math.nan

    def against(what: str, theory: str) -> str:
        e, t = value(f"{what}_stderr"), value(theory)
        told = with_error(value(what), e)
        if math.isnan(t):
            return told
        # As many digits as tell theory from the limit.
        digits = min(17, max(5, math.ceil(math.log10(abs(t) / e)) + 1)) if t and e else 5
        return f"{told} (theory {t:.{digits}g}, z = {value(f'{what}_z'):+.1f})"

    if math.isnan(value("limit")):
        return f"{SYMBOLS.get(name, name)}: no fit, for too few widths have a mean with an error"
    text = f"{SYMBOLS.get(name, name)}: limit {against('limit', 'mean_field')}"
    text += f", slope b {against('slope', 'slope_theory')}"
    reach = value("first_order_reach")
    return text if math.isnan(reach) else f"{text}; no lack of first order up to L/N = {reach:.2g}"


def scaling(
    dataset: xr.Dataset, *, observables: Sequence[str] = COVARIANCE, terms: int | None = None
) -> Scaling:
    """Fit how means depend on the width, and compare with theory.

    Parameters
    ----------
    dataset
        A complete run with a dimension ``width``; choose widths by ``dataset.sel(width=[...])``.
    observables
        Names of the means, of theory.md 3.
    terms
        2 fits a + b/N, 3 fits a + b/N + c/N². Left out: 3 from four widths on.

    Returns
    -------
    Scaling
        Weighted least squares over the widths, whose errors are independent. Means with control
        variates are so exact that the next term of the series counts: it is fitted, too, with a
        normal prior (`_next_term`), and so is part of the errors of the others.

    Raises
    ------
    InputError
        If there are too few widths, no theory (unfinished), slopes that follow the width, or an
        observable is unknown.

    Examples
    --------
    >>> import simcore
    >>> both = simcore.open_run(["narrow.h5", "run.h5"])
    >>> found = simcore.scaling(both, observables=["correlation"])
    >>> found.terms, found.widths
    (2, (64, 128))
    >>> found.fits.correlation_limit.dims
    ('layer',)
    """
    widths = _check(dataset, observables, terms)
    terms = terms or (3 if len(widths) > 3 else 2)
    found: dict[str, Any] = {}
    fine, one = shifted(dataset)
    slopes = _slopes(fine, one)
    for name in observables:
        means = fitted_means(fine, name)
        own = _fit(means, widths, terms)
        own |= {"mean_field": limit_of(fine[f"{name}_theory"]), "controlled": means.controlled}
        own["limit_z"] = (own["limit"] - own["mean_field"]) / own["limit_stderr"]
        if name in slopes:
            own["slope_theory"] = slopes[name]
            own["slope_z"] = (own["slope"] - own["slope_theory"]) / own["slope_stderr"]
        if f"{name}_theory_1n" in dataset:
            own["first_order_reach"] = _reach(fine, name, means)
        if name == "correlation":
            own |= {what: own[what] + one for what in ("limit", "mean_field")}
        for what, values in own.items():
            units = "1" if what in _PURE else dataset[name].attrs.get("units", "1")
            values.attrs = {"long_name": f"{name}: {_MEANINGS[what]}", "units": units}
            found[f"{name}_{what}"] = values
    return Scaling(xr.Dataset(found), terms, tuple(int(n) for n in widths))


def shifted(dataset: xr.Dataset) -> tuple[xr.Dataset, xr.DataArray]:
    """Return results with c - 1 in the place of c where c is near 1, and what was taken from c.

    That is 1 at points and layers where all widths are near, and 0 elsewhere. c - 1 is found from
    the distance, which has digits that c has lost.
    """
    near = (dataset["distance"] < NEAR_ONE).all("width")
    found: dict[str, xr.DataArray] = {}
    for end in ("", CONTROL, "_theory", "_theory_1n", "_stderr", f"{CONTROL}_stderr"):
        ours, finer = f"correlation{end}", f"distance{end}"
        if {ours, finer} <= set(dataset.data_vars):
            values = dataset[finer] if end.endswith("_stderr") else -dataset[finer]
            c = dataset[ours]
            found[ours] = c.where(~near, values).transpose(*c.dims).assign_attrs(c.attrs)
    return dataset.assign(found), near.astype(np.float64)


def limit_of(theory: xr.DataArray) -> xr.DataArray:
    """Return theory at infinite width; NaN where it depends on the width, as the death does.

    So does that of `rai` and `raai`, whose populations have the fan-in of the run.
    """
    low, high = theory.min("width"), theory.max("width")
    return low.where(high - low <= 1e-9 * abs(high))


_MEANINGS = {
    "limit": "limit at infinite width",
    "limit_stderr": "standard error of the limit",
    "slope": "coefficient of 1/N",
    "slope_stderr": "standard error of the coefficient of 1/N",
    "limit_z": "limit less mean field, in standard errors",
    "slope_z": "coefficient of 1/N less that of theory, in standard errors",
    "curvature": "coefficient of 1/N^2",
    "controlled": "whether means are estimated with control variates",
    "chi2": "sum of squared residuals in units of their variances",
    "mean_field": "mean field",
    "slope_theory": "coefficient of 1/N by theory",
    "first_order_reach": "largest L/N up to which no lack of first order in 1/N is seen",
}


_PURE = ("chi2", "controlled", "first_order_reach", "limit_z", "slope_z")
"""Quantities without a unit; the others have that of the observable."""


def _check(dataset: xr.Dataset, observables: Sequence[str], terms: int | None) -> Floats:
    check_dataset(dataset)
    if "width" not in dataset["correlation"].dims:
        rule = "has one width, and a fit needs two or more"
        raise InputError("dataset", "the run", rule, "Simulate --width 256,512,1024, say.")
    slopes = [dataset[name] for name in SLOPES if name in dataset.coords]
    if any((s != s.isel(width=0).variable).any() for s in slopes if "width" in s.dims):
        rule = "has slopes that follow the width, and means with no series in 1/N"
        raise InputError("dataset", "the run", rule, "Compare with theory at each width.")
    check_results(dataset, observables, NAMES, "is not known")
    widths = dataset["width"].to_numpy().astype(np.float64)
    if terms not in (None, 2, 3) or (terms or 2) > len(widths):
        rule = f"must be 2 or 3, and at most the number of widths, {len(widths)}"
        raise InputError("terms", terms, rule, "Leave it out.")
    return widths


class Means(NamedTuple):
    """Means of an observable with their standard errors, and whether they are controlled."""

    mean: xr.DataArray
    error: xr.DataArray
    controlled: xr.DataArray
    """Along points and layers, without widths."""


def fitted_means(dataset: xr.Dataset, name: str) -> Means:
    """Return the means that are fitted: those with control variates where all widths have them.

    Where these are exact, as in layer 1, there is nothing to fit: plain means take their places.
    """
    mean, error = dataset[name], dataset[f"{name}_stderr"]
    if name + CONTROL not in dataset:
        return Means(mean, error, xr.zeros_like(mean.isel(width=0, drop=True), dtype=bool))
    finer = dataset[f"{name}{CONTROL}_stderr"]
    every = (finer.notnull() | error.isnull()).all("width") & (finer > 0.0).any("width")
    ours = dataset[name + CONTROL].where(every, mean).assign_attrs(mean.attrs)
    return Means(ours, finer.where(every, error), every)


class _Solution(NamedTuple):
    """Coefficients of fits, of powers of (least width/width), with their covariance.

    The last is that of the next term. Points and layers first; `like` has their dimensions. NaN
    where there is no fit. The covariance is in squares of `unit`, for those of errors would leave
    float64 in deep networks.
    """

    found: Floats
    covariance: Floats
    unit: Floats
    chi2: Floats
    like: xr.DataArray


def _fit(means: Means, widths: Floats, terms: int) -> dict[str, xr.DataArray]:
    """Return limit and slope with their errors, curvature and chi² at every point and layer."""
    found, covariance, unit, chi2, like = _solved(means, widths, terms)
    scale = widths.min() ** np.arange(terms + 1)
    errors = np.sqrt(np.diagonal(covariance, axis1=-2, axis2=-1)) * unit[..., None] * scale
    found = found * scale
    fitted: dict[str, xr.DataArray] = {}
    for i, term in enumerate(("limit", "slope")):
        fitted[term] = like.copy(data=found[..., i])
        fitted[f"{term}_stderr"] = like.copy(data=errors[..., i])
    fitted["chi2"] = like.copy(data=chi2)
    return fitted | ({"curvature": like.copy(data=found[..., 2])} if terms == 3 else {})


def fitted_curve(
    dataset: xr.Dataset, name: str, inverse: Floats, terms: int
) -> tuple[xr.DataArray, xr.DataArray]:
    """Return the fit at some 1/N, and its standard error, along a dimension ``inverse``.

    The next term of the series is in it where it was fitted, too.
    """
    widths = dataset["width"].to_numpy().astype(np.float64)
    found, covariance, unit, _, like = _solved(fitted_means(dataset, name), widths, terms)
    powers = (inverse[:, np.newaxis] * widths.min()) ** np.arange(terms + 1)
    middle = np.einsum("...t,it->...i", found, powers)
    variance = np.einsum("it,...tu,iu->...i", powers, covariance, powers)
    along: dict[str, Any] = {
        "dims": (*like.dims, "inverse"),
        "coords": dict(like.coords) | {"inverse": inverse},
    }
    error = np.sqrt(variance) * unit[..., None]
    return xr.DataArray(middle, **along), xr.DataArray(error, **along)


def _solved(means: Means, widths: Floats, terms: int) -> _Solution:
    """Weighted least squares of one observable at every point and layer."""
    mean = means.mean
    order = [*(dim for dim in mean.dims if dim != "width"), "width"]
    y, e = (values.transpose(*order).to_numpy() for values in (mean, means.error))
    unit = widths.min() / widths
    design = np.stack([unit**power for power in range(terms + 1)], axis=-1)
    known = np.isfinite(y) & (e > 0.0)
    # Errors are in units of the smallest of a fit.
    least = np.where(known, e, np.inf).min(axis=-1)
    least = np.where(np.isfinite(least), least, 1.0)
    weight = np.where(known, least[..., None] / np.where(known, e, 1.0), 0.0)
    weighted = weight[..., None] * design
    target = weight * np.where(known, y, 0.0)
    condition = np.linalg.cond(weighted[..., :terms])
    solvable = (known.sum(axis=-1) >= terms) & (condition < _WORST_CONDITION)
    weighted[~solvable] = np.eye(len(widths), terms + 1)
    plain = np.zeros(solvable.shape)
    first, *_ = _least_squares(weighted, target, plain)
    size = np.where(solvable[..., None], np.abs(first[..., :-1]), 0.0)
    layers = order.index("layer")
    depth = mean["layer"].to_numpy().reshape([-1 if d == "layer" else 1 for d in order[:-1]])
    prior = _next_term(np.maximum.accumulate(size, axis=layers), depth / widths.min())
    controlled = means.controlled.transpose(*order[:-1]).to_numpy()
    found, covariance, chi2 = _least_squares(
        weighted, target, np.where(controlled, prior / least, plain)
    )
    found[~solvable] = covariance[~solvable] = chi2[~solvable] = np.nan
    like = mean.isel(width=0, drop=True).transpose(*order[:-1])
    return _Solution(found, covariance, least, chi2 / least**2, like)


def _next_term(size: Floats, ratio: Floats) -> Floats:
    """Return a standard deviation of the coefficient that follows those of a series.

    `size` are the coefficients at the narrowest width, limit first, in absolute value; `ratio` is
    layer/width there, in which the series goes on: each coefficient is that of the one before
    times the ratio. The largest that this gives counts, of all layers so far.
    """
    terms = size.shape[-1]
    largest: Floats = np.max([size[..., t] * ratio ** (terms - t) for t in range(1, terms)], axis=0)
    return largest


def _least_squares(
    weighted: Floats, target: Floats, prior: Floats
) -> tuple[Floats, Floats, Floats]:
    """Return coefficients, their covariance and the sum of squares of fits.

    The last column of `weighted` has the next term, whose coefficient is normal with the standard
    deviation `prior` (in units of the errors); 0: no such.
    """
    *shape, _, terms = weighted.shape
    rows = np.concatenate([weighted, np.zeros((*shape, 1, terms))], axis=-2)
    rows[..., -1] *= prior[..., None]
    rows[..., -1, -1] = 1.0
    values = np.concatenate([target, np.zeros((*shape, 1))], axis=-1)[..., None]
    covariance = np.linalg.inv(rows.swapaxes(-1, -2) @ rows)
    found = covariance @ (rows.swapaxes(-1, -2) @ values)
    chi2 = ((values - rows @ found) ** 2).sum(axis=(-1, -2))
    unit = np.ones((*shape, terms))
    unit[..., -1] = prior
    return unit * found[..., 0], unit[..., None] * unit[..., None, :] * covariance, chi2


def _slopes(dataset: xr.Dataset, one: xr.DataArray) -> dict[str, xr.DataArray]:
    """Return b of theory.md (8) for each observable that has it, along points and layers.

    It is what first order adds to mean field at a width that is nearly infinite, times the width.
    Where `one` is 1, c is c - 1 (`shifted`).
    """
    from simcore.physics.slopes import RELU
    from simcore.theory.finite_width import first_order_grid

    names = [str(n).removesuffix("_theory_1n") for n in dataset if str(n).endswith("_theory_1n")]
    if not names or "q0" not in dataset.coords:
        return {}
    first = dataset.isel(width=0)
    law = [n for n in ("sigma_w", *SLOPES) if n in dataset.coords]
    if any((dataset[n] != first[n].variable).any() for n in law):
        return {}  # the law itself follows the width
    dataset = dataset.drop_vars(law).assign_coords({n: first[n].variable for n in law})
    like = dataset["correlation_theory"].isel(width=0, drop=True)
    swept = [dim for dim in like.dims if dim != "layer"]
    like = like.transpose(*swept, "layer")
    shape = like.shape[:-1]

    def values(name: str) -> Floats:
        own = dataset[name].broadcast_like(like.isel(layer=0, drop=True)).transpose(*swept)
        return own.to_numpy().astype(np.float64).ravel()

    depth, sloped = dataset.sizes["layer"], "negative_slope" in dataset.coords
    mean, _ = first_order_grid(
        depth,
        widths=np.full((math.prod(shape), depth), float(_NEARLY_INFINITE)),
        g=values("g"),
        sigma_w=values("sigma_w"),
        sigma_b=values("sigma_b"),
        q1=values("q0"),
        q2=values("q0"),
        distance=values("initial_distance"),
        slopes=(values("positive_slope"), values("negative_slope")) if sloped else RELU,
    )
    found: dict[str, xr.DataArray] = {}
    for name in (n for n in names if n in mean):  # not those of gradients
        theory = limit_of(dataset[f"{name}_theory"]).transpose(*swept, "layer")
        nearly = theory.copy(data=mean[name].reshape(*shape, depth))
        if name == "correlation":
            distance = theory.copy(data=mean["distance"].reshape(*shape, depth))
            nearly = nearly.where(one == 0.0, -distance)
        covered = dataset[f"{name}_theory_1n"].notnull().any("width")
        found[name] = ((nearly - theory) * _NEARLY_INFINITE).where(covered)
    return found


def _reach(dataset: xr.Dataset, name: str, means: Means) -> xr.DataArray:
    """Return the largest L/N of any width up to which no lack of first order is seen."""
    better = dataset[f"{name}_theory_1n"]
    left = abs(means.mean - better)
    moved = abs(better - dataset[f"{name}_theory"])
    poor = left > np.maximum(ENOUGH * moved, SURE * means.error)
    shape = (dataset["layer"] / dataset["width"]).where((left + moved).notnull())
    failing = shape.where(poor).min(["layer", "width"]).fillna(np.inf)
    return shape.where(shape < failing).max(["layer", "width"])
