"""Intervals around means of few networks, and around shares."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from simcore.physics.observables import COUNTED, SHARES

Floats = npt.NDArray[np.float64]

FEW = 64
"""Networks below which standard errors of skewed observables are too small."""

LEVEL = 0.95
"""Confidence of an interval around a counted share."""


def reach(networks: npt.ArrayLike) -> Floats:
    """Return the half-width, in standard errors, of an interval that holds 95.45 % of all means.

    It is 2 for many networks. For few it is larger, by Student's law with one degree of freedom
    less than there are networks. The law over networks is taken as normal; where it is skewed, as
    that of q and c, fewer means lie inside.

    Parameters
    ----------
    networks
        Number of values behind each mean, any shape; NaN is returned below 2.
    """
    from scipy.special import ndtr, stdtrit

    freedom = np.asarray(networks, dtype=np.float64) - 1.0
    return np.asarray(stdtrit(np.where(freedom > 0.0, freedom, np.nan), ndtr(2.0)))


def of_share(share: npt.ArrayLike, networks: npt.ArrayLike) -> tuple[Floats, Floats]:
    """Return the ends of the interval around a share of networks that were counted.

    They are those of Clopper and Pearson (1934) at `LEVEL`, from the binomial law itself. Where no
    network was counted, or every one, only one end is open: it is the bound that `LEVEL` of all
    such counts keep, 1 − 0.05^(1/n) for none of n.

    Parameters
    ----------
    share
        Counted share, any shape.
    networks
        Number of networks, in that shape; NaN is returned for 0.
    """
    from scipy.special import betaincinv

    total = np.asarray(networks, dtype=np.float64)
    total = np.where(total > 0.0, total, np.nan)
    count = np.rint(np.asarray(share, dtype=np.float64) * total)
    missed = 1.0 - LEVEL
    inside = (count > 0.0) & (count < total)
    tail = np.where(inside, 0.5 * missed, missed)
    # The laws of the ends have no parameter 0; there the end is that of all shares.
    low = betaincinv(np.where(count > 0.0, count, np.nan), total - count + 1.0, tail)
    high = betaincinv(count + 1.0, np.where(count < total, total - count, np.nan), 1.0 - tail)
    known = np.isfinite(count)
    low = np.where(known & (count <= 0.0), 0.0, low)
    high = np.where(known & (count >= total), 1.0, high)
    return np.asarray(low, np.float64), np.asarray(high, np.float64)


def ends(
    observable: str,
    mean: npt.ArrayLike,
    error: npt.ArrayLike,
    networks: npt.ArrayLike,
    *,
    counted: bool = True,
) -> tuple[Floats, Floats]:
    """Return the ends of the interval around a mean: of a share none is below 0 or above 1.

    A counted share has that of `of_share`, any other mean `reach` errors to each side.

    Parameters
    ----------
    observable
        Name of the observable.
    mean, error, networks
        Mean over networks, its standard error, and their number, in one shape.
    counted
        False if the mean is estimated with control variates, or as a sum of probabilities.
    """
    if counted and observable in COUNTED:
        return of_share(mean, networks)
    middle, half = np.asarray(mean, dtype=np.float64), reach(networks) * np.asarray(error)
    low, high = middle - half, middle + half
    if observable in SHARES:
        return np.maximum(low, 0.0), np.minimum(high, 1.0)
    return low, high
