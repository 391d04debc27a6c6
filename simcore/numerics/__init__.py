"""Arithmetic and random numbers that have the same bits on every machine, and Numba's set-up.

`arithmetic` holds exactly rounded primitives and our own log and arctan2, `lanes` the one order of
sums over nodes, `rng` Philox and the register of streams, `compiling` the choice of Numba's cache
and vector width. Start with `rng`.

This room imports no other.
"""
