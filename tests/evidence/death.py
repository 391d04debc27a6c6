"""Death: Lu and others, Rister and Rubin, Brownlowe and others; dead units over many inputs."""

from __future__ import annotations

import math
from functools import partial

import numpy as np
import numpy.typing as npt

from simcore.theory.data_set import dead_of_pairs
from simcore.theory.meanfield import dead_network
from tests.evidence.row import CONTRADICTED, REPRODUCED, Effort, Found, Row, compared, simulated

Floats = npt.NDArray[np.float64]

# --- networks that are born dead ------------------------------------------------------------------

LU = "Lu, Shin, Su & Karniadakis, arXiv 1903.06733: born dead at ten layers, one input variable"


def born_command(width: int) -> str:
    """A line of inputs is two of them, x and −x: without bias all others are multiples."""
    return f"simulate --width {width} --depth 10 --correlation=-1 --trials 20000"


def born_dead(effort: Effort, width: int, low: float, high: float) -> Found:
    """Compare the share of networks that are dead for every input of the line with a range."""
    at = simulated(born_command(width), effort).isel(layer=-1)
    value, error = float(at.dead_network_both), float(at.dead_network_both_stderr)
    inside = low - 4.0 * error <= value <= high + 4.0 * error
    single = float(dead_network(np.full(10, width))[-1])
    verdict = REPRODUCED if inside and value <= single + 4.0 * error else CONTRADICTED
    text = compared(value, error, value).value
    return Found(f"{text}; one input {single:.4f}", verdict)


OF_RAI = "simulate --width 3 --depth 10 --ensemble rai --correlation=-1 --trials 20000"


def born_dead_rai(effort: Effort) -> Found:
    """Compare `rai` with He weights of the same shape: it must be less often dead."""
    he = simulated(born_command(3), effort).isel(layer=-1)
    rai = simulated(OF_RAI, effort).isel(layer=-1)
    value, error = float(rai.dead_network_both), float(rai.dead_network_both_stderr)
    fewer = value + 4.0 * error < float(he.dead_network_both)
    return Found(compared(value, error, value).value, REPRODUCED if fewer else CONTRADICTED)


def inputs_of(count: int, length: int) -> Floats:
    """Standard normal inputs, one a row."""
    return np.random.default_rng(7).standard_normal((count, length))


def few_inputs() -> Floats:
    return inputs_of(64, 8)


OF_SET = "simulate --width 4 --depth 10 --inputs INPUTS.npy --pairs 1 --trials 20000"


def bounded(effort: Effort) -> Found:
    """Compare the share dead for all of 64 inputs with the bound, that of a single one."""
    at = simulated(OF_SET, effort, few_inputs).isel(layer=-1)
    value, error = float(at.dead_network_all), float(at.dead_network_all_stderr)
    bound = float(dead_network(np.full(10, 4))[-1])
    below = value <= bound + 4.0 * error
    return Found(compared(value, error, value).value, REPRODUCED if below else CONTRADICTED)


# --- units that are zero for all inputs -----------------------------------------------------------

BROWNLOWE = "Brownlowe and others, arXiv 2412.06829: a unit of layer 2 is 0 for all inputs of ℝⁿ"


INPUTS, FEW = 4_000, 500
LEFT = 5e-4
"""What so many inputs leave: 16,000 find up to 3e-4 fewer units that are zero for all."""


def everywhere(n0: int, count: int) -> Floats:
    """Inputs for every pattern of the first layer: half of them far, others of lengths to 10³."""
    rng = np.random.default_rng(8)
    directions = rng.standard_normal((count, n0))
    directions /= np.linalg.norm(directions, axis=1, keepdims=True)
    lengths = np.exp(rng.uniform(math.log(0.03), math.log(1e3), (count, 1)))
    lengths[::2] = 1e6
    return np.asarray(lengths * directions)


def zero_command(n0: int, n1: int, k: str = "0") -> str:
    """N₀ is that of the inputs' file."""
    return (
        f"simulate --widths {n1},256 --k {k} --sigma-b 1 --inputs INPUTS.npy --pairs 1 "
        f"--trials 1000"
    )


def zero_unit(effort: Effort, n0: int, n1: int, published: float, k: str = "0") -> Found:
    """Compare `dead` of layer 2; finitely many inputs may leave a little more."""
    make = MAKERS[n0, FEW if effort.divisor > 1 else INPUTS]
    at = simulated(zero_command(n0, n1, k), effort, make).isel(layer=-1)
    return compared(float(at.dead), float(at.dead_stderr), published, LEFT)


MAKERS = {(n, count): partial(everywhere, n, count) for n in (2, 3) for count in (INPUTS, FEW)}
"""One object each, which runs are kept by."""


# --- dead units of deep networks over many directions ---------------------------------------------

NOTEBOOK = "public notebook, three He-ReLU networks of 256 × 32, units dead over random directions"


def directions_8000() -> Floats:
    return inputs_of(8_000, 256)


def directions_64512() -> Floats:
    return inputs_of(64_512, 256)


MANY = {8_000: (directions_8000, 12, (80, 70, 63)), 64_512: (directions_64512, 3, (72, 67, 52))}
DEAD_COMMAND = "simulate --width 256 --depth 32 --inputs INPUTS.npy --pairs 1 --trials {trials}"


def dead_units(effort: Effort, count: int) -> Found:
    """Compare the mean number of dead units of layer 32 with that of their three networks."""
    make, trials, theirs = MANY[count]
    if effort.divisor > 1:
        make, trials = few_directions, 2
    ds = simulated(DEAD_COMMAND.format(trials=trials), Effort(1, effort.seed), make)
    at = ds.isel(layer=-1)
    value, error = 256 * float(at.dead), 256 * float(at.dead_stderr)
    shown = count if effort.divisor == 1 else 50
    theory = 256 * float(dead_of_pairs(32, k=0.0, distances=[1.0] * (shown // 2))[-1])
    if effort.divisor > 1:
        spread = abs(value - theory) <= 0.5 * theory + 4.0 * error
        return Found(f"{value:.0f} of 50 directions", REPRODUCED if spread else CONTRADICTED)
    mean = float(np.mean(theirs))
    own = float(np.std(theirs, ddof=1)) / math.sqrt(3)
    found = compared(value, math.hypot(error, own), mean)
    text = compared(value, error, value).value
    return Found(f"{text}; theory.md (7e) {theory:.0f}", found.verdict)


def few_directions() -> Floats:
    return inputs_of(50, 256)


def rows() -> list[Row]:
    lu = [
        Row(
            f"lu/born dead, N = {width}",
            LU,
            born_command(width),
            text,
            partial(born_dead, width=width, low=low, high=high),
            why=why,
        )
        for width, text, low, high, why in (
            (10, "below 1 %", 0.0, 0.01, ""),
            (5, "above 10 %", 0.1, 1.0, ""),
            (3, "about 60 %", 0.55, 0.65, "about: from 55 to 65 %"),
        )
    ]
    zero = [
        Row(
            f"brownlowe/n0 = {n0}, n1 = {n1}",
            BROWNLOWE,
            zero_command(n0, n1),
            text,
            partial(zero_unit, n0=n0, n1=n1, published=value),
            why="within 5e-4 more: 4,000 inputs stand for all; 16,000 find up to 3e-4 fewer",
        )
        for n0, n1, text, value in (
            (3, 2, "2^−3 = 0.125", 2.0**-3),
            (3, 3, "2^−4 = 0.0625", 2.0**-4),
            (2, 3, "(2² + 1)/4³ = 0.078125", 5 / 64),
        )
    ]
    return [
        *lu,
        Row("lu/rai, N = 3", f"{LU}, `rai` against it", OF_RAI, "fewer than He", born_dead_rai),
        Row(
            "rister-rubin/bound of a data set",
            "Rister & Rubin, arXiv 2007.06192: at most 1 − Π(1 − 2⁻ᴺ)",
            OF_SET,
            f"at most {float(dead_network(np.full(10, 4))[-1]):.4f} (N = 4, ten layers)",
            bounded,
        ),
        *zero,
        Row(
            "brownlowe/zero-sum weights",
            f"{BROWNLOWE}; at k = ∞ no unit can be",
            zero_command(3, 2, "inf"),
            "0",
            partial(zero_unit, n0=3, n1=2, published=0.0, k="inf"),
            why="within 5e-4 more, as above",
        ),
        *(
            Row(
                f"notebook/dead units over {count:,} directions",
                NOTEBOOK,
                DEAD_COMMAND.format(trials=trials),
                ", ".join(map(str, theirs)) + " of 256",
                partial(dead_units, count=count),
            )
            for count, (_, trials, theirs) in MANY.items()
        ),
    ]


ROWS = rows()
WRONG = [
    Row(
        "brownlowe/n0 = 3, n1 = 3, without the bias",
        BROWNLOWE,
        zero_command(3, 3),
        "",
        partial(zero_unit, n0=3, n1=3, published=2.0**-3),
    )
]
