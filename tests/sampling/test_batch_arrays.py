"""Batches as array code give what the CPU sampler gives: on the same random numbers, and in law."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest

from simcore.physics.observables import NAMES, NETWORK
from simcore.physics.weight_laws import NORMAL
from simcore.runs.run import Run
from simcore.sampling.batch import arrays as batch_arrays
from simcore.sampling.batch import draws as batch_draws
from simcore.sampling.batch.arrays import Pairs
from simcore.sampling.batch.cpu import BatchSampler
from simcore.sampling.batch.physics import Law
from tests.sampling.test_batch import (
    DISTANCES,
    ENSEMBLES,
    LIMIT,
    NODES,
    PAIRS,
    awkward_inputs,
    covariance,
    deviation,
    input_file,
)
from tests.support.array_driver import HostSource, Strict, array_rows, cpu_rows, named
from tests.support.network_driver import sample
from tests.support.two_samples import worst

Floats = npt.NDArray[np.float64]

RELATIVE = {"q1", "q2", "distance", "angle", "mean1", "mean2", "variance"}
COUNTED = {name for name in NAMES if name.startswith(("inactive", "dead"))}

CLOSE = (0.5, 1e-3, 1e-10, 1e-17, 1e-30, 2.0)
"""Distances of the pairs: M = 12 inputs."""

each_ensemble = pytest.mark.parametrize(("ensemble", "k", "sigma_b"), ENSEMBLES)
each_sampler = pytest.mark.parametrize("sampler", ["gram", "dense"])


def run_of(sampler: str, ensemble: str, k: float, sigma_b: Any, **changes: Any) -> Run:
    settings: dict[str, Any] = {
        "depth": 5,
        "layer_widths": (70, 41, 120, 33, 64),
        "distance": CLOSE,
        "shared_network": True,
        "trials": 1,
        "sigma_w": None if ensemble == "he" else (1.3,),
    }
    settings |= {"sampler": sampler, "ensemble": ensemble, "k": (k,), "sigma_b": sigma_b}
    return Run(**(settings | changes))


def differences(run: Run, made: Floats, expected: Floats) -> dict[str, Floats]:
    """Return how far values of each observable of pairs are off; undefined ones must agree."""
    np.testing.assert_array_equal(np.isnan(made), np.isnan(expected))
    off = {}
    for name in run.columns.of_pair:
        a, b = (rows[..., run.columns.of(name)] for rows in (made, expected))
        scale = np.where(a == b, 1.0, np.abs(b)) if name in RELATIVE else 1.0
        if name == "product":  # a sum that may cancel
            roots = [expected[..., run.columns.of(q)] for q in ("q1", "q2")]
            scale = np.sqrt(np.where(a == b, 1.0, roots[0] * roots[1]))
        off[name] = np.nan_to_num(np.abs(a - b) / scale)
    return off


# --- on the same random numbers -------------------------------------------------------------------


@each_sampler
@each_ensemble
def test_with_products_in_float64_values_are_the_cpus(
    sampler: str, ensemble: str, k: float, sigma_b: Any
) -> None:
    """More nodes than signals, so that a factor is determined (up to rounding: 1e-14 and less)."""
    run = run_of(sampler, ensemble, k, sigma_b)
    made, expected = array_rows(run, 3, dtype=np.float64), cpu_rows(run, 3)
    assert max(d.max() for d in differences(run, made, expected).values()) < 1e-10
    network = [column for o in NETWORK for column in run.columns.of(o.name)]
    np.testing.assert_array_equal(made[..., network], expected[..., network])


@each_sampler
@each_ensemble
def test_with_products_in_float32_values_keep_six_digits(
    sampler: str, ensemble: str, k: float, sigma_b: Any
) -> None:
    """However small the angle: rounding is that of a column of its own.

    Networks multiply it, as they do any change of their inputs: a few values by a hundred.
    """
    run = run_of(sampler, ensemble, k, sigma_b)
    made, expected = array_rows(run, 6), cpu_rows(run, 6)
    for name, off in differences(run, made, expected).items():
        if name not in COUNTED:
            assert off[:, 0].max() < 2e-6, name
            assert np.quantile(off, 0.9) < 1e-6, name
            assert off.max() < 1e-3, name
    assert np.nanmin(expected[..., run.columns.of("distance")]) < 1e-29


@each_ensemble
def test_few_nodes_and_explicit_weights(ensemble: str, k: float, sigma_b: Any) -> None:
    """Deaths, revivals, exactly parallel signals, more signals than nodes."""
    widths = (3, 2, 1, 4, 2, 3)
    run = run_of("dense", ensemble, k, sigma_b, depth=6, layer_widths=widths, distance=DISTANCES)
    made, expected = array_rows(run, 40, dtype=np.float64), cpu_rows(run, 40)
    off = differences(run, made, expected)
    assert max(d.max() for d in off.values()) < 1e-6
    assert np.isnan(expected).any()


@pytest.mark.parametrize("weights", ["uniform", "rademacher", "student:5", "bernoulli:0.3"])
def test_other_laws_of_weights(weights: str) -> None:
    run = run_of("dense", "raai", 0.5, (0.1,), weights=weights)
    off = differences(run, array_rows(run, 2, dtype=np.float64), cpu_rows(run, 2))
    assert max(d.max() for d in off.values()) < 1e-10


@each_sampler
@pytest.mark.parametrize("slopes", ["1,-0.2", "0.5,0"])
def test_other_activations_than_relu(sampler: str, slopes: str, tmp_path: Path) -> None:
    """Of random pairs, of the inputs of a file, and the observables of the network."""
    kinds: list[dict[str, Any]] = [{"distance": CLOSE}]
    if sampler == "dense":  # a factor of dependent inputs is not determined
        kinds.append({"distance": None, "inputs": input_file(tmp_path, awkward_inputs(), PAIRS)})
    for more in kinds:
        run = run_of(sampler, "correlated", 0.5, (0.0,), slopes=slopes, depth=5, **more)
        made, expected = array_rows(run, 2, dtype=np.float64), cpu_rows(run, 2)
        assert max(d.max() for d in differences(run, made, expected).values()) < 1e-8
        for observable in NETWORK:
            of = run.columns.of(observable.name)
            np.testing.assert_array_equal(made[..., of], expected[..., of])
        dying = slopes == "0.5,0"
        assert np.isfinite(expected[..., run.columns.of("dead_inputs")]).all() == dying
        assert np.isfinite(expected[..., run.columns.of("dead")]).all()


@each_ensemble
def test_a_single_pair_of_explicit_weights(ensemble: str, k: float, sigma_b: Any) -> None:
    for distance in (0.7, 1e-20):
        run = run_of("dense", ensemble, k, sigma_b, shared_network=False, distance=(distance,))
        made, expected = array_rows(run, 2, dtype=np.float64), cpu_rows(run, 2)
        assert made.shape[-1] == run.columns.count
        assert max(d.max() for d in differences(run, made, expected).values()) < 1e-10


@each_ensemble
def test_inputs_of_a_file(ensemble: str, k: float, sigma_b: Any, tmp_path: Path) -> None:
    """Nearly equal, equal, opposite, zero and constant inputs, and lengths far apart."""
    inputs = input_file(tmp_path, awkward_inputs(), PAIRS)
    run = run_of("dense", ensemble, k, sigma_b, distance=None, inputs=inputs)
    made, expected = array_rows(run, 4, dtype=np.float64), cpu_rows(run, 4)
    assert max(d.max() for d in differences(run, made, expected).values()) < 1e-8
    made = array_rows(run, 4)
    assert np.quantile(differences(run, made, expected)["log_distance"], 0.9) < 1e-5


@each_sampler
@pytest.mark.parametrize("sigma_w", [0.01, 30.0])
def test_great_depth_keeps_lengths_and_angles(sampler: str, sigma_w: float) -> None:
    """Lengths leave float64 by hundreds of decades, float32 by more."""
    settings: dict[str, Any] = {"depth": 300, "layer_widths": None, "width": (20,)}
    settings["distance"] = (0.5, 1e-150, 1e-280)
    run = run_of(sampler, "correlated", 1.0, (0.0,), **(settings | {"sigma_w": (sigma_w,)}))
    made = array_rows(run, 1)
    log_q = made[..., run.columns.of("log_q1")]
    assert np.isfinite(log_q).all()
    assert np.isfinite(made[..., run.columns.of("log_distance")]).all()
    assert abs(log_q[0, -1, 0]) > 1200


@each_sampler
@pytest.mark.parametrize(("ensemble", "k"), [("correlated", 1.0), ("raai", 0.5)])
def test_what_it_needs_of_a_namespace_is_the_standard(
    sampler: str, ensemble: str, k: float
) -> None:
    """array-api-strict refuses what CuPy may not have."""
    run = run_of(sampler, ensemble, k, (0.2,), depth=2, layer_widths=(20, 15), distance=(0.5, 0.1))
    np.testing.assert_array_equal(array_rows(run, 2, xp=Strict()), array_rows(run, 2))


# --- in law: where a factor is not determined -----------------------------------------------------


class Identity:
    """Draws as normals the rows of the unit matrix, so that pre-activations are the factor's."""

    def variates(
        self, law: int, parameter: float, stream: int, rows: range, columns: int, layer: int
    ) -> Any:
        assert law == NORMAL
        return np.eye(len(rows), columns, dtype=np.float32)[None]

    def choices(self, nodes: int, n: int, layer: int) -> Any:
        raise NotImplementedError


def columns_apart(x: Floats, size: Floats) -> Floats:
    """Return the products of columns, shape (C, m), each divided by both lengths."""
    unit = x / np.where(size > 0.0, size, 1.0)[:, None]
    found: Floats = unit @ unit.T
    return found


@pytest.mark.parametrize(("dtype", "tolerance"), [(np.float64, 1e-14), (np.float32, 3e-7)])
@pytest.mark.parametrize(("k", "sigma_b"), [(0.0, 0.0), (1.0, 0.3), (math.inf, 0.0)])
def test_a_factor_has_the_products_of_all_columns(
    k: float, sigma_b: float, dtype: Any, tolerance: float, tmp_path: Path
) -> None:
    """RᵀR = TᵀT, each element to the precision of its columns: fewer nodes than signals, dead ones.

    Whatever the signs of R, and the directions of Q that no column has.
    """
    inputs = input_file(tmp_path, awkward_inputs(), PAIRS)
    run = run_of("gram", "correlated", k, (sigma_b,), distance=None, inputs=inputs)
    cpu = BatchSampler(run)
    assert cpu.inputs is not None
    law, pairs = cpu.laws[0], Pairs(cpu.pairing.first, *cpu.pairing[1:])
    start = batch_arrays.start_inputs(np, 1, *cpu.inputs)
    _, t, bias = batch_arrays.layer_factor(np, law, pairs, start)
    t = t[0] if bias is None else np.concatenate([t[0], bias[0][:, None]], axis=1)
    rank = min(t.shape)
    source = Identity()
    _, h, _ = batch_draws.gram_layer(np, law, pairs, start, source, 1, rank, 100, dtype)
    size = np.sqrt(np.sum(t * t, axis=1))
    assert (size == 0.0).any()
    difference = columns_apart(h[0], size) - columns_apart(t, size)
    assert np.abs(difference).max() < tolerance
    assert rank < t.shape[0]


# False alarms: a test compares its case with `worst` < ALARM / 6 by Bonferroni's bound, so that all
# cases together alarm in one of a thousand seeds. Tried on 20 seeds.
ALARM = 1e-3
TRIALS = 1500
LAWS: dict[str, dict[str, Any]] = {
    "batch": {"sampler": "gram", "distance": (0.5, 0.02, 1.3)},
    "batch with replaced weights": {
        "sampler": "gram",
        "ensemble": "raai",
        "k": (1.0,),
        "distance": (0.4,),
    },
    "batch with weights that sum to 0": {
        "sampler": "gram",
        "ensemble": "raai",
        "k": (math.inf,),
        "sigma_b": (0.3,),
        "distance": (0.5, 0.02, 1.3),
    },
    "explicit weights": {"sampler": "dense", "sigma_b": (0.2,), "distance": (0.5, 0.02)},
    "explicit replaced weights": {
        "sampler": "dense",
        "ensemble": "raai",
        "k": (-0.5,),
        "distance": (0.4,),
    },
    "explicit Student": {"sampler": "dense", "weights": "student:5", "distance": (0.5,)},
}


def least_p(which: str, seed: int, **changes: Any) -> float:
    """Compare array code with explicit weights of the CPU and another seed: Bonferroni's p.

    `changes` are of the latter's law.
    """
    settings: dict[str, Any] = {"depth": 3, "width": (5,), "shared_network": True, "trials": 1}
    settings |= LAWS[which]
    run = Run(**(settings | {"seed": seed}))
    other = Run(**(settings | {"seed": seed + 1000, "sampler": "dense"} | changes))
    made = named(run, array_rows(run, TRIALS, tile=5))
    return worst(made, sample(other, TRIALS), (1, 3))[0]


@pytest.mark.parametrize("which", LAWS)
def test_networks_have_the_law_of_explicit_weights_of_the_cpu(which: str) -> None:
    assert least_p(which, 7) > ALARM / len(LAWS)


def test_another_law_is_found() -> None:
    assert least_p("batch with replaced weights", 7, k=(-0.5,)) < ALARM / len(LAWS)


def replaced_law(m: int, n: int, k: float) -> float:
    """Return by how many standard errors nodes' covariances are off, for each replaced index.

    The largest, of m inputs and n weights: theory.md (3), `test_batch.LIMIT` of which is a lot.
    """
    run = Run(depth=1, width=(n,), ensemble="raai", k=(k,), sigma_w=(1.3,), sigma_b=(0.4,))
    law = Law.of(run.points[0], "normal")
    x = np.random.default_rng(2).standard_normal((m, n)) + 0.5
    pairs = Pairs(np.empty(0, dtype=np.int64), m, m, True)
    none = np.empty((0, n)), np.empty(0)
    start, source = batch_arrays.start_inputs(np, 1, x, *none), HostSource(law, 0, 1)
    _, h, _ = batch_draws.gram_layer(
        np, law, pairs, start, source, 1, NODES, NODES // 3, np.float32
    )
    (index,), (beta,) = source.choices(NODES, n, 1)
    off = []
    for j in range(n + 1):
        nodes = index == j
        d = h[0][:, nodes] - beta[nodes] * (x[:, j] if j < n else np.ones(m))[:, None]
        rest = x * (np.arange(n) != j)
        off.append(deviation(d, covariance(rest, law.g, 1.3, 0.4 if j < n else 0.0)))
    return max(off)


@pytest.mark.parametrize("k", [0.0, 1.0, math.inf])
@pytest.mark.parametrize(("m", "n"), [(3, 4), (5, 3), (2, 6)])
def test_replaced_weights_have_their_exact_law(m: int, n: int, k: float) -> None:
    assert replaced_law(m, n, k) < LIMIT


def test_a_wrong_law_of_replaced_weights_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    """They take nothing beyond what the signals tell of them."""
    monkeypatch.setattr(batch_draws, "LEAST_REST", 10.0)
    assert replaced_law(2, 6, 1.0) > LIMIT
