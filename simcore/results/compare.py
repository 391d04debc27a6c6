"""`simcore.compare`: how far simulations lie from theory, layer by layer and as a whole.

The verdict on an observable is one test of all layers together (`joint_statistics` says which, and
how often it errs).
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt
import xarray as xr

from simcore.errors import InputError
from simcore.physics.observables import (
    CONTROL,
    COVARIANCE,
    GRADIENT_CONTROLLED,
    GRADIENT_COVARIANCE,
    NEAR_ONE,
)

from .conclusion import conclusion, holds
from .controlled import has_controls, with_controls
from .depth_width import WholeLaw, whole_laws
from .depth_width import summary as of_laws
from .joint_test import critical_value, joint_test, shrunk, symmetric
from .points import check_dataset, check_results, points, swept_of
from .words import ABSENT, FIRST_ORDER, MEAN_FIELD, Verdict, listed, summary

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["THEORIES", "Comparison", "Verdict", "compare", "skewness", "z_scores"]

Floats = npt.NDArray[np.float64]

FALSE_ALARM = 0.01
"""Probability that a verdict says "deviates" where theory holds."""

LEAST = 1e-12
"""Smallest false-alarm probability; smaller ones say nothing about real trials."""

FAR = 3.0
"""Standard errors beyond which a layer is said to deviate, in the words of a verdict."""

THEORIES = {"theory": MEAN_FIELD, "theory_1n": FIRST_ORDER}
"""Theories to compare with, by the suffix of their variables."""

_JUDGED = COVARIANCE + GRADIENT_COVARIANCE
"""Observables that may get a verdict."""

_DECAY = {"theory": 0.5, "theory_1n": 1.5}
"""Powers of 1/N with which z falls: deviations like 1/N and 1/N², errors like 1/N^(1/2).

Those of means with control variates are like 1/N^(3/2), of gradients 1/N, and the powers smaller by
1 and by 1/2."""

SKEWED = ("log_q1", "log_gradient1")
CAUTION, MANY = 3.0, 1000
"""Factor of the p-values of these with control variates, and the networks from which it is 1: false
alarms were 2 to 3 times as many as claimed with fewer (`joint_test`)."""

_WIDEST = 2.0**25
"""Widest network that can be simulated; beyond it no width of agreement is named."""


@dataclass(frozen=True, eq=False)
class Comparison:
    """Result of `compare`; its text is the answer in words.

    Parameters
    ----------
    z
        (mean − theory)/(standard error) of every observable that has a theory: ``correlation_z``
        against mean field and ``correlation_z_1n`` against first order in 1/N, along the swept
        parameters and ``layer``. NaN where one of them is not defined.
    verdicts
        One for each point, observable and theory.
    false_alarm
        Probability of a deviation by chance, for each verdict by itself.
    laws
        The whole law at the last layer beside the limit of depth with width, for each point that
        has one; `holds` does not ask for it, for it is a limit.
    """

    z: xr.Dataset
    verdicts: tuple[Verdict, ...]
    false_alarm: float = FALSE_ALARM
    laws: tuple[WholeLaw, ...] = ()

    def __str__(self) -> str:
        return "\n".join(self._lines())

    def _lines(self) -> Iterator[str]:
        yield from summary(self.verdicts, self.false_alarm)
        yield from of_laws(self.laws)

    def __repr__(self) -> str:
        return str(self)

    def _repr_html_(self) -> str:
        return listed(self._lines())

    @property
    def conclusion(self) -> str:
        """Two or three sentences: whether infinite width holds, and what first order explains."""
        return " ".join(
            [*conclusion(self.verdicts, self.false_alarm), *list(of_laws(self.laws))[:1]]
        )

    @property
    def holds(self) -> bool:
        """False if an observable deviates from the best theory there is for it.

        That is first order in 1/N where it makes a prediction, else infinite width. At a grid the
        points that deviate by chance do not count.
        """
        return holds(self.verdicts, self.false_alarm)

    def to_dataframe(self) -> pd.DataFrame:
        """Return the verdicts as a table, a row each."""
        import pandas as pd

        return pd.DataFrame([verdict.row() for verdict in self.verdicts])


def compare(
    dataset: xr.Dataset,
    *,
    observables: Sequence[str] | None = None,
    false_alarm: float = FALSE_ALARM,
) -> Comparison:
    """Compare a simulation with theory at infinite width and at first order in 1/N.

    Parameters
    ----------
    dataset
        A complete run, from `open_run` or `simulate`.
    observables
        Those that get a verdict, of ``log_q1``, ``correlation`` and ``log_distance``: they differ,
        since finite width moves each by another amount (theory.md 5); of a run with gradients also
        ``log_gradient1``, ``gradient_correlation`` and ``tangent12``. None is the first three and
        ``log_gradient1``: the others have no theory beyond infinite width.
    false_alarm
        Probability that a verdict says "deviates" though theory holds.

    Returns
    -------
    Comparison
        z per layer, one joint verdict for each point, observable and theory, and words.

    Raises
    ------
    InputError
        If the run is unfinished, or an observable or `false_alarm` is not possible.

    Examples
    --------
    >>> import simcore
    >>> found = simcore.compare(simcore.open_run("run.h5"))
    >>> found.verdicts[0].observable, found.verdicts[0].against
    ('log_q1', 'mean field')
    >>> found.z.correlation_z.dims
    ('layer',)
    """
    check_dataset(dataset)
    if observables is None:
        observables = COVARIANCE + GRADIENT_COVARIANCE[:1] * (GRADIENT_COVARIANCE[0] in dataset)
    _check(dataset, observables, false_alarm)
    # A user may have chosen layers: the test takes those that are left.
    laws = tuple(whole_laws(dataset, false_alarm))
    dataset = with_controls(dataset)
    kept = np.isin(dataset["covariance_layer"], dataset["layer"])
    dataset = dataset.isel(covariance_layer=kept, covariance_layer_2=kept)
    z = z_scores(dataset)
    found = []
    for observable in observables:
        for suffix in THEORIES:
            if f"{observable}_{suffix}" in dataset:
                found.append(list(_verdicts(dataset, z, observable, suffix, false_alarm)))
    # The verdicts on one point stand together.
    verdicts = tuple(verdict for of_point in zip(*found, strict=True) for verdict in of_point)
    return Comparison(z, verdicts, false_alarm, laws)


def needed() -> tuple[str, ...]:
    """Return the variables of a Dataset that a comparison reads."""
    moments = ["", "_stderr", "_covariance", "_covariance_count"]
    own = [*moments, "_std", "_theory", "_theory_stderr", "_theory_1n"]
    own += ["_histogram", "_bin_lower", "_bin_width", *(CONTROL + end for end in moments)]
    names = [name + end for name in (*_JUDGED, "distance") for end in own]
    return (*names, "inactive1_count")


def _check(dataset: xr.Dataset, observables: Sequence[str], false_alarm: float) -> None:
    rule = "has no joint verdict, for its covariance between layers is not kept"
    check_results(dataset, observables, _JUDGED if "log_gradient1" in dataset else COVARIANCE, rule)
    if not (isinstance(false_alarm, (int, float)) and LEAST <= false_alarm <= 0.5):
        rule = f"must lie between {LEAST:g} and 0.5"
        raise InputError("false_alarm", false_alarm, rule, "0.01 is a good choice.")


def z_scores(dataset: xr.Dataset) -> xr.Dataset:
    """Return (mean − theory)/error for every observable and theory that are there.

    They are ``<observable>_z`` and ``<observable>_z_1n``; where theory has an error of its own
    (``rai``, ``raai``) it is added in quadrature. Means are estimated with control variates where
    the results have them.
    """
    dataset = with_controls(dataset)
    found: dict[str, xr.DataArray] = {}
    for suffix, words in THEORIES.items():
        for name in [str(n) for n in dataset.data_vars if str(n).endswith(f"_{suffix}")]:
            observable = name.removesuffix(f"_{suffix}")
            error = np.hypot(dataset[f"{observable}_stderr"], _theory_error(dataset, name))
            z = _deviation(dataset, observable, name) / error.where(error > 0.0)
            z.attrs = {"long_name": f"{observable}: z against {words}", "units": "1"}
            found[f"{observable}_{suffix.replace('theory', 'z')}"] = z
    return xr.Dataset(found)


def _deviation(dataset: xr.Dataset, observable: str, theory: str) -> xr.DataArray:
    """Return mean − theory; of a correlation near 1 from its distance, which has more digits."""
    return _difference(dataset, observable, observable, theory)


def _difference(dataset: xr.Dataset, observable: str, one: str, other: str) -> xr.DataArray:
    """Return one variable of an observable less another."""
    found = dataset[one] - dataset[other]
    finer = [name.replace("correlation", "distance", 1) for name in (one, other)]
    if observable != "correlation" or not {"distance", *finer} <= set(dataset.data_vars):
        return found
    near = dataset["distance"] < NEAR_ONE
    return found.where(~near, dataset[finer[1]] - dataset[finer[0]])


def _theory_error(dataset: xr.Dataset, name: str) -> Any:
    return dataset[f"{name}_stderr"].fillna(0.0) if f"{name}_stderr" in dataset else 0.0


# --- one verdict ----------------------------------------------------------------------------------


def skewness(dataset: xr.Dataset, observable: str) -> xr.DataArray:
    """Return the skewness over trials at the layers whose covariance is kept, from histograms.

    Zero where there is no histogram. What lies in an open bin counts at its edge.
    """
    own = dataset.sel(layer=dataset["covariance_layer"].to_numpy())
    count = own.get(f"{observable}_histogram")
    if count is None:
        return xr.zeros_like(own[observable])
    step = own[f"{observable}_bin_width"]
    place = (dataset["bin"] - 0.5).clip(0.0, dataset.sizes["bin"] - 2.0)
    count = count.astype(np.float64) / count.sum("bin").clip(min=1.0)
    # The mean of the same bins: the third moment is then that of one law.
    mean = (count * place).sum("bin")
    gap = (place - mean) * step
    third = (count * gap**3).sum("bin") / own[f"{observable}_std"].clip(min=1e-300) ** 3
    return third.where(np.isfinite(third) & (step > 0.0), 0.0)


@dataclass(frozen=True, eq=False)
class _Evidence:
    """Data on one observable and one theory; arrays have the points first."""

    mean: Floats
    theory: Floats
    deviation: Floats
    """Mean less theory."""
    z: Floats
    layer: npt.NDArray[np.int64]
    chosen: npt.NDArray[np.int64]
    """Places of the layers whose covariance is kept."""
    covariance: Floats
    trials: npt.NDArray[np.int64]
    skewness: Floats
    """Of single trials at the chosen layers."""
    expected: Floats | None
    """First order in 1/N less mean field."""
    exact: npt.NDArray[np.bool_]
    """Points whose theory has no error of its own, and is that of a limit."""
    decay: float
    """Power of 1/N with which z falls at those."""
    known: npt.NDArray[np.bool_]
    """Points that a file has."""
    caution: float
    """Factor of p-values from few networks, whose law has a skewness that is not known."""


def _evidence(dataset: xr.Dataset, z: xr.Dataset, observable: str, suffix: str) -> _Evidence:
    swept = swept_of(dataset)
    theory = f"{observable}_{suffix}"

    def rows(values: xr.DataArray) -> npt.NDArray[Any]:
        array = values.transpose(*swept, ...).to_numpy()
        return array.reshape(-1, *array.shape[len(swept) :])

    better = f"{observable}_theory_1n"
    expected = (
        rows(_difference(dataset, observable, better, f"{observable}_theory"))
        if better in dataset
        else None
    )
    layer = dataset["layer"].to_numpy()
    mean, error = rows(dataset[observable]), f"{theory}_stderr"
    exact = np.ones(len(mean), dtype=bool)
    if error in dataset:
        exact = ~np.isfinite(rows(dataset[error])).any(axis=1)
    return _Evidence(
        mean=mean,
        theory=rows(dataset[theory]),
        deviation=rows(_deviation(dataset, observable, theory)),
        z=rows(z[theory.replace("_theory", "_z")]),
        layer=layer,
        chosen=np.searchsorted(layer, dataset["covariance_layer"].to_numpy()),
        covariance=rows(dataset[f"{observable}_covariance"]),
        trials=rows(dataset[f"{observable}_covariance_count"]),
        skewness=rows(skewness(dataset, observable)),
        expected=expected,
        exact=exact,
        decay=_DECAY[suffix] - _gained(dataset, observable),
        known=rows(dataset["inactive1_count"]).max(axis=1) > 0,
        caution=CAUTION if observable in SKEWED and has_controls(dataset, observable) else 1.0,
    )


def _gained(dataset: xr.Dataset, observable: str) -> float:
    """Return the power of 1/N by which controls shrink an error."""
    if not has_controls(dataset, observable):
        return 0.0
    return 0.5 if observable in GRADIENT_CONTROLLED else 1.0


def _verdicts(
    dataset: xr.Dataset, z: xr.Dataset, observable: str, suffix: str, false_alarm: float
) -> Iterator[Verdict]:
    known = f"{observable}_covariance" in dataset
    evidence = _evidence(dataset, z, observable, suffix) if known else None
    width = dataset["width"]
    same = None if "layer" in width.dims or width.ndim else int(width)
    about: dict[str, Any] = {"observable": observable, "against": THEORIES[suffix]}
    for number, (point, _) in enumerate(points(dataset)):
        about["point"] = point
        if evidence is None:
            yield Verdict(**about, missing="its covariance is not in the file; simulate again")
            continue
        missing = _missing(evidence, number)
        if missing:
            yield Verdict(**about, missing=missing)
        else:
            wide = point.get("width", same)
            yield Verdict(**about, **_judged(evidence, number, wide, false_alarm))


def _missing(evidence: _Evidence, number: int) -> str:
    """Return why there can be no verdict; "" if there can."""
    if not evidence.known[number]:
        return ABSENT
    if not np.isfinite(evidence.mean[number]).any():
        return "no trial has a value"
    if not np.isfinite(evidence.theory[number]).any():
        return "theory has no value"
    trials = int(evidence.trials[number])
    if trials < 3:
        have = "has" if trials == 1 else "have"
        return f"an error needs 3 trials with a value at every layer, and {trials} {have} one"
    if not len(_usable(evidence, number)):
        return "all trials have the same value"
    return ""


def _usable(evidence: _Evidence, number: int) -> npt.NDArray[np.int64]:
    """Return which of the chosen layers can be tested: trials vary there, and theory has a value.

    Files of different depth were given different layers.
    """
    varied = np.diagonal(evidence.covariance[number]) > 0.0
    return np.nonzero(varied & np.isfinite(evidence.z[number, evidence.chosen]))[0]


def _judged(
    evidence: _Evidence, number: int, width: int | None, false_alarm: float
) -> dict[str, Any]:
    """Return the fields of the `Verdict` on a point."""
    trials = int(evidence.trials[number])
    z = evidence.z[number]
    usable = _usable(evidence, number)
    scale = np.sqrt(np.diagonal(evidence.covariance[number])[usable])
    covariance = evidence.covariance[number][np.ix_(usable, usable)]
    correlation = shrunk(covariance / np.outer(scale, scale), trials)
    tested = evidence.chosen[usable]
    at = int(tested[np.argmax(np.abs(z[tested]))])
    unskewed = symmetric(z[tested], evidence.skewness[number, usable], trials)
    caution = evidence.caution if trials < MANY else 1.0
    p_value = min(1.0, caution * joint_test(float(np.abs(unskewed).max()), correlation, trials))
    gap = float(evidence.deviation[number, at])
    agrees_from = None
    falls = evidence.decay > 0.0
    if falls and p_value < false_alarm and width is not None and evidence.exact[number]:
        ratio = abs(float(z[at])) / critical_value(false_alarm / caution, correlation, trials)
        wide = width * max(1.0, ratio) ** (1.0 / evidence.decay)
        agrees_from = wide if wide <= _WIDEST else None
    expected = math.nan if evidence.expected is None else float(evidence.expected[number, at])
    return {
        "agrees": p_value >= false_alarm,
        "p_value": p_value,
        "trials": trials,
        "layer": int(evidence.layer[at]),
        "z": float(z[at]),
        "deviation": gap,
        "error": gap / float(z[at]) if gap else 0.0,
        "from_layer": _far_from(evidence.layer, z),
        "expected": expected if math.isfinite(expected) else None,
        "agrees_from_width": agrees_from,
    }


def _far_from(layer: npt.NDArray[np.int64], z: Floats) -> int | None:
    """Return the layer from which on every z is beyond `FAR`, of those that are defined."""
    known = np.nonzero(np.isfinite(z))[0]
    within = np.nonzero(~(np.abs(z[known]) > FAR))[0]
    first = 0 if not len(within) else int(within[-1]) + 1
    return int(layer[known[first]]) if first < len(known) else None
