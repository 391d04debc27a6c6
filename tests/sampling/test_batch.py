"""The batch samplers against explicit networks in many digits, on the same draws.

The oracle knows of no columns, residuals or units: it takes every input through explicit weights,
in 60 digits. For `gram` these are the weights that its normals stand for, Z Qᵀ.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import mpmath as mp
import numpy as np
import numpy.typing as npt
import pytest

from simcore.inputs.input_set import InputSet
from simcore.numerics.rng import ROOM, Stream
from simcore.physics.observables import NAMES, NETWORK_NAMES, RATE_BINS
from simcore.physics.weight_laws import NORMAL
from simcore.runs.grid import Point
from simcore.runs.run import Run
from simcore.sampling import driver as blocks
from simcore.sampling.batch import dense, gram
from simcore.sampling.batch.cpu import BatchSampler, _SingleThreadedBlas
from simcore.sampling.batch.cpu_kernels import Batch, Layer, Trial, open_layer, opened
from simcore.sampling.batch.physics import Law
from simcore.sampling.contract import Signals, TaskResult
from simcore.sampling.variates import fill_choices, fill_variates
from simcore.statistics.blocks import Task
from tests.support.death import exact_chance, exact_of_both
from tests.support.death import exact_chance_of_both as both_of
from tests.support.weight_laws import inputs_layer

Floats = npt.NDArray[np.float64]
Matrix = npt.NDArray[Any]
"""Of numbers in 60 digits."""

exact = np.frompyfunc(lambda x: mp.mpf(float(x)), 1, 1)
root = np.frompyfunc(mp.sqrt, 1, 1)

TOLERANCE = 1e-8
ENSEMBLES = (
    ("he", 0.0, (0.0,)),
    ("he", 0.0, (0.3,)),
    ("correlated", 1.0, (0.0,)),
    ("correlated", math.inf, (0.5,)),
    ("correlated", -0.5, (0.0,)),
    ("rai", 0.0, None),
    ("raai", 1.0, (0.0,)),
    ("raai", math.inf, None),
    ("raai", -0.5, (0.3,)),
)
PARALLEL = mp.mpf(10) ** -60
"""Below this part of its length what lies across the other signal is the oracle's rounding."""

DISTANCES = (0.5, 1e-3, 1e-10, 1e-18, 1e-40, 2.0)


@pytest.fixture(autouse=True)
def digits() -> Iterator[None]:
    with mp.workdps(80):
        yield


def signals() -> Signals:
    return Signals.sharing()


def scratch() -> npt.NDArray[np.uint32]:
    return np.empty((4, ROOM), dtype=np.uint32)


@dataclass
class Walk:
    """A trial of a sampler: what it wrote, and the weights that it used.

    `rows` has shape (layer, column); `weights` holds for each layer W in units of σ_w/√n before
    the mean is taken off, (N, n), and the standardised biases; inputs have shape (M, N₀).
    """

    sampler: BatchSampler
    rows: Floats
    inputs: Matrix
    pairs: list[tuple[int, int]]
    trial: int = 0
    weights: list[tuple[Floats, Floats]] = field(default_factory=list)

    def of(self, name: str) -> Floats:
        """Return an observable, shape (layer, pair or bin)."""
        return self.rows[:, self.sampler.run_plan.columns.of(name)]


def walk(run: Run, trial: int = 0) -> Walk:
    """Take a trial through all layers, and note its weights."""
    sampler = BatchSampler(run)
    carried = sampler.carry(0, 1)
    sampler._start(0, trial, carried[0], scratch())
    inputs, pairs = inputs_of(sampler, carried[0])
    rows = np.empty((1, run.depth, run.columns.count))
    walked = Walk(sampler, rows[0], inputs, pairs, trial)
    if run.sampler == "gram":
        sampler.step = recording(walked, sampler.step)
    else:
        walked.weights = list(dense_weights(sampler, trial))
    sampler.advance(0, trial, 0, carried, rows, signals())
    return walked


def inputs_of(sampler: BatchSampler, batch: Batch) -> tuple[Matrix, list[tuple[int, int]]]:
    """Return the inputs of a trial and its pairs."""
    run = sampler.run_plan
    if run.inputs is not None:
        return exact(run.inputs.load()), list(run.inputs.pairs)
    n0, pairs = run.points[0].inputs_n, sampler.pairs
    x = exact(batch.signals[: 2 * pairs * n0].reshape(2 * pairs, n0))
    first, residual = x[:pairs], x[pairs:]
    kappa = np.array([1 - mp.mpf(d) for d in run.points[0].distances])
    second = kappa[:, None] * first - residual
    return np.concatenate([first, second]), [(p, pairs + p) for p in range(pairs)]


def dense_weights(sampler: BatchSampler, trial: int) -> Iterator[tuple[Floats, Floats]]:
    law = sampler.laws[0]
    for layer, (n, width) in enumerate(zip(sampler.fan_ins[0], sampler.widths[0], strict=True), 1):
        z = rows_of(law, Stream.WEIGHT, width, n, trial, layer, law.code, law.parameter)
        yield z, rows_of(law, Stream.BIAS, 1, width, trial, layer)[0]


def rows_of(
    law: Law,
    stream: Stream,
    rows: int,
    columns: int,
    trial: int,
    layer: int,
    code: int = NORMAL,
    parameter: float = 0.0,
) -> Floats:
    z = np.empty((rows, columns), dtype=np.float32)
    for i in range(rows):
        fill_variates(
            z[i], code, parameter, scratch(), np.uint64(stream), i, trial, layer, law.key0, law.key1
        )
    return z.astype(np.float64)


def recording(walked: Walk, step: Callable[..., Any]) -> Callable[..., Any]:
    """Return a step of `gram` that notes its weights: given z = Qᵀζ, the likeliest ζ is Qz."""

    def recorded(layer: Layer, watched: Signals) -> Any:
        law, trial, number = layer.law, layer.trial, layer.number
        q = gram.Factors(layer.t.copy()).q()
        n, width = layer.x.shape[1], layer.h.shape[1]
        z = rows_of(law, Stream.BATCH, width, q.shape[1], trial, number) @ q.T
        if law.asymmetric:  # what is left of a replaced weight, normal with the missing variance
            index, _ = choices(law, n, width, trial, number)
            spare = rows_of(law, Stream.REPLACED, 1, width, trial, number)[0]
            add_spare(law, n, q, index, spare, z)
        walked.weights.append((z[:, :n], z[:, n] if z.shape[1] > n else np.zeros(width)))
        return step(layer, watched)

    return recorded


def add_spare(law: Law, n: int, q: Floats, index: Any, spare: Floats, z: Floats) -> None:
    """Move each node's ζ across Q's columns until the weight to be replaced has its full variance.

    Pre-activations do not change; the rounding of Q is no direction to go.
    """
    rows = len(q)
    measures = np.eye(rows)
    measures[:n, :n] -= law.a / n
    for i, j in enumerate(index):
        if j < rows:
            across = measures[j] - q @ (q.T @ measures[j])
            size = math.sqrt(across @ across)
            if size > 1e-6:
                z[i] += across / size * spare[i]


def choices(law: Law, n: int, width: int, trial: int, layer: int) -> tuple[Any, Floats]:
    index, beta = np.empty(width, dtype=np.int64), np.empty(width)
    stream = np.uint64(Stream.REPLACEMENT)
    fill_choices(index, beta, n, stream, trial, layer, law.key0, law.key1, scratch())
    return index, beta


def explicit_layers(walked: Walk) -> Iterator[tuple[Matrix, Matrix]]:
    """Yield the activations that a layer reads and its pre-activations, shape (M, nodes)."""
    law = walked.sampler.laws[0]
    x = walked.inputs
    for layer, (z, zb) in enumerate(walked.weights, 1):
        width, n = z.shape
        scale = mp.mpf(law.sigma_w) / mp.sqrt(n)
        w = exact(z)
        w = scale * (w - mp.mpf(law.a) * w.sum(axis=1)[:, None] / n)
        b = (scale if law.sigma_b < 0 else mp.mpf(law.sigma_b)) * exact(zb)
        if law.asymmetric:
            index, beta = choices(law, n, width, walked.trial, layer)
            for i, j in enumerate(index):
                if j == n:
                    b[i] = mp.mpf(beta[i])
                else:
                    w[i, j] = mp.mpf(beta[i])
        h = x @ w.T + b
        yield x, h
        x = np.where(h > 0, h, mp.mpf(0))


def expected(h: Matrix, a: int, b: int) -> dict[str, mp.mpf]:
    """Return the observables of a pair that are defined; counts excepted."""
    u, v, width = h[a], h[b], h.shape[1]
    q1, q2 = (u @ u) / width, (v @ v) / width
    values = {"q1": q1, "q2": q2}
    values |= {"log_q1": mp.log(q1)} if q1 > 0 else {}
    values |= {"log_q2": mp.log(q2)} if q2 > 0 else {}
    if q1 > 0 and q2 > 0:
        across = v - (u @ v) / (u @ u) * u
        size = mp.sqrt(across @ across)
        if size < PARALLEL * mp.sqrt(v @ v):
            size = mp.mpf(0)
        angle = mp.atan2(size, (u @ v) / mp.sqrt(u @ u))
        distance = 2 * mp.sin(angle / 2) ** 2
        values |= {"correlation": 1 - distance, "distance": distance, "angle": angle}
        values |= {"log_distance": mp.log(distance)} if distance > 0 else {}
    x, y = np.where(u > 0, u, mp.mpf(0)), np.where(v > 0, v, mp.mpf(0))
    if x @ x > 0 and y @ y > 0:
        values["cosine"] = (x @ y) / mp.sqrt((x @ x) * (y @ y))
        across = y - (x @ y) / (x @ x) * x
        sine = mp.sqrt((across @ across) / (y @ y))
        values |= {"log_sine": 2 * mp.log(sine)} if sine >= PARALLEL else {}
    values |= {"mean1": x.mean(), "mean2": y.mean(), "product": (x @ y) / width}
    return values | {"variance": (x - y) @ (x - y) / 2 / width}


RELATIVE = ("q1", "q2", "distance", "angle", "variance")


def agree(walked: Walk, tolerance: float = TOLERANCE) -> int:
    """Compare every layer and pair with the oracle; return how many values were compared."""
    m = len(walked.inputs)
    died = np.zeros(m, dtype=bool)
    hazards: dict[tuple[str, int], Any] = {}
    compared = 0
    for layer, (x, h) in enumerate(explicit_layers(walked)):
        hazards_agree(walked, layer, x, died, hazards)
        inactive = (h <= 0).astype(bool)
        died |= inactive.all(axis=1)
        for p, (a, b) in enumerate(walked.pairs):
            values = expected(h, a, b)
            shares = {
                "inactive1": inactive[a].mean(),
                "inactive2": inactive[b].mean(),
                "inactive_both": (inactive[a] & inactive[b]).mean(),
                "dead_network1": died[a],
                "dead_network2": died[b],
                "dead_network_both": died[a] & died[b],
            }
            root1, root2 = mp.sqrt(values["q1"]), mp.sqrt(values["q2"])
            sizes = {"mean1": root1, "mean2": root2, "product": root1 * root2}
            for name in NAMES:
                got = float(walked.of(name)[layer, p])
                where = (name, layer + 1, p, got)
                if name in shares:
                    assert got == shares[name], where
                elif name not in values:
                    assert math.isnan(got), where
                else:
                    size = values[name] if name in RELATIVE else sizes.get(name, 1)
                    error = abs(mp.mpf(got) - values[name])
                    assert error <= tolerance * size, (*where, values[name])
                    compared += 1
        if walked.sampler.run_plan.shared:
            network_agrees(walked, layer, inactive, died)
    return compared


def hazards_agree(
    walked: Walk, layer: int, x: Matrix, died: Any, sums: dict[tuple[str, int], Any]
) -> None:
    """Compare `sums` of the probabilities of dying, to which those of a layer are added."""
    run = walked.sampler.run_plan
    point, width = run.points[0], walked.sampler.widths[0][layer]
    for p, (a, b) in enumerate(walked.pairs):
        for name in run.columns.hazards:
            tolerance = 2e-4 if point.asymmetric and name == "dead_network_both" else 1e-6
            chance = of_layer(name, point, list(x[a]), list(x[b]), (died[a], died[b]))
            sums[name, p] = sums.get((name, p), 0) + chance ** int(width)
            got = walked.of(f"{name}_controlled")[layer, p]
            assert got == pytest.approx(float(sums[name, p]), rel=tolerance), (name, layer + 1, p)


def of_layer(name: str, point: Point, x: list[Any], y: list[Any], died: tuple[bool, bool]) -> Any:
    """Return the probability that a node is inactive for what still lives; 0 where nothing does."""
    if name != "dead_network_both":
        second = name == "dead_network2"
        return 0 if died[second] else exact_chance(point, y if second else x)
    if all(died):
        return 0
    if point.asymmetric:
        return exact_chance(point, y if died[0] else x) if any(died) else both_of(point, x, y)
    first, second, both = exact_of_both(point, x, y)
    return second if died[0] else first if died[1] else both


def network_agrees(walked: Walk, layer: int, inactive: Any, died: Any) -> None:
    m, width = inactive.shape
    counts = m - inactive.sum(axis=0)
    bins = np.zeros(RATE_BINS)
    for count in counts.tolist():
        inner = next((b for b in range(1, 21) if 20 * count <= b * m), 0)
        bins[0 if count == 0 else RATE_BINS - 1 if count == m else inner] += 1
    dead, dead_inputs, dead_all, rate = (walked.of(name)[layer] for name in NETWORK_NAMES)
    assert dead == (counts == 0).mean()
    assert dead_inputs == died.mean()
    assert dead_all == died.all()
    np.testing.assert_array_equal(rate, bins / width)


def shared_run(sampler: str, ensemble: str, k: float, sigma_b: Any, **changes: Any) -> Run:
    settings: dict[str, Any] = {
        "depth": 5,
        "layer_widths": (8, 13, 5, 20, 9),
        "distance": DISTANCES,
        "shared_network": True,
        "trials": 1,
        "sigma_w": None if ensemble == "he" else (1.3,),
    }
    settings |= {"sampler": sampler, "ensemble": ensemble, "k": (k,), "sigma_b": sigma_b}
    return Run(**(settings | changes))


# --- against explicit networks --------------------------------------------------------------------


@pytest.mark.parametrize("sampler", ["gram", "dense"])
@pytest.mark.parametrize(("ensemble", "k", "sigma_b"), ENSEMBLES)
def test_random_pairs_match_explicit_networks(
    sampler: str, ensemble: str, k: float, sigma_b: Any
) -> None:
    assert agree(walk(shared_run(sampler, ensemble, k, sigma_b))) > 100


@pytest.mark.parametrize("sampler", ["gram", "dense"])
@pytest.mark.parametrize(("ensemble", "k", "sigma_b"), ENSEMBLES)
def test_few_nodes_match_explicit_networks(
    sampler: str, ensemble: str, k: float, sigma_b: Any
) -> None:
    """Deaths, revivals, exactly parallel signals, more signals than nodes."""
    run = shared_run(sampler, ensemble, k, sigma_b, depth=6, layer_widths=(3, 2, 1, 4, 2, 3))
    for trial in range(12):
        agree(walk(run, trial), 1e-6)


@pytest.mark.parametrize("weights", ["uniform", "rademacher", "student:5", "bernoulli:0.3"])
@pytest.mark.parametrize("ensemble", ["correlated", "raai"])
def test_other_laws_of_weights_match_explicit_networks(weights: str, ensemble: str) -> None:
    agree(walk(shared_run("dense", ensemble, 0.5, (0.1,), weights=weights)))


@pytest.mark.parametrize(("ensemble", "k", "sigma_b"), ENSEMBLES)
def test_single_pair_matches_explicit_networks(ensemble: str, k: float, sigma_b: Any) -> None:
    """Few columns take another way, with the same weights."""
    for distance in (0.7, 1e-20):
        run = shared_run("dense", ensemble, k, sigma_b, shared_network=False, distance=(distance,))
        assert run.columns.count == len(run.columns.of_pair)
        assert agree(walk(run, 3)) > 20


@pytest.mark.parametrize("ensemble", ["he", "raai"])
def test_both_ways_of_explicit_weights_agree(
    ensemble: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    k = 0.5 if ensemble == "raai" else 0.0
    run = shared_run(
        "dense", ensemble, k, (0.2,), distance=(0.3, 1e-12), layer_widths=(70, 1100, 300), depth=3
    )
    monkeypatch.setattr(dense, "FUSED_COLUMNS", 100)
    fused = walk(run).rows
    monkeypatch.setattr(dense, "FUSED_COLUMNS", 0)
    np.testing.assert_allclose(walk(run).rows, fused, rtol=1e-11, atol=1e-11)


# --- inputs of a file -----------------------------------------------------------------------------


def input_file(folder: Path, inputs: Floats, pairs: list[tuple[int, int]]) -> InputSet:
    np.save(folder / "inputs.npy", inputs)
    np.save(folder / "pairs.npy", np.array(pairs))
    return InputSet.read(str(folder / "inputs.npy"), pairs=str(folder / "pairs.npy"))


def awkward_inputs() -> Floats:
    """Return nearly equal, equal, opposite, zero and constant inputs, and lengths far apart."""
    x = np.random.default_rng(5).standard_normal((11, 4))
    x[1] = x[0] * (1.0 + 1e-9)
    x[2] = x[0] + 1e-7 * x[3]
    x[4] = x[3]
    x[5] = -x[3]
    x[6] = 0.0
    x[7] = 2.0**133 * (x[8] + 1e-9 * x[3])
    x[9] = 0.3
    x[10] *= 1e-60
    return x


PAIRS = [(0, 1), (0, 2), (3, 4), (3, 5), (6, 8), (1, 6), (7, 8), (9, 0), (2, 9), (10, 3), (8, 10)]


@pytest.mark.parametrize("sampler", ["gram", "dense"])
@pytest.mark.parametrize(("ensemble", "k", "sigma_b"), ENSEMBLES)
def test_inputs_of_a_file_match_explicit_networks(
    sampler: str, ensemble: str, k: float, sigma_b: Any, tmp_path: Path
) -> None:
    inputs = input_file(tmp_path, awkward_inputs(), PAIRS)
    run = shared_run(sampler, ensemble, k, sigma_b, distance=None, inputs=inputs)
    assert agree(walk(run), 1e-6) > 100


# --- the law of a layer ---------------------------------------------------------------------------

NODES = 30_000
LIMIT = 5.0
"""Standard errors. Each case compares at most 120 numbers: a false alarm in 1.5e4 cases."""


def gram_nodes(law: Law, sigma_b: float, x: Floats) -> Floats:
    """Return pre-activations of inputs x, shape (M, n), by `gram`: shape (M, NODES)."""
    layer = inputs_layer(law._replace(sigma_b=sigma_b), x, NODES)
    gram.gram_layer(layer, signals())
    return layer.h


def deviation(d: Floats, covariance: Floats) -> float:
    """Return by how many standard errors means or covariances are off, at most."""
    count = d.shape[1]
    variance = np.diag(covariance)
    of_mean = np.abs(d.mean(axis=1)) / np.sqrt(variance / count)
    found = d @ d.T / count
    error = np.sqrt((np.outer(variance, variance) + covariance**2) / count)
    return float(max(of_mean.max(), (np.abs(found - covariance) / error).max()))


def covariance(x: Floats, g: float, sigma_w: float, sigma_b: float) -> Floats:
    """Return K of theory.md (2) for inputs of which some components may be zero."""
    s = x.sum(axis=1)
    n = x.shape[1]
    k: Floats = sigma_w**2 / n * (x @ x.T - g / n * np.outer(s, s)) + sigma_b**2
    return k


@pytest.mark.parametrize("k", [0.0, 1.0, math.inf])
@pytest.mark.parametrize(("m", "n"), [(3, 4), (5, 3)])
def test_gram_has_the_exact_covariance(m: int, n: int, k: float) -> None:
    point = Run(depth=1, width=(n,), ensemble="correlated", k=(k,), sigma_w=(1.3,)).points[0]
    law = Law.of(point, "normal")
    x = np.random.default_rng(1).standard_normal((m, n)) + 0.5
    h = gram_nodes(law, 0.4, x.copy())
    assert deviation(h, covariance(x, law.g, 1.3, 0.4)) < LIMIT
    wrong = 0.5 if law.g != 0.5 else 0.0
    assert deviation(h, covariance(x, wrong, 1.3, 0.4)) > LIMIT


@pytest.mark.parametrize("k", [0.0, 1.0, math.inf])
@pytest.mark.parametrize(("m", "n"), [(3, 4), (5, 3), (2, 6)])
def test_gram_has_the_exact_law_of_replaced_weights(m: int, n: int, k: float) -> None:
    point = Run(depth=1, width=(n,), ensemble="raai", k=(k,), sigma_w=(1.3,)).points[0]
    law = Law.of(point, "normal")
    x = np.random.default_rng(2).standard_normal((m, n)) + 0.5
    h = gram_nodes(law, 0.4, x.copy())
    index, beta = choices(law, n, NODES, 0, 1)
    others = []
    for j in range(n + 1):
        nodes = index == j
        replaced = x[:, j] if j < n else np.ones(m)
        d = h[:, nodes] - beta[nodes] * replaced[:, None]
        rest = x * (np.arange(n) != j)
        assert deviation(d, covariance(rest, law.g, 1.3, 0.4 if j < n else 0.0)) < LIMIT
        others.append(deviation(d, covariance(x, law.g, 1.3, 0.4)))
    assert max(others) > LIMIT


# --- the driver -----------------------------------------------------------------------------------

CASES = (("gram", "he", 20), ("gram", "raai", 6), ("dense", "correlated", 20), ("dense", "rai", 1))


def bytes_of(result: TaskResult) -> list[bytes]:
    return [array.tobytes() for array in (*result.moments, result.histogram, result.kept)]


@pytest.mark.parametrize(("sampler", "ensemble", "pairs"), CASES)
def test_bytes_do_not_depend_on_threads_and_segments(
    sampler: str, ensemble: str, pairs: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = Run(
        depth=7,
        width=(33,),
        ensemble=ensemble,
        k=(0.5,) if ensemble in ("raai", "correlated") else (0.0,),
        sampler=sampler,
        shared_network=True,
        pairs=pairs,
        trials=20,
    )
    task = Task(0, 0, 1, 20)
    reference = bytes_of(BatchSampler(run).run(task, None, signals()))
    with ThreadPoolExecutor(2) as pool:
        shared = BatchSampler(run).run_shared(task, None, signals(), pool, 2)
        assert bytes_of(shared) == reference
        monkeypatch.setattr(blocks, "SEGMENT_BYTES", 8 * 20 * run.columns.count * 3)
        monkeypatch.setattr(BatchSampler, "carried_bytes", lambda *_: 0)
        sampler_of_parts = BatchSampler(run)
        assert sampler_of_parts.places(0, 20) == 20
        assert bytes_of(sampler_of_parts.run(task, None, signals())) == reference
        shared = sampler_of_parts.run_shared(task, None, signals(), pool, 2)
        assert bytes_of(shared) == reference


@pytest.mark.parametrize("sampler", ["gram", "dense"])
def test_stops_and_counts(sampler: str) -> None:
    run = Run(depth=5, width=(16,), sampler=sampler, shared_network=True, pairs=6, trials=2)
    task, watched = Task(0, 0, 1, 2), signals()
    walked = BatchSampler(run)
    walked.prepare()
    walked.run(task, None, watched)
    assert watched.progress[0] == 2 * 5 * 16
    stopped = Signals.sharing(np.ones(1, dtype=np.int64))
    BatchSampler(run).run(task, None, stopped)
    assert stopped.progress[0] == 0
    assert walked.carried_bytes(0) > 0
    assert walked.seconds_per_block(0) > 0.0


@pytest.mark.parametrize("sampler", ["gram", "dense"])
@pytest.mark.parametrize("sigma_w", [0.01, 30.0])
def test_great_depth_keeps_lengths_and_angles(sampler: str, sigma_w: float) -> None:
    """Lengths leave float64 by hundreds of decades; every layer but scales those of σ_w = 1."""
    settings: dict[str, Any] = {
        "depth": 400,
        "width": (20,),
        "distance": (0.5, 1e-150, 1e-280),
        "shared_network": True,
        "sampler": sampler,
        "trials": 1,
    }
    run = Run(ensemble="correlated", k=(1.0,), sigma_w=(sigma_w,), **settings)
    walked = walk(run).of
    log_q = walked("log_q1")
    assert np.isfinite(log_q).all()
    assert np.isfinite(walked("log_distance")).all()
    assert abs(log_q[-1, 0]) > 1500
    lost = (log_q > math.log(1e150)) | (log_q < math.log(1e-150))
    np.testing.assert_array_equal(np.isnan(walked("q1")), lost)
    assert np.all(walked("inactive1") < 1.0)


def test_blas_has_one_thread_whichever_thread_asked_before() -> None:
    """Some BLAS libraries listen to the first thread that has set them, as long as it lives."""
    blas = _SingleThreadedBlas()

    def threads() -> list[int]:
        with blas():
            return [library.num_threads for library in blas.libraries]

    with ThreadPoolExecutor(1) as first, ThreadPoolExecutor(1) as second:
        for pool in (first, second, first):
            found = pool.submit(threads).result()
            assert found == [1] * len(found)
            assert found


def test_a_layer_for_python_has_the_types_of_its_trial() -> None:
    """Numba gives the words of the key back as signed: kernels would be compiled again."""
    sampler = BatchSampler(Run(depth=1, width=(8,), shared_network=True, pairs=2, trials=1))
    room = np.empty(sampler.columns * (sampler.nodes(0) + 1)), np.empty((4, ROOM), np.uint32)
    sizes = sampler.fan_ins[0], sampler.widths[0]
    trial = Trial(sampler.laws[0], sampler.pairing, sampler.carry(0, 1)[0], *sizes, 0, *room)
    assert isinstance(opened(trial, 0).law.key0, np.uint64)
    assert not isinstance(open_layer(trial, 0).law.key0, np.uint64)
