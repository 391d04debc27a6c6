"""The device `auto`: a GPU of a kind that is proven, for runs of some size; else the CPU.

Nothing here asks the machine: findings and the known answer are given, so that tests can pretend
any machine. `simcore.execution.known_answer` finds and keeps the answer.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, NamedTuple

from simcore.physics.ensembles import ASYMMETRIC

from .gpu import Findings, dotted, obstacle

if TYPE_CHECKING:
    from simcore.runs.run import Run

PROVEN: tuple[tuple[int, int], ...] = ()
"""Compute capabilities of GPUs on which all tests marked `gpu` have passed.

While there is none, `auto` is the CPU and no driver is opened, and README.md, CONTRIBUTING.md and
docs/ say that the samplers have not run on hardware; a test holds both together.
"""

LEAST_UPDATES = 10**9
"""Node updates of a run from which a GPU is worth its start, by estimate.

Half a second of eight cores. A start with compiled kernels takes the host 0.2 s more than on the
CPU (measured on a pretended driver), and the driver some tenths of a second (a guess).
"""

FAST_FLOAT64 = ((8, 0), (9, 0), (10, 0))
"""Compute capabilities with as many float64 units as `rai` and `raai` need."""

NO_ANSWER = "the GPU did not give the known answer"


class Choice(NamedTuple):
    """Device of a run; the reason for the CPU, as the rest of a sentence; whether it is a fault."""

    device: str
    reason: str = ""
    fault: bool = False


def choose(
    run: Run, look: Callable[[], Findings], has_known_answer: Callable[[Findings], bool]
) -> Choice:
    """Return the device of a run for which none was named.

    `look` finds the machine; `has_known_answer` tells whether its GPU gives the known answer. Each
    is asked only where everything before speaks for the GPU.
    """
    reason = passed_by(look, run)
    if reason:
        return Choice("cpu", reason)
    if not has_known_answer(look()):
        return Choice("cpu", NO_ANSWER, fault=True)
    return Choice("cuda")


def passed_by(look: Callable[[], Findings], run: Run | None = None) -> str:
    """Return the reason why a GPU is passed by before it is tried; "" if there is none.

    Without `run` that of a large run of pairs, each in a network of its own, of `he`.
    """
    if not PROVEN:
        return "no GPU is proven yet"
    if run is not None and run.node_updates < LEAST_UPDATES:
        return f"the run has fewer than {LEAST_UPDATES:.0e} node updates"
    found = look()
    problem = obstacle(found, run)
    if problem is not None:
        return f"cuda {problem.rule}"
    capability = found.gpus[0].capability
    if capability not in PROVEN:
        return f"no GPU of compute capability {dotted(capability)} is proven yet"
    if run is not None and run.ensemble in ASYMMETRIC and capability not in FAST_FLOAT64:
        return f"{run.ensemble} needs a GPU with fast float64"
    return ""
