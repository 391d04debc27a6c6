"""The binary tree of moments over blocks, and all statistics of one point of a run.

How blocks are joined depends on their numbers only, not on the order in which they arrive.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from simcore.physics.observables import KEPT

from .blocks import BLOCK
from .moments import Bins, Counts, Floats, Moments, combine


class MomentTree:
    """The maximal complete nodes of a binary tree over absolute block numbers.

    Node (j, i) covers blocks i·2^j … (i+1)·2^j − 1 and is the merge of its two halves. Which nodes
    are held, and their bytes, depend only on which blocks were added.
    """

    def __init__(self) -> None:
        self.nodes: dict[tuple[int, int], Moments] = {}

    def add(self, level: int, index: int, moments: Moments) -> None:
        """Add the node (level, index), and join siblings as long as both are there."""
        while (sibling := self.nodes.pop((level, index ^ 1), None)) is not None:
            left, right = (moments, sibling) if index % 2 == 0 else (sibling, moments)
            left = Moments(*(array.copy() for array in left))
            combine(left, right)
            level, index, moments = level + 1, index // 2, left
        self.nodes[level, index] = moments

    def ordered(self) -> Iterator[tuple[int, int, Moments]]:
        """Yield (level, index, moments) from the first block to the last."""
        for level, index in sorted(self.nodes, key=lambda node: node[1] << node[0]):
            yield level, index, self.nodes[level, index]

    def spans(self) -> Iterator[tuple[int, int]]:
        """Yield the first block and one past the last of every node, in order."""
        for level, index in sorted(self.nodes, key=lambda node: node[1] << node[0]):
            yield index << level, (index + 1) << level

    @property
    def blocks(self) -> int:
        """Number of blocks in the tree."""
        return sum(1 << level for level, _ in self.nodes)

    def fold(self, *, last: Moments | None = None) -> Moments | None:
        """Fold all nodes, left to right, and then a partial last block; None if there is none."""
        parts = [moments for _, _, moments in self.ordered()]
        if last is not None:
            parts.append(last)
        if not parts:
            return None
        total = Moments(*(array.copy() for array in parts[0]))
        for part in parts[1:]:
            combine(total, part)
        return total


@dataclass
class PointStatistics:
    """All that a run holds about one point.

    `tree` and `histogram`, shape (layer, histogram, bins + 2), are of whole blocks. `partial` and
    `partial_histogram` are of a partial last block, published but not part of the state. `bins` is
    None until block 0 is done. `trajectories` has the observables `KEPT` of each pair in the first
    trials, shape (kept, layer, pair and observable), NaN where undefined or not done; `kept` of
    them are done, from the first. `look`: where a point ends at a standard error, the trials after
    which it is judged next, or was last; 0 before that is known.
    """

    tree: MomentTree
    histogram: Counts
    trajectories: Floats
    bins: Bins | None = None
    partial: Moments | None = None
    partial_histogram: Counts | None = None
    kept: int = 0
    look: int = 0

    def has_trajectory(self) -> npt.NDArray[np.bool_]:
        """Return which of the first trials have their trajectory here, shape (kept,)."""
        # Every trial defines the share of inactive nodes, from the first layer on.
        return ~np.isnan(self.trajectories[:, 0, KEPT.index("inactive1")])

    def count_kept(self) -> None:
        """Bring `kept` up to date with the trajectories."""
        if not len(self.trajectories):
            return
        held = self.has_trajectory()
        self.kept = held.size if held.all() else int(np.argmin(held))

    def published(self) -> Moments | None:
        """Moments of everything done so far; None before the first block."""
        return self.tree.fold(last=self.partial)

    def published_histogram(self) -> Counts:
        """Return the counts of everything done so far."""
        if self.partial_histogram is None:
            return self.histogram
        return self.histogram + self.partial_histogram

    def trials(self) -> int:
        """Trials done; a partial block counts by `inactive1`, which every trial defines."""
        partial = 0 if self.partial is None else int(self.partial.count.max())
        return self.tree.blocks * BLOCK + partial
