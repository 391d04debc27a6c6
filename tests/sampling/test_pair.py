"""The pair sampler: its bytes, its order of summation, what is undefined, its range."""

from __future__ import annotations

import math
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest

from simcore.execution.execute import execute
from simcore.physics.observables import NAMES, column
from simcore.runs.run import Run
from simcore.sampling.contract import Signals, TaskResult
from simcore.sampling.pair import cpu as pair_cpu
from simcore.sampling.pair import physics as pair_physics
from simcore.sampling.pair.cpu import PairSampler
from simcore.sampling.pair.physics import MANTISSA, direction, finish_layer
from simcore.sampling.pair.sums import TOTALS
from simcore.statistics.blocks import BLOCK, Task
from simcore.statistics.moments import Bins
from simcore.statistics.tree import MomentTree
from tests.support.pair_driver import layer_normals, walk

Floats = npt.NDArray[np.float64]


def correlated(k: float, width: int, depth: int, **options: object) -> Run:
    return Run(depth=depth, width=(width,), ensemble="correlated", k=(k,), **options)  # type: ignore[arg-type]


# --- order of summation -------------------------------------------------------------------------


def documented_sums(z1: Any, z2: Any, cotangent: float, scale: float) -> Floats:
    """The eight sums of a layer in the documented order, by explicit loops over nodes.

    A product is added with one rounding (fma): in float64 the product of two float32 is exact, so
    adding there and rounding once is the same, save for rare double roundings, which are avoided by
    longdouble.
    """
    small = z1.size < 64
    kind: Any = np.float64 if small else np.float32
    p = kind(cotangent) * z1.astype(kind)
    t = kind(scale) * z2.astype(kind)
    a, b = z1.astype(kind), z2.astype(kind)
    x = np.maximum(a, kind(0))
    r = np.where(a > 0, np.minimum(p, t), np.minimum(t - p, kind(0)))
    terms = [(x, None), (x, x), (r, None), (r, x), (r, r), (a, a), (a, b), (b, b)]
    result = []
    for first, second in terms:
        slots = np.zeros((8, 16))
        for chunk in range(-(-z1.size // 512)):
            lanes = np.zeros(16, dtype=kind)
            for i in range(chunk * 512, min(z1.size, (chunk + 1) * 512)):
                term = np.longdouble(first[i]) * (1 if second is None else second[i])
                lanes[i % 16] = kind(np.longdouble(lanes[i % 16]) + term)
            slots[chunk % 8] += lanes.astype(np.float64)
        total = slots[0].copy()
        for slot in slots[1:]:
            total += slot
        result.append(sum(total.tolist()))
    return np.array(result)


@pytest.mark.parametrize("width", [1, 17, 63, 64, 100, 511, 512, 513, 700, 4097, 9000])
@pytest.mark.parametrize("overlap", [0.3, -0.6])
def test_the_order_of_summation_is_the_documented_one(width: int, overlap: float) -> None:
    """The state after a layer has the very bits that the documented sums give."""
    run = correlated(1.0, width, 1, correlation=(overlap,))
    walked = walk(run, 1)
    physics = walked.physics
    states = np.empty((1, pair_physics.STATE))
    pair_physics.start(physics, states)
    _, _, _, cotangent, scale, _ = direction(states[0])
    z1, z2 = layer_normals(physics, 0, 1, width)
    totals = np.empty(TOTALS)
    totals[:8] = documented_sums(z1, z2, cotangent, scale)
    kind: Any = np.float64 if width < 64 else np.float32
    off1 = z1 <= 0
    off2 = kind(cotangent) * z1.astype(kind) <= kind(scale) * z2.astype(kind)
    totals[8:] = off1.sum(), off2.sum(), (off1 & off2).sum()
    row = np.empty(len(NAMES))
    finish_layer(physics, width, totals, states[0], row)
    assert states[0].tobytes() == walked.states[0].tobytes()
    assert row.tobytes() == walked.rows[0, 0].tobytes()


def test_another_order_of_summation_gives_other_bits() -> None:
    """The test above can fail: pairwise summation differs at every width but the smallest."""
    z1, z2 = layer_normals(walk(correlated(1.0, 700, 1), 1).physics, 0, 1, 700)
    documented = documented_sums(z1, z2, 0.5, 1.0)
    assert documented[5] != float(np.sum(z1 * z1, dtype=np.float32))
    assert documented[5] == pytest.approx(float(np.sum(z1.astype(float) ** 2)), rel=1e-6)


# --- bytes --------------------------------------------------------------------------------------


def results_equal(a: TaskResult, b: TaskResult) -> bool:
    arrays = [*zip(a.moments, b.moments, strict=True), *zip(a.bins, b.bins, strict=True)]
    arrays += [(a.kept, b.kept)]
    same_counts = a.histogram.tobytes() == b.histogram.tobytes()
    return same_counts and all(x.tobytes() == y.tobytes() for x, y in arrays)


@pytest.mark.parametrize("width", [3, 100, 1500])
@pytest.mark.parametrize("layers_shared", [False, True])
def test_a_block_shared_by_threads_has_the_same_bytes(
    width: int, layers_shared: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    if layers_shared:
        monkeypatch.setattr(pair_cpu, "SHARED_WIDTH", 64)
        monkeypatch.setattr(pair_cpu, "FEW_TRIALS", 100)
    run = correlated(1.0, width, 40, trials=50)
    sampler, task = PairSampler(run), Task(0, 0, 1, 50)
    signals = Signals.sharing()
    alone = sampler.run(task, None, signals)
    assert signals.progress[0] == 50 * 40 * width
    for threads in (1, 3):
        with ThreadPoolExecutor(threads) as pool:
            shared = sampler.run_shared(task, None, signals, pool, threads)
        assert results_equal(alone, shared)


def test_segments_of_layers_change_no_byte(monkeypatch: pytest.MonkeyPatch) -> None:
    run = correlated(0.0, 70, 50, trials=64)
    signals = Signals.sharing()
    whole = PairSampler(run).run(Task(0, 0, 1, 64), None, signals)
    monkeypatch.setattr(pair_cpu, "SEGMENT", 7)
    pieces = PairSampler(run).run(Task(0, 0, 1, 64), None, signals)
    assert results_equal(whole, pieces)
    # Where blocks are long, Python loops over segments.
    monkeypatch.setattr(pair_cpu, "LONG_BLOCK", 0.0)
    looped = PairSampler(run).run(Task(0, 0, 1, 64), None, signals)
    assert results_equal(whole, looped)


def tasks(point: int, first: int, end: int, size: int) -> list[Task]:
    found = [Task.cut(point, first, end, size)]
    while (begun := found[-1].first_block + found[-1].blocks) < end:
        found.append(Task.cut(point, begun, end, size))
    return found


def test_sizes_of_tasks_change_no_byte() -> None:
    run = correlated(1.0, 20, 5, trials=8 * BLOCK)
    sampler, signals = PairSampler(run), Signals.sharing()
    first = sampler.run(Task(0, 0, 1, BLOCK), None, signals)
    found = []
    for size in (1, 2, 4):
        tree, histogram = MomentTree(), first.histogram.copy()
        tree.add(0, 0, first.moments)
        for task in reversed(tasks(0, 1, run.trials // BLOCK, size)):
            result = sampler.run(task, first.bins, signals)
            tree.add(task.level, task.first_block >> task.level, result.moments)
            histogram += result.histogram
        whole = tree.fold()
        assert whole is not None
        found.append([*(array.tobytes() for array in whole), histogram.tobytes()])
    assert found[0] == found[1] == found[2]


def test_a_point_does_not_depend_on_the_rest_of_the_grid() -> None:
    alone = correlated(1.0, 20, 5, trials=100, sigma_b=(0.1,))
    grid = replace(alone, width=(7, 20), k=(-0.5, 1.0), sigma_b=(0.0, 0.1))
    (expected,), found = (execute(run, threads=2).points for run in (alone, grid))
    here = grid.points.index(replace(alone.points[0], index=(1, 1, 1)))
    for a, b in ((expected, found[here]), (expected, found[here - 1])):
        one, other = a.published(), b.published()
        assert one is not None
        assert other is not None
        same = [x.tobytes() == y.tobytes() for x, y in zip(one, other, strict=True)]
        same += [a.published_histogram().tobytes() == b.published_histogram().tobytes()]
        same += [a.trajectories.tobytes() == b.trajectories.tobytes()]
        assert all(same) == (b is found[here])


def test_a_shallower_run_is_a_prefix() -> None:
    deep = walk(correlated(1.0, 100, 9), 5)
    shallow = walk(correlated(1.0, 100, 4), 5)
    assert shallow.rows.tobytes() == np.ascontiguousarray(deep.rows[:, :4]).tobytes()


def test_trials_do_not_depend_on_where_a_call_begins() -> None:
    run = correlated(1.0, 100, 4)
    together, alone = walk(run, 7), walk(run, 2, first_trial=5)
    assert alone.rows.tobytes() == together.rows[5:].tobytes()


def test_trials_beyond_32_bits_are_other_trials() -> None:
    run = correlated(1.0, 100, 2)
    low, high = walk(run, 1, first_trial=3), walk(run, 1, first_trial=3 + 2**32)
    assert not np.any(low["q1"] == high["q1"])


def test_a_stopped_call_returns_early() -> None:
    run = correlated(1.0, 100, 4, trials=BLOCK)
    signals = Signals.sharing(np.ones(1, dtype=np.int64))
    PairSampler(run).run(Task(0, 0, 1, BLOCK), None, signals)
    assert signals.progress[0] == 0


def test_given_bins_are_used() -> None:
    run = correlated(0.0, 50, 2, trials=2 * BLOCK)
    sampler, signals = PairSampler(run), Signals.sharing()
    bins = Bins(np.full((2, 6), -100.0), np.full((2, 6), 1.0))
    result = sampler.run(Task(0, 1, 1, BLOCK), bins, signals)
    assert result.bins is bins
    assert result.histogram[:, 0, -1].tolist() == [BLOCK, BLOCK]


# --- undefined values, range --------------------------------------------------------------------


def test_what_a_dead_signal_leaves_out() -> None:
    walked = walk(correlated(0.0, 3, 12), 4000)
    dead1 = walked["dead_network1"] == 1.0
    gone = np.zeros_like(dead1)
    gone[:, 1:] = dead1[:, :-1]  # from the layer after its death on
    assert 0.1 < gone.mean() < 0.9
    assert np.all(walked["q1"][gone] == 0.0)
    assert np.all(walked["inactive1"][gone] == 1.0)
    for name in ("log_q1", "correlation", "distance", "log_distance", "angle", "cosine"):
        assert np.all(np.isnan(walked[name][gone])), name
    alive = ~gone
    assert np.all(walked["q1"][alive] > 0.0)
    assert not np.any(np.isnan(walked["log_q1"]) & alive)
    both = walked["dead_network1"] * walked["dead_network2"]
    np.testing.assert_array_equal(walked["dead_network_both"], both)


def test_signals_are_treated_alike() -> None:
    """Which of two died first decides how the state is kept, and must not show: 4.5 sigma."""
    walked = walk(correlated(0.0, 4, 10), 40_000)
    for first, second in (("q1", "q2"), ("inactive1", "inactive2")):
        difference = walked[first] - walked[second]
        z = difference.mean(axis=0) / (difference.std(axis=0) / math.sqrt(40_000))
        assert np.all(np.abs(z) < 4.5), (first, z)


def test_a_bias_revives_a_dead_signal() -> None:
    walked = walk(correlated(0.0, 2, 6, sigma_b=(0.5,)), 4000)
    died_here = walked["inactive1"] == 1.0
    assert died_here.any()
    assert np.all(np.isnan(walked["cosine"][died_here]))
    assert np.all(walked["q1"] > 0.0)
    assert not np.any(np.isnan(walked["log_q1"]))
    revived = died_here[:, :-1]
    q = walked["q1"][:, 1:][revived]
    # h is then the bias alone at both nodes: q = 0.25 χ²₂/2, of mean 0.25.
    assert abs(q.mean() - 0.25) < 4.0 * q.std() / math.sqrt(q.size)


def test_one_active_node_makes_signals_parallel() -> None:
    walked = walk(correlated(0.0, 3, 5), 20_000)
    parallel = walked["distance"] == 0.0
    share = parallel[:, 4].sum() / np.sum(~np.isnan(walked["distance"][:, 4]))
    assert share > 0.1
    assert np.all(walked["correlation"][parallel] == 1.0)
    assert np.all(np.isnan(walked["log_distance"][parallel]))
    # Rounding that poses as a distance would put all of that share near ln 1e-16 = -37.
    assert np.mean(walked["log_distance"] < -34.0) < 1e-4


def test_two_weights_that_sum_to_zero_see_parallel_signals() -> None:
    """n = 2, k = ∞: every node multiplies the same difference of activations."""
    walked = walk(correlated(math.inf, 2, 4), 5000)
    c = walked["correlation"][:, 1:]
    assert set(np.unique(c[~np.isnan(c)])) <= {-1.0, 1.0}
    assert {-1.0, 1.0} <= set(np.unique(c[~np.isnan(c)]))


def test_a_single_weight_that_sums_to_zero_is_dead() -> None:
    walked = walk(correlated(math.inf, 1, 3), 200)
    assert np.all(walked["q1"][:, 1:] == 0.0)
    assert np.all(walked["dead_network_both"][:, 1:] == 1.0)
    assert np.all(np.abs(walked["correlation"][:, 0]) == 1.0)


def test_equal_and_opposite_inputs() -> None:
    equal = walk(correlated(1.0, 50, 6, correlation=(1.0,)), 20)
    assert np.all(equal["distance"] == 0.0)
    assert np.all(equal["correlation"] == 1.0)
    assert np.all(np.isnan(equal["log_distance"]))
    np.testing.assert_allclose(equal["q1"], equal["q2"], rtol=1e-14)
    opposite = walk(correlated(1.0, 50, 3, correlation=(-1.0,)), 20)
    assert np.all(opposite["correlation"][:, 0] == -1.0)
    assert np.all(opposite["inactive_both"][:, 0] == 0.0)
    assert np.all(np.abs(opposite["correlation"][:, 2]) < 1.0)


@pytest.mark.parametrize("sigma_w", [0.1, 10.0])
def test_lengths_of_any_size(sigma_w: float) -> None:
    """q leaves float64 after a few hundred layers; its logarithm and the angle do not notice."""
    depth = 1500
    scaled = walk(Run(depth=depth, width=(100,), sigma_w=(sigma_w,)), 2)
    assert np.all(np.isfinite(scaled["log_q1"]))
    per_layer = (scaled["log_q1"][:, -1] - scaled["log_q1"][:, 0]) / (depth - 1)
    assert np.all(np.abs(per_layer - math.log(sigma_w**2 / 2)) < 0.05)
    outside = np.abs(scaled["log_q1"]) > math.log(1.001e150)
    assert outside.any()
    assert np.all(np.isnan(scaled["q1"][outside]))
    inside = np.abs(scaled["log_q1"]) < math.log(0.999e150)
    np.testing.assert_allclose(np.log(scaled["q1"][inside]), scaled["log_q1"][inside], rtol=1e-12)


def test_a_state_is_rescaled_by_powers_of_four_only() -> None:
    """The scale of the weights moves lengths alone: the same normals give the same angles."""
    one = walk(Run(depth=60, width=(100,)), 1)
    physics = one.physics
    scaled = walk(Run(depth=60, width=(100,)), 1, sigma_w2=physics.sigma_w2 * 2.0**40)
    np.testing.assert_array_equal(one["correlation"], scaled["correlation"])
    np.testing.assert_array_equal(one["log_distance"], scaled["log_distance"])
    expected = one["log_q1"] + np.arange(1, 61) * 40 * math.log(2.0)
    np.testing.assert_allclose(scaled["log_q1"], expected, rtol=1e-12)
    assert 2.0**-41 < scaled.states[0, MANTISSA] < 2.0**41


def test_columns_are_those_of_the_register() -> None:
    walked = walk(correlated(0.0, 64, 1), 3)
    np.testing.assert_array_equal(walked.rows[:, :, column("angle")], walked["angle"])
    np.testing.assert_allclose(np.cos(walked["angle"]), walked["correlation"], rtol=1e-12)
    np.testing.assert_allclose(walked["distance"], 1.0 - walked["correlation"], rtol=1e-9)
