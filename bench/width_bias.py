"""Claim: the mean correlation deviates from mean field like 1/N, here for k = 1 from N = 64 on.

    python bench/width_bias.py            # about five minutes on two cores

The number of trials grows with the width, so that the deviation stays many standard errors.
"""

from __future__ import annotations

import argparse

from harness import save

from simcore.numerics.compiling import prefer_wide_vectors

prefer_wide_vectors()

import numpy as np  # noqa: E402 - the entry points set Numba up before it is imported

from simcore import Ensemble, simulate  # noqa: E402


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--depth", type=int, default=20)
    parser.add_argument("--largest", type=int, default=14, help="largest width, as a power of two")
    parser.add_argument("--trials-per-node", type=int, default=12)
    options = parser.parse_args()
    widths = [2**i for i in range(6, options.largest + 1)]
    rows = []
    for width in widths:
        ds = simulate(
            Ensemble.correlated(k=1.0),
            width=width,
            depth=options.depth,
            trials=max(options.trials_per_node * width, 2**15),
        ).isel(layer=-1)
        deviation = float(ds.correlation - ds.correlation_theory)
        error = float(ds.correlation_stderr)
        rows.append({"width": width, "deviation": deviation, "stderr": error})
        print(f"N = {width:6d}: {deviation:+.3e} ± {error:.1e}, times N {deviation * width:+.4f}")
    deviations = np.array([abs(row["deviation"]) for row in rows])
    relative = np.array([row["stderr"] for row in rows]) / deviations
    fit, covariance = np.polyfit(
        np.log(widths), np.log(deviations), 1, w=1.0 / relative, cov="unscaled"
    )
    result = {
        "options": vars(options),
        "rows": rows,
        "slope": float(fit[0]),
        "slope_stderr": float(np.sqrt(covariance[0, 0])),
    }
    save("width_bias", result)


if __name__ == "__main__":
    main()
