"""``python -m tests.verify.slopes``: pairs with slopes against explicit weights, every case.

Three activations, three widths, four k, with and without bias. The least p-value of all seeds, over
the number of all comparisons, is the figure: below 1e-3 something is wrong.
"""

from __future__ import annotations

import argparse
import math

from simcore.numerics import compiling
from tests.verify.check import Effort
from tests.verify.pairs import Case, every_slope, p_value


def main() -> None:
    """Print the least p-value of each case over seeds, and of all."""
    parser = argparse.ArgumentParser(prog="python -m tests.verify.slopes", description=__doc__)
    parser.add_argument("--seeds", type=int, default=20, help="seeds 1, 2, …")
    parser.add_argument("--factor", type=float, default=0.15, help="of the networks of a check")
    options = parser.parse_args()
    compiling.prefer_wide_vectors()
    cases = list(every_slope())
    efforts = [Effort(options.factor, seed) for seed in range(1, options.seeds + 1)]
    worst, where = math.inf, ""
    for case in cases:
        p, name = min(of_seed(case, effort) for effort in efforts)
        print(f"{case}: {p * len(efforts):.2g} ({name})", flush=True)
        worst, where = min((worst, where), (p, f"{case}, {name}"))
    count = len(cases) * len(efforts)
    print(f"least p times comparisons of {count} runs: {min(1.0, worst * count):.2g} ({where})")


def of_seed(case: Case, effort: Effort) -> tuple[float, str]:
    """Return the least p-value of a case times its comparisons, and what it compares."""
    p, name = p_value(case, case.law(), effort)
    return p, f"seed {effort.seed}, {name}"


if __name__ == "__main__":
    main()
