"""Intervals around means of few networks."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

FEW = 64
"""Networks below which standard errors of skewed observables are too small."""


def reach(networks: npt.ArrayLike) -> npt.NDArray[np.float64]:
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
