"""Compile the kernels of some samplers into the cache: ``python -m tests.support.warm_up pair
rai``.

Workers of a parallel test run would otherwise compile the same kernels at the same time, each a
minute of one core.
"""

from __future__ import annotations

import sys
from typing import Any

KINDS: dict[str, dict[str, Any]] = {
    "pair": {},
    "rai": {"ensemble": "rai"},
    "gram": {"shared_network": True, "pairs": 2},
    "gradients": {"gradients": True},
    "dense": {"sampler": "dense"},
}


def compile_kernels(kind: str) -> None:
    """Simulate a few small networks."""
    from simcore.execution.execute import execute
    from simcore.runs.run import Run

    small: dict[str, Any] = {"depth": 2, "width": (8,), "trials": 64, "keep": 1}
    run = Run(**small, **KINDS[kind])
    execute(run, threads=1)


if __name__ == "__main__":
    for name in sys.argv[1:]:
        compile_kernels(name)
