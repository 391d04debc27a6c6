"""What the commands ``tests.verify`` and ``tests.evidence`` share: options, choosing, measuring."""

from __future__ import annotations

import argparse
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor
from importlib import import_module
from itertools import groupby, repeat
from multiprocessing import get_context
from typing import Any, TypeVar

__all__ = ["chosen", "measured", "options"]

Line = TypeVar("Line")
Size = TypeVar("Size")
Result = TypeVar("Result")


def options(lines: str, small: int, wrong: str, *, seed: int) -> argparse.ArgumentParser:
    """Return a parser of the common options: `lines` is the plural of what a table has."""
    parser = argparse.ArgumentParser()
    parser.add_argument(
        "names", nargs="*", help=f"names of {lines} or their beginnings (default: all)"
    )
    parser.add_argument("--list", action="store_true", help=f"show the {lines} and run none")
    parser.add_argument("--small", action="store_true", help=f"{small} times fewer networks")
    parser.add_argument("--wrong", action="store_true", help=f"{wrong} instead: all must fail")
    text = f"seed of the simulations (default: {seed})"
    parser.add_argument("--seed", type=int, default=seed, help=text)
    parser.add_argument("--jobs", type=int, default=1, help="processes (default: 1)")
    return parser


def chosen(register: Mapping[str, Line], names: Sequence[str]) -> list[Line]:
    """Return the lines of these names, or whose names begin with them."""
    return [
        line
        for name, line in register.items()
        if not names
        or any(name == given if given in register else name.startswith(given) for given in names)
    ]


def measured(
    measure: Callable[[str, Size], Result],
    module: str,
    names: Sequence[str],
    effort: Size,
    jobs: int,
    together: Callable[[str], str] = str,
) -> Iterator[Result]:
    """Yield the results in order, each as soon as it is there.

    One process measures neighbours for which `together` is the same.

    `measure` is a function of a module, which processes import: what runs as a command is not known
    to them by its own name.
    """
    if jobs == 1:
        yield from (measure(name, effort) for name in names)
        return
    with ProcessPoolExecutor(jobs, get_context("spawn")) as pool:
        groups = [list(group) for _, group in groupby(names, together)]
        found = repeat(module), repeat(measure.__name__), groups, repeat(effort)
        for results in pool.map(_measured_there, *found):
            yield from results


def _measured_there(module: str, function: str, names: list[str], effort: object) -> list[Any]:
    measure = getattr(import_module(module), function)
    return [measure(name, effort) for name in names]
