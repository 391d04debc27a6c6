"""A PyTorch model beside theory: mean field, and first order in 1/N with its spread."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt
import torch
import xarray as xr
from torch import nn

from simcore.physics.ensembles import ASYMMETRIC
from simcore.physics.observables import BY_NAME, FIRST_ORDER
from simcore.physics.slopes import RELU, Slopes
from simcore.results.words import SYMBOLS
from simcore.runs.ensemble import Ensemble, checked
from simcore.runs.predictions import POPULATIONS, seen

from ..errors import InputError
from ..initializers import bias_scale, scales_with_fan_in
from .tracing import PAIR_NAMES, trace
from .watching import LAYERS, arguments, checked_model, modules_of, shown

if TYPE_CHECKING:
    from matplotlib.figure import Figure

Floats = npt.NDArray[np.float64]

TESTED = ("log_q1", "log_q2", "log_distance")
"""Observables of the verdict: their law over networks is nearly normal."""

FALSE_ALARM = 1e-3
"""Probability that the verdict says "deviates" where theory holds and layers are wide."""

SPREAD = "±2 standard deviations of a network"

ROWS = 12
"""Most layers in the table of the text."""


@dataclass(frozen=True, eq=False)
class Comparison:
    """Result of `compare`; its text is the answer in words.

    `data` is the Dataset of `trace` with ``<observable>_theory`` (infinite width),
    ``<observable>_theory_1n``, ``<observable>_theory_1n_std`` (first order in 1/N: mean and
    standard deviation over networks) and ``<observable>_z``, the distance of this network from that
    mean in units of that deviation; NaN where there is no prediction. `outside` names what the
    theory does not know.
    """

    data: xr.Dataset
    outside: tuple[str, ...]

    def __str__(self) -> str:
        return "\n".join([self.verdict, *self._outside(), "", *self._table()])

    @property
    def verdict(self) -> str:
        """One sentence on whether first order in 1/N holds, or how far mean field is."""
        z = np.stack([self.data[f"{name}_z"].values for name in TESTED])
        known = int(np.isfinite(z).sum())
        if not known:
            gap = self.data["log_q1"] - self.data["log_q1_theory"]
            if not np.isfinite(gap).any():
                return "No theory for these inputs."
            worst = float(np.abs(gap).max())
            return (
                "No spread is known for this law or these layers, so there is no z: ln q lies up "
                f"to {worst:.2g} from mean field."
            )
        place = np.unravel_index(int(np.nanargmax(np.abs(z))), z.shape)
        worst = float(z[place])
        share = min(1.0, known * math.erfc(abs(worst) / math.sqrt(2.0)))
        layer = self.data.isel(layer=int(place[2]))
        where = (
            f"z = {worst:+.1f} for {SYMBOLS[TESTED[place[0]]]} in layer "
            f"{int(layer.layer)} ({layer.module.item()}), the largest of {known}"
        )
        if share < FALSE_ALARM:
            return f"The model deviates from first order in 1/N: {where}."
        return f"First order in 1/N holds: {where}."

    def _outside(self) -> list[str]:
        return [f"Outside the theory: {', '.join(self.outside)}."] if self.outside else []

    def _table(self) -> list[str]:
        """Return means over the pairs at some layers."""
        mean = self.data.mean("pair", skipna=True)
        places = sorted({round(x) for x in np.linspace(0, len(mean.layer) - 1, ROWS)})
        close = bool((mean.distance.isel(layer=places) < 5e-5).any())  # c is 1 at these digits
        first, heading = ("log_distance", "ln(1-c)") if close else ("correlation", "c")
        theories = "  mean field      1/N "
        lines = [f"layer  nodes {heading:>9}{theories}      ln q{theories} module"]
        for i in places:
            at = mean.isel(layer=i)
            texts = [
                f"{float(at[name + kind]):{width}.4f}"
                for name in (first, "log_q1")
                for kind, width in (("", 9), ("_theory", 11), ("_theory_1n", 8))
            ]
            lines.append(
                f"{int(at.layer):5d} {int(at.width):6d} {' '.join(texts)}  {at.module.item()}"
            )
        return [line.replace("nan", "  -") for line in lines]

    def plot(self, observables: Sequence[str] = ("correlation", "log_q1")) -> Figure:
        """Draw the first pair as points, mean field as a line, first order with its spread."""
        from matplotlib.figure import Figure
        from matplotlib.ticker import MaxNLocator

        figure = Figure(figsize=(5.4, 2.4 * len(observables)), layout="constrained")
        panels = figure.subplots(len(observables), 1, sharex=True, squeeze=False)[:, 0]
        first = self.data.isel(pair=0)
        for axes, name in zip(panels, observables, strict=True):
            layers, order = first.layer, first[f"{name}_theory_1n"]
            spread = 2.0 * first[f"{name}_theory_1n_std"]
            axes.plot(layers, first[f"{name}_theory"], "k--", lw=1, label="mean field")
            axes.plot(layers, order, color="C0", lw=1, label="first order in 1/N")
            axes.fill_between(
                layers, order - spread, order + spread, color="C0", alpha=0.2, lw=0, label=SPREAD
            )
            axes.plot(layers, first[name], "o", color="C1", ms=3, label="model")
            axes.set_ylabel(BY_NAME[name].tex)
        panels[0].legend(frameon=False, fontsize="small", ncols=2)
        panels[-1].set_xlabel("layer")
        panels[-1].xaxis.set_major_locator(MaxNLocator(integer=True))
        return figure


def compare(
    model: nn.Module,
    ensemble: Ensemble,
    *args: Any,
    pairs: int | Sequence[tuple[int, int]] | None = None,
    mode: str | None = None,
    **kwargs: Any,
) -> Comparison:
    """Lay theory beside a model as it is now, to see if it is like networks of the ensemble.

    Theory is that of a chain of linear layers with ReLU or LeakyReLU of one slope between them,
    which is read from the model, each layer drawn by the ensemble at its own fan-in; one without a
    bias has none there, too. The mean over networks and its
    spread are of first order in 1/N (theory.md 8), so that one network is enough for a z. There is
    no first order for `rai` and `raai`, for weights that are not normal, and where layers are no
    such chain (convolutions, skip connections that change a width): z is NaN there. There is no
    theory at all of activations of several slopes, and none of LeakyReLU with `rai` and `raai`.

    Parameters
    ----------
    model
        As for `trace`.
    ensemble
        The law to compare with.
    *args, **kwargs
        Inputs, as for `trace`. Left out, they are two random inputs of mean square 1 and overlap
        1/2, for a model whose first layer is a Linear that reads them.
    pairs, mode
        As for `trace`. For `rai` and `raai` theory is computed for 4 pairs, some seconds each.

    Returns
    -------
    Comparison
        Print it for the words; `plot` draws it; `data` has the numbers.

    Raises
    ------
    InputError
        As from `trace`; if the first input is no tensor of floating numbers.

    Examples
    --------
    >>> import simcore, torch
    >>> generator = torch.Generator().manual_seed(0)
    >>> linear, relu = torch.nn.Linear, torch.nn.ReLU
    >>> model = torch.nn.Sequential(linear(256, 256), relu(), linear(256, 256), relu())
    >>> ensemble = simcore.Ensemble.correlated(k=1.0)
    >>> _ = simcore.torch.initialize_(model, ensemble, generator)
    >>> simcore.torch.compare(model, ensemble).verdict.startswith("First order in 1/N holds")
    True
    """
    model, ensemble = checked_model(model), checked(ensemble)
    if not args and not kwargs:
        args = (_two_inputs(model),)
    given = arguments(args, kwargs)
    if not given.first.is_floating_point():
        rule = "holds no floating numbers, from which theory starts"
        raise InputError("inputs", str(given.first.dtype), rule, "Compare the part behind it.")
    inputs = given.first.detach().flatten(1).cpu().double().numpy()
    traced = trace(model, *given.given, pairs=pairs, mode=mode, **given.named)
    parts = dict(modules_of(model))
    layers = [parts.get(name, model) for name in traced.module.values.tolist()]
    slopes = set(zip(traced.positive_slope.values, traced.negative_slope.values, strict=True))
    law = _Laws.of(ensemble, layers, slopes)
    chosen = zip(traced.first_input.values, traced.second_input.values, strict=True)
    followed = [inputs[[a, b]] for a, b in chosen]
    broken = tuple(_broken(traced, layers, law.fan_ins, inputs.shape[1]))
    found = _mean_field(law, followed) if law.is_known else {}
    if found and not broken and ensemble.name not in ASYMMETRIC and ensemble.weights == "normal":
        found |= _first_order(law, traced.width.values, followed)
    others = tuple(traced.not_seen.split(", ")) if traced.not_seen else ()
    strange = () if law.is_known else (f"activations of the slopes {_listed(slopes)}",)
    return Comparison(_with_theory(traced, found), strange + broken + others)


def _two_inputs(model: nn.Module) -> torch.Tensor:
    """Return two inputs of the model's first layer: mean 0, mean square 1, overlap 1/2."""
    first = next((part for part in model.modules() if isinstance(part, LAYERS)), None)
    if not isinstance(first, nn.Linear) or first.in_features < 3:
        rule = "does not begin with a Linear of three inputs or more, for which they could be drawn"
        raise InputError("inputs", "none", rule, "Give the inputs of the model.")
    size = first.in_features
    x = np.random.default_rng(0).standard_normal((size, 2))
    x, y = math.sqrt(size) * np.linalg.qr(x - x.mean(axis=0))[0].T
    pair = np.stack([x, 0.5 * x + math.sqrt(0.75) * y])
    return torch.as_tensor(pair, dtype=first.weight.dtype, device=first.weight.device)


# --- theory of the layers -------------------------------------------------------------------------


@dataclass(frozen=True)
class _Laws:
    """An ensemble at the layers of a model: their fan-in and σ_b, the slopes of activations."""

    ensemble: Ensemble
    fan_ins: list[int]
    biases: list[float]
    slopes: set[Slopes]

    @classmethod
    def of(cls, ensemble: Ensemble, layers: list[Any], slopes: set[Slopes]) -> _Laws:
        fan_ins = [math.prod(layer.weight.shape[1:]) for layer in layers]
        biases = [
            0.0 if layer.bias is None else bias_scale(ensemble, n)
            for layer, n in zip(layers, fan_ins, strict=True)
        ]
        return cls(ensemble, fan_ins, biases, slopes)

    @property
    def is_known(self) -> bool:
        """Whether there is a theory: of one activation, ReLU for asymmetric ensembles."""
        return len(self.slopes) == 1 and (
            self.slopes == {RELU} or self.ensemble.name not in ASYMMETRIC
        )

    @property
    def depth(self) -> int:
        return len(self.fan_ins)


def _listed(slopes: set[Slopes]) -> str:
    return " and ".join(f"{first:g},{second:g}" for first, second in sorted(slopes, reverse=True))


def _broken(
    traced: xr.Dataset, layers: list[nn.Module], fan_ins: list[int], size: int
) -> Iterator[str]:
    """Yield the layers that do not read all nodes of the layer before, as a Linear does."""
    before = [size, *traced.width.values.tolist()]
    names = traced.module.values.tolist()
    for name, layer, fan_in, nodes in zip(names, layers, fan_ins, before[:-1], strict=True):
        if not isinstance(layer, nn.Linear) or fan_in != nodes:
            yield shown(name, layer)


def _mean_field(law: _Laws, followed: list[Floats]) -> dict[str, Floats]:
    """Return ``<observable>_theory``, shape (pair, layer), NaN where there is none."""
    from simcore.theory.meanfield import trajectory
    from simcore.theory.population import population_trajectory

    ensemble, none = law.ensemble, np.full(law.depth, np.nan)
    paths: list[Any] = []
    for pair in followed:
        q1, q2, distance = seen(pair, ensemble.g)
        if not (q1 > 0.0 and q2 > 0.0):
            paths.append(None)
        elif ensemble.name not in ASYMMETRIC:
            scales = {"sigma_w": ensemble.resolved_sigma_w, "sigma_b": law.biases}
            given = {"q1": q1, "q2": q2, "distance": distance, "slopes": next(iter(law.slopes))}
            paths.append(trajectory(law.depth, k=ensemble.k, **scales, **given))  # type: ignore[arg-type]
        elif len(paths) < POPULATIONS:
            bias = None if scales_with_fan_in(ensemble) else bias_scale(ensemble, 1)
            sigma_w, inputs = ensemble.resolved_sigma_w, pair.T
            paths.append(
                population_trajectory(
                    law.fan_ins, k=ensemble.k, sigma_w=sigma_w, sigma_b=bias, inputs=inputs
                )
            )
        else:
            paths.append(None)
    return {
        f"{name}_theory": np.stack([getattr(path, name, none) for path in paths])
        for name in PAIR_NAMES
    }


def _first_order(
    law: _Laws, widths: npt.NDArray[np.int64], followed: list[Floats]
) -> dict[str, Floats]:
    """Return ``<observable>_theory_1n`` and ``_theory_1n_std``, shape (pair, layer)."""
    from simcore.theory.finite_width import first_order_grid

    ensemble, count = law.ensemble, len(followed)
    q1, q2, distance = np.array([seen(pair, ensemble.g) for pair in followed]).T
    mean, std = first_order_grid(
        law.depth,
        widths=np.tile(widths, (count, 1)),
        g=np.full(count, ensemble.g),
        sigma_w=np.full(count, ensemble.resolved_sigma_w),
        sigma_b=np.tile(law.biases, (count, 1)),
        q1=q1,
        q2=q2,
        distance=distance,
        slopes=next(iter(law.slopes)),
    )
    return {f"{name}_theory_1n": mean[name] for name in FIRST_ORDER} | {
        f"{name}_theory_1n_std": std[name] for name in FIRST_ORDER
    }


def _with_theory(traced: xr.Dataset, found: dict[str, Floats]) -> xr.Dataset:
    """Return what was traced with the predictions, and z."""
    variables = {}
    for name in PAIR_NAMES:
        none = np.full(traced[name].shape, np.nan)
        for kind in ("_theory", "_theory_1n", "_theory_1n_std"):
            variables[name + kind] = ("pair", "layer"), found.get(name + kind, none)
        mean, std = (variables[name + kind][1] for kind in ("_theory_1n", "_theory_1n_std"))
        with np.errstate(all="ignore"):
            z = np.where(std > 0.0, (traced[name].values - mean) / std, np.nan)
        variables[f"{name}_z"] = ("pair", "layer"), z
    return traced.assign(variables)
