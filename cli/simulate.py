"""The command `simulate`: one run, from the options to the table of its results.

Only what `--help` needs is imported here; NumPy, h5py and Numba come when a run is certain.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence

import typer

from simcore.errors import InputError

from . import options
from .config import Given, named, with_config
from .errors import run_app
from .signals import ignore_checkpoint_requests

__all__ = ["app", "main"]

app = typer.Typer(add_completion=False, pretty_exceptions_enable=False, rich_markup_mode="rich")


@app.command(
    help=options.HELP,
    epilog=options.EPILOG,
    context_settings={"help_option_names": ["-h", "--help"]},
)
def simulate(
    width: options.Width = None,
    depth: options.Depth = None,
    widths: options.Widths = None,
    ensemble: options.Ensemble = None,
    k: options.K = None,
    sigma_w: options.SigmaW = None,
    sigma_b: options.SigmaB = None,
    correlation: options.Correlation = None,
    distance: options.Distance = None,
    q0: options.Q0 = None,
    shared_network: options.SharedNetwork = False,
    pairs: options.Pairs = None,
    inputs: options.Inputs = None,
    trials: options.Trials = None,
    until_stderr: options.UntilStderr = None,
    first_trial: options.FirstTrial = None,
    keep: options.Keep = None,
    bins: options.Bins = None,
    seed: options.Seed = None,
    sampler: options.Sampler = None,
    weights: options.Weights = None,
    device: options.Device = None,
    threads: options.Threads = None,
    scheduler: options.Scheduler = None,
    checkpoint: options.Checkpoint = None,
    output: options.Output = None,
    overwrite: options.Overwrite = False,
    dry_run: options.DryRun = False,
    quiet: options.Quiet = False,
    json: options.Json = False,
    log_json: options.LogJson = None,
    config: options.Config = None,
    version: options.Version = False,
) -> int:
    """Run one simulation; the parameters are those of `options`, all as text."""
    parameters = locals()
    given = Given.typed(parameters)
    try:
        given = with_config(given, parameters)
        from .request import build_request

        request = build_request(given)
        from .execution import perform

        return perform(request)
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
    return run_app(app, "simulate", sys.argv[1:] if arguments is None else arguments)


if __name__ == "__main__":
    sys.exit(main())
