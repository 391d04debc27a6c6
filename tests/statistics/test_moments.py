"""The tree of moments, histograms and covariances against plain NumPy."""

from __future__ import annotations

import itertools

import numpy as np
import numpy.typing as npt
import pytest

from simcore.physics.observables import COVARIANCE, HISTOGRAMMED, KEPT, NAMES, Columns, column
from simcore.statistics.blocks import BLOCK
from simcore.statistics.moments import (
    Bins,
    Chosen,
    Collector,
    Moments,
    collect,
    combine,
    empty_moments,
    finish_block,
    join_blocks,
    standard_errors,
    zero_histogram,
)
from simcore.statistics.tree import MomentTree

LAYERS, CHOSEN, INNER = 4, (0, 2, 3), 10
Floats = npt.NDArray[np.float64]


def random_rows(trials: int, seed: int = 0, missing: float = 0.1) -> Floats:
    """Rows of observables, some undefined."""
    rng = np.random.default_rng(seed)
    rows = rng.normal(3.0, 0.5, size=(trials, LAYERS, len(NAMES)))
    rows[rng.random(rows.shape) < missing] = np.nan
    return rows


def collector(blocks: int, kept: int = 0, bins: Bins | None = None) -> Collector:
    one = empty_moments(LAYERS, len(CHOSEN))
    shape = (LAYERS, len(HISTOGRAMMED))
    return Collector(
        moments=Moments(*(np.zeros((blocks, *a.shape)) for a in one)),
        bins=bins or Bins(np.zeros(shape), np.zeros(shape)),
        histogram=zero_histogram(LAYERS, INNER),
        first=bins is None,
        kept=np.full((kept, LAYERS, len(KEPT)), np.nan),
        layers=np.array(CHOSEN),
        values=np.full((len(COVARIANCE), BLOCK, len(CHOSEN)), np.nan),
        chosen=Chosen.of(Columns()),
    )


def taken(rows: Floats, segment: int = LAYERS, **options: object) -> Collector:
    """Collect rows block by block, segment by segment, and join the blocks."""
    blocks = -(-rows.shape[0] // BLOCK)
    into = collector(blocks, **options)  # type: ignore[arg-type]
    for block in range(blocks):
        part = rows[block * BLOCK : (block + 1) * BLOCK]
        for layer0 in range(0, LAYERS, segment):
            piece = np.ascontiguousarray(part[:, layer0 : layer0 + segment])
            collect(into, block, layer0, piece)
        finish_block(into, block, part.shape[0])
    join_blocks(into, blocks)
    return into


def node(into: Collector, block: int = 0) -> Moments:
    return Moments(*(array[block].copy() for array in into.moments))


def same(a: Moments, b: Moments) -> bool:
    return all(x.tobytes() == y.tobytes() for x, y in zip(a, b, strict=True))


def test_moments_meet_numpy_and_leave_out_what_is_undefined() -> None:
    rows = random_rows(4 * BLOCK)
    moments = node(taken(rows))
    np.testing.assert_array_equal(moments.count, np.sum(~np.isnan(rows), axis=0))
    np.testing.assert_allclose(moments.mean, np.nanmean(rows, axis=0), rtol=1e-14)
    np.testing.assert_allclose(
        moments.m2 / (moments.count - 1), np.nanvar(rows, axis=0, ddof=1), rtol=1e-12
    )
    std, error = standard_errors(moments)
    np.testing.assert_allclose(std, np.nanstd(rows, axis=0, ddof=1), rtol=1e-12)
    np.testing.assert_allclose(error, std / np.sqrt(moments.count), rtol=1e-15)


def test_the_variance_survives_a_large_mean() -> None:
    rows = random_rows(8 * BLOCK, missing=0.0)
    shifted = node(taken(rows + 1e8))
    expected = np.var(rows + 1e8, axis=0, ddof=1)
    np.testing.assert_allclose(shifted.m2 / (shifted.count - 1), expected, rtol=1e-6)


def test_an_observable_that_no_trial_defines_counts_zero() -> None:
    rows = random_rows(BLOCK)
    rows[:, 1, 4] = np.nan
    moments = node(taken(rows))
    assert (moments.count[1, 4], moments.mean[1, 4], moments.m2[1, 4]) == (0.0, 0.0, 0.0)
    assert np.isnan(standard_errors(moments)[1][1, 4])


def test_covariance_uses_trials_defined_at_every_chosen_layer() -> None:
    rows = random_rows(4 * BLOCK)
    moments = node(taken(rows))
    for i, name in enumerate(COVARIANCE):
        values = rows[:, CHOSEN, column(name)]
        complete = values[~np.isnan(values).any(axis=1)]
        assert moments.cov_count[i] == len(complete)
        expected = np.cov(complete, rowvar=False)
        np.testing.assert_allclose(moments.cov_m2[i] / (len(complete) - 1), expected, atol=1e-12)


def test_histogram_counts_every_defined_value_once() -> None:
    rows = random_rows(4 * BLOCK)
    into = taken(rows)
    for h, name in enumerate(HISTOGRAMMED):
        for layer in range(LAYERS):
            x = rows[:, layer, column(name)]
            x = x[~np.isnan(x)]
            first = rows[:BLOCK, layer, column(name)]
            mean, std = np.nanmean(first), np.nanstd(first, ddof=1)
            low, width = into.bins.lower[layer, h], into.bins.width[layer, h]
            assert low == pytest.approx(mean - 5 * std, rel=1e-12)
            assert width == pytest.approx(10 * std / INNER, rel=1e-12)
            edges = np.concatenate([[-np.inf], low + width * np.arange(INNER + 1), [np.inf]])
            np.testing.assert_array_equal(into.histogram[layer, h], np.histogram(x, edges)[0])


def test_a_constant_observable_has_one_bin() -> None:
    rows = np.full((2 * BLOCK, LAYERS, len(NAMES)), 0.25)
    rows[-1] = 0.5
    rows[-2] = 0.0
    histogram = taken(rows).histogram
    assert histogram[0, 0, :3].tolist() == [1, 2 * BLOCK - 2, 0]
    assert histogram[0, 0, -1] == 1


def test_segments_change_no_byte() -> None:
    rows = random_rows(2 * BLOCK)
    whole, pieces = taken(rows), taken(rows, segment=1)
    assert same(node(whole), node(pieces))
    assert whole.histogram.tobytes() == pieces.histogram.tobytes()


def test_kept_trajectories_are_the_first_trials() -> None:
    rows = random_rows(2 * BLOCK)
    into = taken(rows, kept=BLOCK + 5)
    expected = rows[: BLOCK + 5][:, :, [column(name) for name in KEPT]]
    np.testing.assert_array_equal(into.kept, expected)


@pytest.fixture(scope="module")
def blocks() -> list[Moments]:
    """Moments of 23 single blocks, as tasks of one block would deliver them."""
    rows = random_rows(23 * BLOCK, seed=1)
    shape = (LAYERS, len(HISTOGRAMMED))
    bins = Bins(np.zeros(shape), np.ones(shape))
    return [node(taken(part, bins=bins)) for part in rows.reshape(23, BLOCK, LAYERS, -1)]


def tree_of(blocks: list[Moments], order: list[int]) -> MomentTree:
    tree = MomentTree()
    for i in order:
        tree.add(0, i, blocks[i])
    return tree


def test_any_order_of_arrival_gives_the_same_bytes(blocks: list[Moments]) -> None:
    expected = tree_of(blocks, list(range(23))).fold()
    assert expected is not None
    rng = np.random.default_rng(5)
    for _ in range(20):
        folded = tree_of(blocks, rng.permutation(23).tolist()).fold()
        assert folded is not None
        assert same(folded, expected)


def test_the_tree_holds_maximal_nodes_only(blocks: list[Moments]) -> None:
    tree = tree_of(blocks, list(range(23)))
    assert [(level, index) for level, index, _ in tree.ordered()] == [
        (4, 0),
        (2, 4),
        (1, 10),
        (0, 22),
    ]
    assert tree.blocks == 23
    late = tree_of(blocks, list(range(3, 23)))
    assert [(level, index) for level, index, _ in late.ordered()] == [
        (0, 3),
        (2, 1),
        (3, 1),
        (2, 4),
        (1, 10),
        (0, 22),
    ]


def test_shards_merged_in_any_order_give_the_same_bytes(blocks: list[Moments]) -> None:
    expected = tree_of(blocks, list(range(23))).fold()
    assert expected is not None
    shards = [tree_of(blocks, list(range(a, b))) for a, b in ((0, 5), (5, 6), (6, 17), (17, 23))]
    for order in itertools.permutations(shards):
        merged = MomentTree()
        for shard in order:
            for level, index, moments in shard.ordered():
                merged.add(level, index, moments)
        folded = merged.fold()
        assert folded is not None
        assert same(folded, expected)


def test_folding_blocks_one_by_one_is_another_result(blocks: list[Moments]) -> None:
    """The reason for the tree: a plain running fold does not give the bytes of merged shards."""
    running = Moments(*(array.copy() for array in blocks[0]))
    for block in blocks[1:]:
        combine(running, block)
    tree = tree_of(blocks, list(range(23))).fold()
    assert tree is not None
    np.testing.assert_allclose(running.m2, tree.m2, rtol=1e-12)
    assert running.m2.tobytes() != tree.m2.tobytes()


def test_tasks_of_many_blocks_are_nodes_of_the_tree() -> None:
    rows = random_rows(8 * BLOCK, seed=2)
    shape = (LAYERS, len(HISTOGRAMMED))
    bins = Bins(np.zeros(shape), np.ones(shape))
    whole = node(taken(rows, bins=bins))
    tree = MomentTree()
    for i, part in enumerate(rows.reshape(4, 2 * BLOCK, LAYERS, -1)):
        tree.add(1, i, node(taken(part, bins=bins)))
    ((level, index, moments),) = tree.ordered()
    assert (level, index) == (3, 0)
    assert same(moments, whole)


def test_a_partial_last_block_is_folded_but_not_kept(blocks: list[Moments]) -> None:
    tree = tree_of(blocks, list(range(4)))
    last = node(taken(random_rows(40, seed=9), bins=Bins(*(np.ones((LAYERS, 6)),) * 2)))
    folded = tree.fold(last=last)
    assert folded is not None
    assert folded.count.max() > 4 * BLOCK
    assert list(tree.nodes) == [(2, 0)]
