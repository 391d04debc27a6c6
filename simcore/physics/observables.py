"""The observables: one register of names, words and units, in the order of a trajectory.

Tables, figures, the report and the file take their words from here.
"""

from __future__ import annotations

from dataclasses import dataclass

from .parameters import plain_text, tex


@dataclass(frozen=True)
class Observable:
    """One measured quantity of a layer of one network, theory.md 3.

    `name` is for files, Python and the command line; `long_name` its meaning, for readers of a
    file; `label` its words on an axis, with the symbol last where there is one. `symbol` is in
    Unicode, empty where it has none; `heading`, in ASCII, is of a narrow column, by default the
    symbol's. Units are "1" for a pure number, or "rad". `rates`: it has a value for each of
    `RATE_BINS` bins of the activation rate.
    """

    name: str
    long_name: str
    label: str
    symbol: str = ""
    heading: str = ""
    units: str = "1"
    rates: bool = False

    @property
    def tex(self) -> str:
        """The symbol for a printed figure, the label where it has none."""
        return tex(self.symbol) if self.symbol else self.label

    @property
    def tex_label(self) -> str:
        """The label for a printed figure."""
        words = self.label.removesuffix(self.symbol)
        return words + tex(self.symbol) if words != self.label else self.label

    @property
    def column(self) -> str:
        """Heading of a column on a terminal."""
        return self.heading or plain_text(self.symbol).replace(" - ", "-")


OBSERVABLES = (
    Observable("q1", "mean squared pre-activation of signal 1", "q of signal 1", "q₁"),
    Observable("q2", "mean squared pre-activation of signal 2", "q of signal 2", "q₂"),
    Observable(
        "log_q1",
        "natural logarithm of the mean squared pre-activation of signal 1",
        label="ln q of signal 1",
        symbol="ln q₁",
        heading="ln q",
    ),
    Observable(
        "log_q2",
        "natural logarithm of the mean squared pre-activation of signal 2",
        label="ln q of signal 2",
        symbol="ln q₂",
    ),
    Observable("correlation", "correlation of the pre-activations", "correlation c", "c"),
    Observable("distance", "1 - correlation of the pre-activations", "distance 1 − c", "1 − c"),
    Observable("log_distance", "natural logarithm of 1 - correlation", "ln(1 − c)", "ln(1 − c)"),
    Observable(
        "angle",
        "angle between the pre-activations",
        label="angle θ",
        symbol="θ",
        heading="angle",
        units="rad",
    ),
    Observable(
        "cosine",
        "cosine of the angle between the activations",
        label="cosine of the activations",
        heading="cosine",
    ),
    Observable(
        "inactive1",
        "fraction of nodes inactive for signal 1",
        label="inactive nodes, signal 1",
        heading="inactive",
    ),
    Observable("inactive2", "fraction of nodes inactive for signal 2", "inactive nodes, signal 2"),
    Observable(
        "inactive_both",
        "fraction of nodes inactive for both signals",
        label="inactive nodes, both signals",
        heading="both",
    ),
    Observable(
        "dead_network1",
        "some layer so far has every node inactive for signal 1",
        label="dead networks, signal 1",
        heading="dead",
    ),
    Observable(
        "dead_network2",
        "some layer so far has every node inactive for signal 2",
        label="dead networks, signal 2",
    ),
    Observable(
        "dead_network_both",
        "the network is dead for signal 1 and for signal 2",
        label="dead networks, both signals",
    ),
    Observable("mean1", "mean activation of signal 1", "mean activation, signal 1", heading="mean"),
    Observable(
        "mean2", "mean activation of signal 2", "mean activation, signal 2", heading="mean 2"
    ),
    Observable(
        "product",
        "mean product of the activations of both signals",
        label="mean product of the activations",
        heading="product",
    ),
    Observable(
        "variance",
        "half the mean squared difference of the activations of both signals",
        label="variance of the activations over the signals",
        heading="variance",
    ),
    Observable(
        "log_sine",
        "natural logarithm of the squared sine of the angle between the activations",
        label="ln sin² of the angle between the activations",
        heading="ln sin^2",
    ),
)
"""Every observable of a pair, in the order of the columns of a trajectory."""

NETWORK = (
    Observable(
        "dead",
        "fraction of nodes inactive for all inputs",
        label="inactive nodes, all inputs",
        heading="dead nodes",
    ),
    Observable(
        "dead_inputs",
        "fraction of inputs for which some layer so far has every node inactive",
        label="dead inputs",
        heading="dead inputs",
    ),
    Observable(
        "dead_network_all", "the network is dead for every input", "dead networks, all inputs"
    ),
    Observable(
        "activation_rate",
        "fraction of nodes active for that share of the inputs",
        label="activation rate",
        rates=True,
    ),
)
"""Observables of a network that many inputs share, in the order of their columns."""

GRADIENTS = (
    Observable(
        "log_gradient1",
        "natural logarithm of the squared gradient with respect to the pre-activations, signal 1",
        label="gradient of signal 1, ln |δ₁|²",
        symbol="ln |δ₁|²",
        heading="ln grad",
    ),
    Observable(
        "log_gradient2",
        "natural logarithm of the squared gradient with respect to the pre-activations, signal 2",
        label="gradient of signal 2, ln |δ₂|²",
        symbol="ln |δ₂|²",
        heading="ln grad 2",
    ),
    Observable(
        "gradient_correlation",
        "cosine of the angle between the two signals' gradients",
        label="correlation of the gradients",
        heading="grad corr",
    ),
    Observable(
        "weight_gradient1",
        "squared gradient with respect to the layer's weights over their fan-in, signal 1",
        label="weight gradient of signal 1",
        heading="weight grad",
    ),
    Observable(
        "tangent11",
        "tangent kernel of signal 1 with itself, layers so far",
        label="tangent kernel Θ₁₁",
        symbol="Θ₁₁",
        heading="tangent11",
    ),
    Observable(
        "tangent12",
        "tangent kernel of the two signals, layers so far",
        label="tangent kernel Θ₁₂",
        symbol="Θ₁₂",
        heading="tangent12",
    ),
    Observable(
        "tangent22",
        "tangent kernel of signal 2 with itself, layers so far",
        label="tangent kernel Θ₂₂",
        symbol="Θ₂₂",
        heading="tangent22",
    ),
)
"""Observables of the way back through a network (theory.md 7), in the order of their columns."""

BY_NAME = {o.name: o for o in OBSERVABLES + GRADIENTS + NETWORK}

RATE_BINS = 22
"""Bins of the activation rate: exactly 0, twentieths of the open interval (0, 1), exactly 1.

Bin b = 1 … 20 holds (b − 1)/20 < rate ≤ b/20, but for rate 1, which has the last bin to itself.
"""

NAMES = tuple(o.name for o in OBSERVABLES)
GRADIENT_NAMES = tuple(o.name for o in GRADIENTS)

HISTOGRAMMED = (
    *("log_q1", "correlation", "log_distance", "angle", "inactive1", "inactive_both"),
    "log_sine",
)
"""Observables whose distribution over trials is kept as a histogram."""

GRADIENT_HISTOGRAMS = ("log_gradient1", "tangent11", "tangent12")
"""Likewise in runs with gradients."""

COVARIANCE = ("log_q1", "correlation", "log_distance")
"""Observables whose covariance between layers is kept (`simcore.compare` needs it)."""

GRADIENT_COVARIANCE = ("log_gradient1", "gradient_correlation", "tangent12")
"""Likewise in runs with gradients."""

FIRST_ORDER = NAMES[NAMES.index("log_q1") : NAMES.index("dead_network1")]
"""Observables that theory.md (8) predicts at first order in 1/N."""

GRADIENT_FIRST_ORDER = (
    "log_gradient1",
    "log_gradient2",
    "weight_gradient1",
    "tangent11",
    "tangent22",
)
"""Observables of the way back with a prediction at finite width, theory.md 7."""

CONTROLLED = (
    "q1",
    "q2",
    "log_q1",
    "log_q2",
    "correlation",
    "distance",
    "log_distance",
    "angle",
    "cosine",
    "inactive_both",
)
"""Observables with a control variate, theory.md 6."""

GRADIENT_CONTROLLED = ("log_gradient1", "log_gradient2")
"""Likewise in runs with gradients, theory.md (19)."""

HAZARDS = ("dead_network1", "dead_network2", "dead_network_both")
"""Probabilities that are also found as sums of conditional ones, without rare events."""

COUNTED = (*HAZARDS, "dead_network_all")
"""Shares of networks that are counted: their errors are those of a binomial law."""

MORTAL = (*COUNTED, "dead_inputs")
"""Observables of deaths: absent where inactive nodes send something, so that no signal dies."""

SHARES = (*COUNTED, "inactive1", "inactive2", "inactive_both", "dead", "dead_inputs")
"""Means that lie between 0 and 1, apart from those of `RATE_BINS`."""

EXACT = ("inactive1", "inactive2", "dead_network1", "dead_network2")
"""Observables whose theory is exact at any width where control variates apply."""

CONTROL = "_controlled"
"""End of the name of a controlled value."""

KEPT = ("correlation", "log_distance", "log_q1", "log_q2", "inactive1", "inactive_both")
"""Observables whose first trajectories are kept whole."""

NEAR_ONE = 1e-3
"""Mean of 1 − c below which deviations of c are those of 1 − c, whose digits c has not kept."""

MEASURED_BY = {"q1": "inactive1", "q2": "inactive2", "distance": "correlation"} | dict.fromkeys(
    (
        *("mean1", "mean2", "product", "variance"),
        *("weight_gradient1", "tangent11", "tangent12", "tangent22"),
    ),
    "inactive1",
)
"""Observables with values beyond float64, each with one that is defined wherever it exists."""


NETWORK_NAMES = tuple(o.name for o in NETWORK)


def column(name: str) -> int:
    """Return the column of a pair's observable in a trajectory."""
    return NAMES.index(name)


@dataclass(frozen=True)
class Columns:
    """The columns of a trajectory: the observables of one pair after the other, then the network's.

    `pairs` go through the same network; `shared`: the observables of a shared network follow. A
    pair's observables are followed by the `controlled` values of some of them (theory.md 6), those
    of `HAZARDS` last, and these by its `GRADIENTS` and the controlled values of some.
    """

    pairs: int = 1
    shared: bool = False
    controlled: tuple[str, ...] = ()
    gradients: bool = False

    @property
    def names(self) -> tuple[str, ...]:
        """Names of a pair's observables."""
        return NAMES + GRADIENT_NAMES * self.gradients

    @property
    def forward(self) -> tuple[str, ...]:
        """Names of a pair's columns on the way forward; of a controlled value, with `CONTROL`."""
        return NAMES + tuple(n + CONTROL for n in self.controlled if n not in GRADIENT_NAMES)

    @property
    def back(self) -> tuple[str, ...]:
        """Likewise of those on the way back, which follow."""
        controlled = tuple(n + CONTROL for n in self.controlled if n in GRADIENT_NAMES)
        return GRADIENT_NAMES * self.gradients + controlled

    @property
    def of_pair(self) -> tuple[str, ...]:
        """Names of the columns of a pair."""
        return self.forward + self.back

    @property
    def variates(self) -> bool:
        """Whether pairs have control variates."""
        return set(CONTROLLED) <= set(self.controlled)

    @property
    def hazards(self) -> tuple[str, ...]:
        """Those of `HAZARDS` that pairs have."""
        return tuple(name for name in HAZARDS if name in self.controlled)

    @property
    def covariance(self) -> tuple[str, ...]:
        """Columns of a pair whose covariance between layers is kept."""
        kept = COVARIANCE + GRADIENT_COVARIANCE
        return tuple(name for name in self.of_pair if name.removesuffix(CONTROL) in kept)

    @property
    def histogrammed(self) -> tuple[str, ...]:
        """Columns of a pair whose distribution over trials is kept."""
        return HISTOGRAMMED + GRADIENT_HISTOGRAMS * self.gradients

    @property
    def count(self) -> int:
        """Number of columns."""
        network = sum(RATE_BINS if o.rates else 1 for o in NETWORK) if self.shared else 0
        return self.pairs * len(self.of_pair) + network

    def of(self, name: str) -> list[int]:
        """Return the columns of an observable: one for each pair, or for each bin of the rate."""
        if name not in NETWORK_NAMES:
            return self.of_pairs((name,))
        first = self.pairs * len(self.of_pair) + NETWORK_NAMES.index(name)
        rates = BY_NAME[name].rates
        return list(range(first, first + (RATE_BINS if rates else 1)))

    def of_pairs(self, names: tuple[str, ...]) -> list[int]:
        """Return the columns of some observables, all of one pair after the other."""
        own = self.of_pair
        return [p * len(own) + own.index(name) for p in range(self.pairs) for name in names]
