"""Errors as the user sees them: one line on stderr and an exit code, never a traceback."""

from __future__ import annotations

import os
from collections.abc import Sequence

import typer

from simcore.errors import InputError, SimcoreError, folder_is_gone

INTERRUPTED = 130
"""Exit code after SIGINT, as a shell has it."""

FOLDER_GONE = "the current folder is gone: change to another one, and try again"

LONGEST_VALUE = 80

# Newer versions of Typer carry their own copy of click, so its base of usage errors is found here.
_UsageError: type[Exception] = typer.BadParameter.__bases__[0]


class CommandError(SimcoreError):
    """An error whose text is ready for the user, and its exit code."""

    def __init__(self, text: str, exit_code: int) -> None:
        super().__init__(text)
        self.exit_code = exit_code


def shorten(text: str) -> str:
    """Return a typed value fit for a line: no line breaks, no more than 80 characters."""
    text = " ".join(text.split())
    return text if len(text) <= LONGEST_VALUE else f"{text[:LONGEST_VALUE]}..."


def run_app(app: typer.Typer, program: str, arguments: Sequence[str]) -> int:
    """Run a Typer application and return the exit code.

    A usage error, and every error that simcore raises on purpose, becomes one line on stderr.
    """
    # Figures go to files alone: a notebook's backend, which may not be installed, is not for them.
    os.environ["MPLBACKEND"] = "agg"
    try:
        code = app(args=list(arguments), prog_name=program, standalone_mode=False)
    except SimcoreError as error:
        return fail(str(error), error.exit_code)
    except _UsageError as error:
        text = error.format_message()  # type: ignore[attr-defined]
        context = getattr(error, "ctx", None)
        command = _command(app, program, arguments) if context is None else context.command_path
        return fail(f"{text.rstrip('.')}. See {command} --help.", InputError.exit_code)
    except typer.Abort:
        return INTERRUPTED
    except FileNotFoundError:
        if not folder_is_gone():
            raise
        return fail("stopped", 1)  # by Numba, which compiles in no such folder
    except MemoryError:
        return fail("not enough memory; take fewer points, layers or --keep", 1)
    return code if isinstance(code, int) else 0


def _command(app: typer.Typer, program: str, arguments: Sequence[str]) -> str:
    """Return the name of the command that the first of the arguments call."""
    named: object = typer.main.get_command(app)
    words = [program]
    for word in arguments:
        named = getattr(named, "commands", {}).get(word)
        if named is None:
            break
        words.append(word)
    return " ".join(words)


def fail(text: str, code: int) -> int:
    """Print one line on stderr, also if the current folder is gone; return the exit code."""
    told = f"{text.rstrip('.')} ({FOLDER_GONE})" if folder_is_gone() else text
    typer.echo(" ".join(told.split()), err=True)
    return code
