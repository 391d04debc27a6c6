"""Launches: the blocks of tasks that one takes, and the tables that tell kernels of them.

Every block has 64 rows of a launch, also a partial one, so that the row of a trial says its block.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import cached_property
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from simcore.sampling.contract import TaskResult
from simcore.sampling.driver import TaskSampler
from simcore.statistics.blocks import BLOCK, Task
from simcore.statistics.moments import Bins, Collector, join_blocks

Integers = npt.NDArray[np.int64]

POINT, FIRST, TRIALS, PART, OPENS, LAYS, PLACE, FIRST_KEPT, KEEPS = range(9)
BLOCK_NUMBERS = 9
"""Of a block: its point, its first trial and how many it has; the part that it belongs to, whether
it is that one's first, and lays its bins; its place among the moments; the first of its trials
among those that are kept, and how many are."""

BLOCKS, REST = 0, 1
PART_NUMBERS = 2
"""Of a part: its blocks, and the place among the moments before that of its block 1."""


class Gathered:
    """Statistics of a task on the host: all of one launch, or parts of it in a collector.

    Parameters
    ----------
    sampler
        Sampler of the run.
    task
        The task.
    bins
        Those of its point; None if it lays them.
    nodes
        Parts that it is cut into, nodes of the tree.
    """

    def __init__(self, sampler: TaskSampler, task: Task, bins: Bins | None, nodes: int = 1) -> None:
        self._sampler, self.task, self.bins, self.nodes = sampler, task, bins, nodes
        self.keeps = sampler.keeps(task)
        self.whole: TaskResult | None = None

    @cached_property
    def collector(self) -> Collector:
        """Where parts go."""
        return self._sampler.collector(self.task, self.bins, self.nodes)

    def result(self) -> TaskResult:
        """Return the result, when all has been gathered."""
        if self.whole is None:
            join_blocks(self.collector, self.nodes)
            self.whole = self._sampler.result(self.task, self.collector)
        return self.whole


class Part(NamedTuple):
    """Blocks of a task in a launch: 2^m of them, or one that may be partial.

    They begin with block `first` of the point and block `block` of the task; they become its node
    `node`.
    """

    gathered: Gathered
    node: int
    first: int
    block: int
    trials: int

    @property
    def point(self) -> int:
        """Number of its point."""
        return self.gathered.task.point

    @property
    def blocks(self) -> int:
        """Number of blocks."""
        return -(-self.trials // BLOCK)

    @property
    def lays_bins(self) -> bool:
        """Whether it has the block that lays the bins of its point."""
        return self.gathered.bins is None and self.block == 0

    @property
    def keeps(self) -> int:
        """How many of its trials, the first ones, have trajectories that are kept."""
        return max(0, min(self.trials, self.gathered.keeps - self.block * BLOCK))


class Stretch(NamedTuple):
    """Consecutive trials of a point in a launch, from row `row` on."""

    point: int
    first_trial: int
    trials: int
    row: int


class Piece(NamedTuple):
    """One launch: the trials of some parts, in their order, layers from `layer0` on.

    `places` of the trials go through the layers at a time: all of them, or as many as have room
    for their states. A launch of some of the layers has a single part.
    """

    parts: Sequence[Part]
    layer0: int
    layers: int
    places: int

    @classmethod
    def of(cls, parts: Sequence[Part], depth: int) -> Piece:
        """Return a launch of all trials through all layers."""
        return cls(parts, 0, depth, BLOCK * sum(part.blocks for part in parts))

    @property
    def blocks(self) -> int:
        """Number of blocks."""
        return sum(part.blocks for part in self.parts)

    @property
    def rows(self) -> int:
        """Number of rows, up to the last trial."""
        last = self.parts[-1]
        return BLOCK * (self.blocks - last.blocks) + last.trials

    @property
    def of_layers(self) -> slice:
        """Its layers among those of the run."""
        return slice(self.layer0, self.layer0 + self.layers)

    def stretches(self) -> list[Stretch]:
        """Return the consecutive trials."""
        found: list[Stretch] = []
        row = 0
        for part in self.parts:
            first, last = part.first * BLOCK, found[-1] if found else None
            if last and (last.point, last.first_trial + last.trials) == (part.point, first):
                found[-1] = last._replace(trials=last.trials + part.trials)
            else:
                found.append(Stretch(part.point, first, part.trials, row))
            row += part.blocks * BLOCK
        return found

    def tables(self) -> tuple[Integers, Integers]:
        """Return what kernels read of the blocks and of the parts, a row for each."""
        of_parts = [(p.point, p.first, p.trials, p.lays_bins, p.keeps) for p in self.parts]
        blocks = np.array([part.blocks for part in self.parts])
        part = np.repeat(np.arange(blocks.size), blocks)
        number = np.arange(part.size) - _before(blocks)[part]
        point, first, trials, lays, keeps = np.array(of_parts)[part].T
        rest, kept = blocks.size - 1 + _before(blocks - 1), _before(keeps[number == 0])
        here = np.minimum(BLOCK, trials - BLOCK * number)
        table = {
            POINT: point,
            FIRST: BLOCK * (first + number),
            TRIALS: here,
            PART: part,
            OPENS: number == 0,
            LAYS: lays,
            PLACE: np.where(number == 0, part, rest[part] + number),
            FIRST_KEPT: kept[part] + BLOCK * number,
            KEEPS: np.clip(keeps - BLOCK * number, 0, here),
        }
        return np.stack([*table.values()], axis=1), np.stack([blocks, rest], axis=1)


def _before(numbers: Integers) -> Integers:
    """Return for each number the sum of those before it."""
    return np.cumsum(numbers) - numbers


def table_of(point: int, first_trial: int, trials: int) -> Integers:
    """Return a table of consecutive trials of a point, 64 in each row, the last one perhaps less.

    They need not begin with a block. Only what a sampler reads is set.
    """
    firsts = np.arange(0, trials, BLOCK)
    table = np.zeros((firsts.size, BLOCK_NUMBERS), dtype=np.int64)
    table[:, POINT], table[:, FIRST] = point, first_trial + firsts
    table[:, TRIALS] = np.minimum(BLOCK, trials - firsts)
    return table
