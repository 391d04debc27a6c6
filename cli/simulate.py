"""The command `simulate`: one run, from the options to the table of its results.

Only what `--help` needs is imported here; NumPy, h5py and Numba come when a run is certain.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence

import typer

from simcore.errors import InputError

from .config import Given, named, with_config
from .errors import fail, run_app
from .options import SIMULATE, Version, accepts
from .signals import ignore_checkpoint_requests
from .streams import lost_output, protect

HELP = """\
Simulate how signals propagate through random ReLU networks.

Every trial draws a new network and follows a pair of inputs through it, layer by layer, or all \
inputs of a file. Means, errors, histograms and the mean-field prediction go to one HDF5 file.
"""

EPILOG = """\
[bold]VALUES[/bold] are one value, a list (0,1,inf) or a range start:stop:count (1.2:1.6:9), both \
ends included. Several give a grid: every combination is simulated.

[bold]Examples[/bold]

simulate --width 4096 --depth 200

simulate --width 4096 --depth 200 --k 0,1,inf --trials 10000 -o k.h5

simulate --width 128,256,512,1024 --depth 50 --k -0.5 --distance 1e-20

simulate --width 1024 --depth 100 --k 1 --sigma-w 1.2:1.6:9 --sigma-b 0.3 --dry-run

simulate --width 1024 --depth 50 --ensemble raai --k 10 --inputs data/digits.h5 --trials 200

simulate --width 256 --depth 50 --weights rademacher --trials 200
"""

WORDS_ALONE = frozenset(("--dry-run", "--version", "--help", "-h"))
"""Options with which standard output is all that is made."""

app = typer.Typer(pretty_exceptions_enable=False, rich_markup_mode="rich")


@app.command(help=HELP, epilog=EPILOG, context_settings={"help_option_names": ["-h", "--help"]})
@accepts(SIMULATE, version=Version)
def simulate(**parameters: str | bool | None) -> int:
    """Run one simulation; the parameters are those of `options`, all as text."""
    given = Given.typed(parameters)
    try:
        given = with_config(given, parameters)
        from .execution import perform
        from .request import build_request

        return perform(build_request(given))
    except InputError as error:
        raise named(error, given, parameters) from error


def main(arguments: Sequence[str] | None = None) -> int:
    """Run `simulate` with the given arguments (those of the process by default).

    Returns
    -------
    int
        The exit code.
    """
    ignore_checkpoint_requests()
    if arguments is None:
        protect()
    given = sys.argv[1:] if arguments is None else arguments
    code = run_app(app, "simulate", given)
    lost = "" if code or WORDS_ALONE.isdisjoint(given) else lost_output()
    return fail(lost, 1) if lost else code


if __name__ == "__main__":
    sys.exit(main())
