"""Blocks of trials, and the tasks that a point's trials are cut into."""

from __future__ import annotations

from dataclasses import dataclass

BLOCK = 64
"""Trials per block. It fixes the arithmetic of the moments and nothing else."""


@dataclass(frozen=True)
class Task:
    """An aligned run of 2^m blocks of one point of `Run.points`, or its last, partial block.

    `blocks` divides `first_block`; there are 64 trials per block, fewer in a partial last one.
    """

    point: int
    first_block: int
    blocks: int
    trials: int

    @classmethod
    def cut(cls, point: int, first: int, end: int, size: int) -> Task:
        """Return the first task of the blocks [first, end), of at most `size` blocks.

        It is aligned, so that it is a node of the tree of moments; `size` is a power of two.
        """
        size = min(size, first & -first) if first else size
        while first + size > end:
            size //= 2
        return cls(point, first, size, size * BLOCK)

    @property
    def partial(self) -> bool:
        """True for an incomplete last block."""
        return self.trials != self.blocks * BLOCK

    @property
    def level(self) -> int:
        """Level of the node of the tree of moments that this task makes."""
        return self.blocks.bit_length() - 1
