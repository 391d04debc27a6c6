"""Memory that a run takes, and memory that is free."""

from __future__ import annotations

from simcore.errors import InputError
from simcore.physics.observables import KEPT
from simcore.runs.costs import batch_columns
from simcore.runs.run import Run
from simcore.statistics.blocks import BLOCK

from .cgroups import memory_left

SHARE = 0.9
"""Share of the free memory that a run may take."""

COPIES = 3
"""Matrices of a batch that a thread holds at once: activations, pre-activations, factors."""


def memory_bytes(run: Run, threads: int) -> int:
    """Return about how many bytes a run takes at its end, without the interpreter.

    A point holds the nodes of its tree (as many as the set bits of the number of blocks, and as
    many again while they are folded), the histograms and the kept trajectories; a thread holds
    the signals of its current trials.
    """
    columns = run.columns
    levels = (run.trials // BLOCK).bit_length() + 2
    chosen = len(run.covariance_layers)
    moments = 8 * (3 * run.depth * columns.count + 2 * columns.pairs * (chosen * chosen + chosen))
    histograms = 2 * 4 * run.depth * columns.pairs * len(columns.histogrammed) * (run.bins + 2)
    trajectories = 8 * run.kept * run.depth * columns.pairs * len(KEPT)
    points = len(run.points) * (levels * moments + histograms + trajectories)
    points += _controls(run)
    return points + threads * (_signals(run, batch_columns(run)) + _rows(run) + moments)


def _signals(run: Run, columns: int) -> int:
    """Return the bytes of a layer's signals and of the matrices made of them, in one thread.

    A GPU has them in its own memory.
    """
    if run.device == "cuda":
        return 0
    nodes = max(max(*point.widths, point.inputs_n) for point in run.points)
    if run.shared or run.sampler == "dense":
        present = COPIES * 8 * columns * (nodes + min(nodes, columns))
        return present + run.depth * _kept(run, columns, nodes)
    return 8 * 4 * nodes if run.points[0].asymmetric else 0


def _kept(run: Run, columns: int, nodes: int) -> int:
    """Return the bytes of a layer that wait for the way back: masks, and factors of T for gram."""
    if not run.gradients:
        return 0
    factors = columns * (nodes + 1) + 32 * min(nodes + 1, columns)
    return columns * nodes + 8 * factors * (run.sampler == "gram")


def _controls(run: Run) -> int:
    """Return the bytes of the coefficients of control variates, and of what makes them."""
    if not run.columns.variates:
        return 0
    from simcore.sampling.control.of_run import HELD, TOGETHER
    from simcore.sampling.control.places import COEFFICIENTS

    layers = run.depth * run.columns.pairs
    all_layers = len(run.points) * layers
    made = COPIES * max(layers, min(TOGETHER, all_layers))
    return 8 * COEFFICIENTS * (made + min(HELD * TOGETHER, all_layers))


def _rows(run: Run) -> int:
    """Return the bytes of the columns of a block's trials, of all layers at a time."""
    return 8 * min(BLOCK, run.trials) * run.columns.count * run.depth


def available_bytes() -> int:
    """Return how much memory this process may still take: of the machine, and of its cgroups."""
    import psutil

    free = int(psutil.virtual_memory().available)
    left = memory_left()
    return free if left is None else min(free, left)


def check_memory(run: Run, threads: int) -> None:
    """Raise InputError if a run needs more memory than is free, before it starts.

    For a batch the error names the largest number of inputs that fits.
    """
    room = available_bytes()
    if memory_bytes(run, threads) <= SHARE * room:
        return
    need = f"needs about {_gigabytes(memory_bytes(run, threads))} of memory"
    rule = f"{need}, and {_gigabytes(room)} are free"
    if run.inputs is not None and run.device == "cpu":
        rest = memory_bytes(run, threads) - threads * _signals(run, batch_columns(run))
        per_input = (SHARE * room - rest) / threads / _signals(run, 1)
        fitting = max(0, int(per_input) - len(run.inputs.pairs))
        remedy = f"At most {fitting} inputs fit; take fewer, or fewer threads or pairs."
        raise InputError("inputs", f"{run.inputs.count} inputs", rule, remedy)
    if run.shared:
        share = memory_bytes(run, threads) / (run.pairs or 1)
        fitting = int(SHARE * room / share)
        remedy = f"At most {fitting} pairs fit; take fewer, or fewer threads or layers."
        raise InputError("pairs", f"{run.pairs} pairs", rule, remedy)
    remedy = "Take fewer points, layers, bins or kept trajectories."
    raise InputError("memory", f"{len(run.points)} points", rule, remedy)


def _gigabytes(size: float) -> str:
    return f"{size / 1e9:.3g} GB"
