"""From a layer to the next: the regression of the second signal on the first, theory.md (4).

Scalars only, the same for CPU and GPU. a is the first signal's variance without bias, b the
covariance of r with it, s the variance of the bias, and `whole` is a + s, all in the units of the
caller.
"""

from __future__ import annotations

from simcore.numerics.arithmetic import times
from simcore.numerics.kernels import njit


@njit(inline="always")
def next_kappa(kappa, a, b, s, whole):
    """Return κ' = (κa − b + s)/(a + s)."""
    return (times(kappa, a) - b + s) / whole


@njit(inline="always")
def next_rho(rho, a, b, whole):
    """Return ρ' = (ρa + b)/(a + s); b is not subtracted from 1 − κ, which would lose its digits."""
    return (times(rho, a) + b) / whole
