"""From the options as typed to a validated `Run` and the settings of its execution."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

from simcore.errors import InputError
from simcore.execution.dask.address import check_scheduler
from simcore.inputs.input_set import InputSet
from simcore.machine.cpus import resolve_threads
from simcore.machine.gpu import automatic, local_gpus, require_cuda
from simcore.physics.ensembles import ASYMMETRIC, ENSEMBLES, WITHOUT_K
from simcore.runs.costs import sampler_costs
from simcore.runs.limits import DEFAULTS
from simcore.runs.run import Run

from .config import Given, option_name
from .values import (
    parse_float,
    parse_floats,
    parse_integer,
    parse_integers,
    parse_profile,
    parse_weight_scale,
)

__all__ = ["Request", "build_request", "execution"]

T = TypeVar("T")

EXCLUSIVE = (
    ("widths", "width"),
    ("distance", "correlation"),
    ("inputs", "correlation"),
    ("inputs", "distance"),
    ("inputs", "q0"),
)

UNBOUNDED = (
    "with --sigma-b above 0 and the norm-preserving --sigma-w the mean square q grows without "
    "bound; a smaller --sigma-w bounds it"
)


@dataclass(frozen=True)
class Request:
    """A run and how it is to be executed.

    Parameters
    ----------
    run
        What is simulated.
    output
        The file that was named; None is the run's default name.
    threads
        Number of threads.
    checkpoint
        Seconds between checkpoints.
    overwrite, dry_run, quiet, json
        The flags of that name.
    auto_sampler
        Whether the sampler was chosen, and not named.
    scheduler
        The Dask cluster to use; None is the threads of this process.
    log_json
        The file of the log; None is no log.
    device_note
        What is to be said of the choice of the device; "" is nothing.
    """

    run: Run
    output: Path | None
    threads: int
    checkpoint: float
    overwrite: bool = False
    dry_run: bool = False
    quiet: bool = False
    json: bool = False
    auto_sampler: bool = True
    scheduler: str | None = None
    log_json: Path | None = None
    device_note: str = ""

    @property
    def notes(self) -> list[str]:
        """What the user should know before the results are read."""
        run, notes = self.run, [self.device_note] if self.device_note else []
        if run.sigma_w is None and any(run.sigma_b or ()) and run.ensemble not in ASYMMETRIC:
            notes.append(UNBOUNDED)
        if run.shared:
            notes.append(_batch_note(run, chosen=self.auto_sampler))
        if run.inputs is not None:
            from simcore.inputs.rows import notes as input_notes

            notes += input_notes(run.inputs.load())
        return notes


def build_request(given: Given, *, here: bool = True) -> Request:
    """Read and check all options.

    Parameters
    ----------
    given
        The options.
    here
        Whether the run is for this machine, whose devices are then looked at; elsewhere the device
        ``auto`` is the CPU.

    Raises
    ------
    InputError
        Naming field, value, rule and remedy.
    """
    _check_exclusive(given)
    run = Run(**_run_values(given.texts), **_batch(given))
    settings, note = execution(given), ""
    if here:
        run, note = _on_device(run, given.texts.get("device", "auto"), settings["scheduler"])
    return Request(
        run=run,
        device_note=note,
        output=_file(given.texts, "output"),
        **settings,
        overwrite="overwrite" in given.flags,
        dry_run="dry_run" in given.flags,
        auto_sampler=given.texts.get("sampler", "auto") == "auto",
    )


def execution(given: Given) -> dict[str, Any]:
    """Return the arguments of `Request` about how a run is executed.

    Raises
    ------
    InputError
        Naming field, value, rule and remedy.
    """
    scheduler = given.texts.get("scheduler")
    if scheduler is not None:
        check_scheduler(scheduler)
    return {
        "threads": resolve_threads(_optional(given.texts, "threads", parse_integer)),
        "checkpoint": _checkpoint(given.texts),
        "scheduler": scheduler,
        "log_json": _file(given.texts, "log_json"),
        **{flag: flag in given.flags for flag in ("quiet", "json")},
    }


def _file(texts: dict[str, str], name: str) -> Path | None:
    if texts.get(name) == "":
        raise InputError(name, "''", "is empty", "Name a file, or leave it out.")
    return Path(texts[name]).expanduser() if name in texts else None


def _batch_note(run: Run, *, chosen: bool) -> str:
    """Say which sampler takes a batch, and on which grounds if it was chosen here."""
    text = f"{run.batch} inputs through each network, sampler {run.sampler}"
    if not chosen or run.weights != "normal":
        return text
    costs = sampler_costs(run)
    return f"{text} (gram {costs['gram']:.2g} s, dense {costs['dense']:.2g} s a network, estimated)"


def _check_exclusive(given: Given) -> None:
    for name, other in EXCLUSIVE:
        if name in given.texts and other in given.texts:
            raise InputError(
                name, given.texts[name], f"excludes {option_name(other)}", "Give one of the two."
            )


def _run_values(texts: dict[str, str]) -> dict[str, Any]:
    """Return the arguments of `Run` that were given."""
    values: dict[str, Any] = {}
    for name in ("depth", "trials", "first_trial", "seed", "keep", "bins"):
        if name in texts:
            values[name] = parse_integer(name, texts[name])
    if "until_stderr" in texts:
        values["until_stderr"] = parse_float("until_stderr", texts["until_stderr"])
        values.setdefault("trials", DEFAULTS.most_trials)
    for name in ("sigma_b", "correlation", "distance", "q0"):
        if name in texts:
            values[name] = parse_floats(name, texts[name])
    if "width" in texts:
        values["width"] = parse_integers("width", texts["width"])
    if "widths" in texts:
        values["layer_widths"] = parse_profile(texts["widths"])
        values.setdefault("depth", len(values["layer_widths"]))
    elif "width" not in texts:
        raise InputError("width", "", "is missing", "Give the nodes of a layer: --width 4096.")
    if "depth" not in values:
        raise InputError("depth", "", "is missing", "Give the number of layers: --depth 200.")
    if "sigma_w" in texts:
        values["sigma_w"] = parse_weight_scale(texts["sigma_w"])
    if "weights" in texts:
        values["weights"] = texts["weights"]
    values |= _ensemble(texts)
    values["sampler"] = texts.get("sampler", "auto")
    values["device"] = _auto(texts, "device", "cpu")
    return values


def _on_device(run: Run, asked: str, scheduler: str | None) -> tuple[Run, str]:
    """Settle the device ``auto``, or see that the one that was named can be used.

    A cluster's machines may have other devices than this one: there ``auto`` is the CPU, and a
    worker that can't use its GPU says so.
    """
    processes = None if scheduler is None else check_scheduler(scheduler)
    if asked == "auto":
        return automatic(run) if scheduler is None else (run, "")
    if run.device == "cuda" and scheduler is None:
        require_cuda(run)
    if run.device == "cuda" and processes is not None:
        local_gpus(processes, run)
    return run, ""


def _batch(given: Given) -> dict[str, Any]:
    """Return the arguments of `Run` about what goes through one network."""
    texts, shared = given.texts, "shared_network" in given.flags
    if "inputs" in texts:
        if shared:
            rule = "goes with random pairs"
            raise InputError("inputs", texts["inputs"], rule, "Leave out --shared-network.")
        chosen = _number_or_file(texts["pairs"]) if "pairs" in texts else None
        seed = parse_integer("seed", texts["seed"]) if "seed" in texts else DEFAULTS.seed
        return {"inputs": InputSet.read(texts["inputs"], pairs=chosen, seed=seed)}
    if "pairs" not in texts:
        return {"shared_network": shared}
    if not shared:
        rule = "goes with --shared-network or --inputs"
        raise InputError("pairs", texts["pairs"], rule, "Add one of them.")
    return {"shared_network": True, "pairs": parse_integer("pairs", texts["pairs"])}


def _number_or_file(text: str) -> int | str:
    """Read how many pairs, or the name of the file that lists them."""
    try:
        return parse_integer("pairs", text)
    except InputError:
        if Path(text.partition(":")[0]).suffix[1:].isalnum() and not _is_float(text):
            return text
        raise


def _is_float(text: str) -> bool:
    try:
        float(text)
    except ValueError:
        return False
    return True


def _ensemble(texts: dict[str, str]) -> dict[str, Any]:
    if "k" in texts:
        k = parse_floats("k", texts["k"], infinite=True)
        return {"ensemble": texts.get("ensemble", "correlated"), "k": k}
    ensemble = texts.get("ensemble", DEFAULTS.ensemble)
    if ensemble in ENSEMBLES and ensemble not in WITHOUT_K:
        raise InputError(
            "ensemble", ensemble, "needs the strength of the correlation", "Add --k 1, say."
        )
    return {"ensemble": ensemble}


def _auto(texts: dict[str, str], name: str, meaning: str) -> str:
    text = texts.get(name, "auto")
    return meaning if text == "auto" else text


def _optional(texts: dict[str, str], name: str, parse: Callable[[str, str], T]) -> T | None:
    return parse(name, texts[name]) if name in texts else None


def _checkpoint(texts: dict[str, str]) -> float:
    seconds = _optional(texts, "checkpoint", parse_float)
    if seconds is None:
        return DEFAULTS.checkpoint
    if not seconds > 0.0:
        raise InputError(
            "checkpoint", seconds, "must be above 0", "Give the seconds between two checkpoints."
        )
    return seconds
