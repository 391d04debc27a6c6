"""Dead, parallel and rank-one states: when what a subtraction leaves is rounding, and counts as 0.

A signal is dead if no unit is active for it. Two live signals are parallel if one is a multiple of
the other; then their residual r is 0 in real numbers. A Gram matrix has rank one if the weights see
parallel signals: one active unit only, or two units whose weights sum to zero. In float64 a
difference of equal numbers leaves about 1e-16 of them, which later layers would take for an angle.

One policy for all samplers:

- Counts decide where they can. A signal with N inactive units of N is dead, and one active unit
  makes the signals parallel, whatever the sums say. The sampler of a single pair of `he` or
  `correlated` needs nothing else, since it never subtracts.
- A square that comes from a subtraction counts as 0 if it is at most a given share of the square
  that it was subtracted from. Then r, or the variance, is set to exactly 0: the distance is 0 (or
  2), and it stays so.

The share is the square of the relative rounding of the amplitudes, with room for the length of the
sums. It is not the same everywhere, because the roundings are not: `DIFFERENCE` where both terms
are rounded to float64 only; `REGRESSION` for r − e x of `rai` and `raai`, whose e is a quotient of
sums that drift over many layers; `VARIANCE` for the variance of one unit, which is not squared and
may come from sums of float32 roots (relative error 1.2e-7). True angles below 1e-14, 1e-13 and 1e-7
of a unit's amplitude are lost where such a subtraction happens; that is the price.
"""

from __future__ import annotations

DIFFERENCE = 1e-28
"""Of the square of a column of a batch: an amplitude of 1e-14."""

REGRESSION = 1e-26
"""Of Σr² or Σs² of a layer of `rai` and `raai`: an amplitude of 1e-13."""

VARIANCE = 2.0**-46
"""Of the variance of a unit of `rai` and `raai`: an amplitude of 1.2e-7."""
