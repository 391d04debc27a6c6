"""The weight scale σ_w of an ensemble where none is given."""

from __future__ import annotations

from functools import lru_cache

from simcore.physics.ensembles import ASYMMETRIC, PUBLISHED_SIGMA_W
from simcore.physics.parameters import correlation_strength
from simcore.physics.slopes import RELU, Slopes, norm_preserving_sigma_w


@lru_cache(maxsize=1024)
def default_sigma_w(
    ensemble: str, k: float, *, critical: bool = False, slopes: Slopes = RELU
) -> float:
    """Return the σ_w of an ensemble where none is given.

    `critical` asks for the norm-preserving value, the default but for the asymmetric ensembles,
    which know only ReLU. Theirs has no closed form: it is found from the law at infinite width.
    """
    if ensemble not in ASYMMETRIC:
        return norm_preserving_sigma_w(k, slopes)
    if not critical:
        return PUBLISHED_SIGMA_W
    from . import population

    correlation_strength(k)
    return float(f"{population.norm_preserving_sigma_w(k):.6g}")
