"""Runs as Datasets: simulated in memory or to a file, and from memory written later.

A Dataset from memory holds the state of its run in its `encoding`, which no result depends on.
"""

from __future__ import annotations

import signal
import threading
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Unpack

import xarray as xr

from simcore.errors import InputError, SimcoreWarning
from simcore.execution.execute import Options, Outcome, execute
from simcore.execution.progress import Control
from simcore.files.lock import only_writer
from simcore.files.run_file import WriteStopped, write_run
from simcore.files.run_results import RunResults
from simcore.machine.provenance import collect_provenance
from simcore.numerics.text import counted
from simcore.runs.run import Run

from .open_run import to_dataset
from .points import check_dataset

HELD = "simcore_results"
"""Name of the state in the encoding of a Dataset."""


def to_file(run: Run, path: Path, **options: Unpack[Options]) -> xr.Dataset:
    """Simulate a run to its file, and return its Dataset."""
    return to_dataset(execute(run, output=path, **options).results)


def in_memory(run: Run, **options: Unpack[Options]) -> xr.Dataset:
    """Simulate a run, and return its Dataset; after Ctrl-C what there is, and a warning."""
    control = options.setdefault("control", None) or Control()
    options["control"] = control
    with _interruptible(control):
        results = _with_theory(execute(run, **options), control)
    dataset = to_dataset(results)
    dataset.encoding[HELD] = results
    if not results.complete:
        done = sum(point.trials() for point in results.points)
        text = f"the run was interrupted: its Dataset is incomplete, with {counted(done, 'trial')}"
        hint = "simcore.save keeps it in a file, which simcore.resume completes"
        warnings.warn(f"{text}; {hint}", SimcoreWarning, stacklevel=3)
    return dataset


def _with_theory(outcome: Outcome, control: Control) -> RunResults:
    """Return results with their predictions; those of a checkpoint if that was interrupted."""

    def pause(_: str = "") -> None:
        if control.stop.is_set():
            raise WriteStopped

    try:
        outcome.results.predict(pause)
    except WriteStopped:
        return RunResults(outcome.run, outcome.points, complete=False)
    return outcome.results


@contextmanager
def _interruptible(control: Control) -> Iterator[None]:
    """Let the first Ctrl-C stop a run, where the program has no use of its own for it."""
    usual = signal.default_int_handler
    in_main = threading.current_thread() is threading.main_thread()
    if not in_main or signal.getsignal(signal.SIGINT) is not usual:
        yield
        return

    def stop(*_: object) -> None:
        signal.signal(signal.SIGINT, usual)
        control.stop.set()

    signal.signal(signal.SIGINT, stop)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, usual)


def state_of(dataset: xr.Dataset) -> RunResults:
    """Return the state of the run that a Dataset from memory holds.

    InputError if it has none, or is not the whole run any more.
    """
    check_dataset(dataset)
    results = dataset.encoding.get(HELD)
    remedy = "Give the Dataset that simcore.simulate returned, or name a file of a run."
    if not isinstance(results, RunResults):
        rule = "holds no state of a run"
        if "source" in dataset.encoding:
            rule = f"{rule}: it was read from {dataset.encoding['source']}, which has it"
        raise InputError("dataset", "this one", rule, remedy)
    if not dataset.equals(to_dataset(results)):
        rule = "is a part of a run, or was changed"
        raise InputError("dataset", "this one", rule, remedy)
    return results


def write(dataset: xr.Dataset, path: Path) -> None:
    """Write the file of a run from a Dataset from memory; errors as for `simcore.save`."""
    results = state_of(dataset)
    notes: dict[str, object] = dict(collect_provenance(device=results.run.device))
    inputs = results.run.inputs
    if inputs is not None and inputs.source:
        notes["inputs"] = inputs.absolute_source
    with only_writer(path):
        write_run(path, results, provenance=notes)
