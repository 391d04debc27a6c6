"""Steps of `simcore.simulate` that a command takes one by one.

Importing this module loads nothing heavy. The command line stands on it and on public rooms, and
knows no room below: what a command needs from one of those is in `BELOW`.
"""

from __future__ import annotations

# ruff: noqa: PLC0414 - names that are passed on
from dataclasses import dataclass, replace
from importlib import import_module
from typing import TYPE_CHECKING, Any, TypedDict

from .errors import InputError
from .execution.progress import Control as Control
from .execution.progress import EventLog as EventLog
from .execution.progress import Progress as Progress
from .execution.progress import Report as Report
from .physics.ensembles import ASYMMETRIC as ASYMMETRIC
from .physics.ensembles import CRITICAL as CRITICAL
from .physics.ensembles import FAN_IN as FAN_IN
from .physics.ensembles import ensemble_name as ensemble_name
from .physics.parameters import WHOLE as WHOLE
from .physics.parameters import number
from .runs.limits import DEFAULTS
from .runs.limits import EXCLUSIVE as EXCLUSIVE
from .runs.spec import RunSpec as RunSpec

if TYPE_CHECKING:
    from .execution.estimates import estimates as estimates
    from .execution.execute import Outcome as Outcome
    from .execution.execute import execute as execute
    from .execution.execute import resume as _resume
    from .execution.execute import stored_run as stored_run
    from .execution.merge import merge as _merge
    from .execution.stopping import NO_VALUES as NO_VALUES
    from .execution.stopping import needed as needed
    from .files.destination import check_destination as check_destination
    from .files.destination import claim as claim
    from .files.destination import identity as identity
    from .files.destination import written as written
    from .files.run_file import info as info
    from .files.run_results import RunResults as RunResults
    from .machine.gpu import Findings
    from .machine.memory import check_memory as check_memory
    from .numerics.spacing import evenly as evenly
    from .numerics.spacing import logarithmically as logarithmically
    from .numerics.text import NOTHING as NOTHING
    from .numerics.text import counted as counted
    from .numerics.text import plain as plain
    from .numerics.text import with_error as with_error
    from .physics.observables import BY_NAME as BY_NAME
    from .physics.observables import CONTROL as CONTROL
    from .physics.observables import NEAR_ONE as NEAR_ONE
    from .runs.run import Run

    resume_file, unite = _resume, _merge

BELOW = {
    "execution.estimates": {"estimates"},
    "execution.execute": {"Outcome", "execute", "stored_run"},
    "execution.stopping": {"NO_VALUES", "needed"},
    "files.destination": {"check_destination", "claim", "identity", "written"},
    "files.run_file": {"info"},
    "files.run_results": {"RunResults"},
    "machine.memory": {"check_memory"},
    "numerics.spacing": {"evenly", "logarithmically"},
    "numerics.text": {"NOTHING", "counted", "plain", "with_error"},
    "physics.observables": {"BY_NAME", "CONTROL", "NEAR_ONE"},
}
"""Names of rooms below that this module passes on, each imported on its first use."""

_RENAMED = {"resume_file": ("execution.execute", "resume"), "unite": ("execution.merge", "merge")}


def __getattr__(name: str) -> Any:
    held = (module for module, names in BELOW.items() if name in names)
    module, found = _RENAMED.get(name, (next(held, ""), name))
    if not module:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"simcore.{module}"), found)


@dataclass(frozen=True)
class Plan:
    """A run for the devices that are here.

    Parameters
    ----------
    run
        The run.
    chosen
        Whether the sampler was chosen and not named.
    warning
        A fault of the device that would have been chosen; "" is none.
    """

    run: Run
    chosen: bool
    warning: str = ""

    def notes(self) -> list[str]:
        """Return notes for the user, to be read before the results.

        Options stand in backquotes, as in errors (`InputError.worded`).
        """
        from .runs.notes import notes

        return [*notes(self.run, chosen=self.chosen), *filter(None, [self.warning])]


def plan(spec: RunSpec, *, scheduler: str | None = None, here: bool = True) -> Plan:
    """Resolve a description, its device included.

    Parameters
    ----------
    spec
        The description; its device may be ``"auto"`` (`simcore.machine.auto`).
    scheduler
        The Dask cluster that will simulate. Its machines may have other devices than this one, so
        ``"auto"`` is the CPU; a worker that can't use its GPU says so.
    here
        Whether the run is for this machine, whose GPU is then looked at if it is asked for;
        elsewhere ``"auto"`` is the CPU.

    Raises
    ------
    InputError
        If a value breaks a rule.
    DeviceError
        If the GPU that was asked for can't be used.
    """
    from .execution.dask.address import check_scheduler
    from .machine.auto import choose
    from .machine.gpu import local_gpus, look, require_cuda
    from .runs.run import resolve

    run, warning = resolve(replace(spec, device="cpu") if spec.device == "auto" else spec), ""
    if spec.device == "auto" and here and scheduler is None:
        choice = choose(run, look, _has_known_answer)
        if choice.fault:
            warning = f"`device` auto is the CPU: {choice.reason}; simcore doctor says more"
        elif choice.device == "cuda":
            run = replace(run, device="cuda")
    elif here and run.device == "cuda":
        processes = None if scheduler is None else check_scheduler(scheduler)
        if scheduler is None:
            require_cuda(run)
        elif processes is not None:
            local_gpus(processes, run)
    return Plan(run, spec.sampler == "auto", warning)


def _has_known_answer(found: Findings) -> bool:
    from .execution.known_answer import has_known_answer

    return has_known_answer(found)


class Settings(TypedDict):
    """Checked options of the execution of a run (`simcore.execution.loop.Options`)."""

    threads: int
    scheduler: str | None
    checkpoint: float


def settings(
    *, threads: int | None = None, scheduler: str | None = None, checkpoint: float | None = None
) -> Settings:
    """Check options of the execution of a run, for `execute` and `resume_file`.

    Raises
    ------
    InputError
        If a value breaks a rule.
    """
    from .execution.dask.address import check_scheduler
    from .machine.cpus import resolve_threads

    if scheduler is not None:
        check_scheduler(scheduler)
    seconds = DEFAULTS.checkpoint if checkpoint is None else number("checkpoint", checkpoint)
    if not seconds > 0.0:
        remedy = "Give the seconds between two checkpoints."
        raise InputError("checkpoint", seconds, "must be above 0", remedy)
    return {"threads": resolve_threads(threads), "scheduler": scheduler, "checkpoint": seconds}
