"""The options of `simulate`: names, help and panels. Values stay text until `request` reads them.

The defaults are shown here as text, because reading them from `simcore.runs.run` would import NumPy
before the help is printed; a test holds the two together.
"""

from __future__ import annotations

from typing import Annotated, Any

import typer

__all__ = ["EPILOG", "HELP"]

NETWORK = "Network"
SIGNALS = "Signals"
STATISTICS = "Statistics"
COMPUTING = "Computing"
OUTPUT = "Output"

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


def _option(*names: str, panel: str, text: str, metavar: str = "") -> Any:
    """Return a Typer option whose help is `text` alone; a flag has no metavar."""
    return typer.Option(
        *names, help=text, metavar=metavar, rich_help_panel=panel, show_default=False
    )


def _show_version(value: bool) -> None:
    if value:
        from importlib.metadata import version

        typer.echo(f"simcore {version('simcore')}")
        raise typer.Exit


Width = Annotated[
    str | None,
    _option("--width", panel=NETWORK, metavar="VALUES", text="Nodes of every layer."),
]
Depth = Annotated[
    str | None, _option("--depth", panel=NETWORK, metavar="N", text="Number of layers.")
]
Widths = Annotated[
    str | None,
    _option(
        "--widths",
        panel=NETWORK,
        metavar="LIST",
        text="Nodes of each layer, instead of --width: 784,512x9 is 784, then nine times 512.",
    ),
]
Ensemble = Annotated[
    str | None,
    _option(
        "--ensemble",
        panel=NETWORK,
        metavar="NAME",
        text="Law of the weights: he (independent), correlated (a node's weights are correlated "
        "with strength --k), rai and raai (the same two with one weight or the bias of each node "
        "replaced by a positive draw). Default: he; correlated where --k is given.",
    ),
]
K = Annotated[
    str | None,
    _option(
        "--k",
        panel=NETWORK,
        metavar="VALUES",
        text="Correlation of a node's weights, above -1: positive anti-correlates them, inf makes "
        "them sum to zero.",
    ),
]
SigmaW = Annotated[
    str | None,
    _option(
        "--sigma-w",
        panel=NETWORK,
        metavar="VALUES",
        text="Weight scale, a standard deviation: a weight has variance sigma_w^2/n at fan-in n. "
        "Default: critical, the value that preserves the norm; 0.6007 for rai and raai.",
    ),
]
SigmaB = Annotated[
    str | None,
    _option(
        "--sigma-b",
        panel=NETWORK,
        metavar="VALUES",
        text="Standard deviation of the biases. Default: 0; sigma_w/sqrt(n) for rai and raai.",
    ),
]
Correlation = Annotated[
    str | None,
    _option(
        "--correlation",
        panel=SIGNALS,
        metavar="VALUES",
        text="Overlap c0 of the two inputs, -1 to 1. Default: 0.5.",
    ),
]
Distance = Annotated[
    str | None,
    _option(
        "--distance",
        panel=SIGNALS,
        metavar="VALUES",
        text="1 - c0, instead of --correlation; for pairs closer than 1e-16, too.",
    ),
]
Q0 = Annotated[
    str | None,
    _option("--q0", panel=SIGNALS, metavar="VALUES", text="Mean square of each input. Default: 1."),
]
SharedNetwork = Annotated[
    bool,
    _option(
        "--shared-network",
        panel=SIGNALS,
        text="Send --pairs random pairs through each network; --correlation then gives each pair "
        "its overlap, or all of them the same.",
    ),
]
Pairs = Annotated[
    str | None,
    _option(
        "--pairs",
        panel=SIGNALS,
        metavar="N",
        text="Pairs through one network. With --inputs: how many pairs of inputs are followed, "
        "drawn by the seed (default: 64, or all), or a file that lists them.",
    ),
]
Inputs = Annotated[
    str | None,
    _option(
        "--inputs",
        panel=SIGNALS,
        metavar="FILE",
        text="Inputs that all go through each network: a .npy, .npz, .h5 or .csv file whose rows "
        "are inputs; FILE:DATASET names an array in it.",
    ),
]
Trials = Annotated[
    str | None,
    _option(
        "--trials",
        panel=STATISTICS,
        metavar="N",
        text="Independent networks per point of the grid. Default: 1000.",
    ),
]
UntilStderr = Annotated[
    str | None,
    _option(
        "--until-stderr",
        panel=STATISTICS,
        metavar="ERROR",
        text="End a point once the standard error of its mean correlation is ERROR or less at "
        "every layer; looked at after 256, 512, 1024, ... trials. --trials then is the most that "
        "a point may have. Default of that: 1000000.",
    ),
]
FirstTrial = Annotated[
    str | None,
    _option(
        "--first-trial",
        panel=STATISTICS,
        metavar="N",
        text="Number of the first trial, a multiple of 64, for runs in pieces. Default: 0.",
    ),
]
Keep = Annotated[
    str | None,
    _option(
        "--keep",
        panel=STATISTICS,
        metavar="N",
        text="Trials whose whole trajectory is kept. Default: 100.",
    ),
]
Bins = Annotated[
    str | None,
    _option("--bins", panel=STATISTICS, metavar="N", text="Bins of a histogram. Default: 62."),
]
Seed = Annotated[
    str | None,
    _option(
        "--seed",
        panel=STATISTICS,
        metavar="N",
        text="Seed; the same seed gives the same numbers on any number of threads. Default: 0.",
    ),
]
Sampler = Annotated[
    str | None,
    _option(
        "--sampler",
        panel=COMPUTING,
        metavar="NAME",
        text="gram (layers drawn from their exact law, without weight matrices), dense (every "
        "weight drawn) or auto, the cheaper one. Default: auto.",
    ),
]
Weights = Annotated[
    str | None,
    _option(
        "--weights",
        panel=COMPUTING,
        metavar="NAME",
        text="Distribution of the weights: normal, uniform, rademacher, laplace, student:NU with "
        "NU > 4, or bernoulli:P (normal ones, all but a share P of them zero). Default: normal.",
    ),
]
Device = Annotated[
    str | None,
    _option(
        "--device",
        panel=COMPUTING,
        metavar="NAME",
        text="cpu, cuda (a GPU; needs simcore\\[cuda13] or \\[cuda12]) or auto: cuda where this "
        "machine can and no cluster simulates, cpu elsewhere. Default: auto.",
    ),
]
Threads = Annotated[
    str | None,
    _option(
        "--threads",
        panel=COMPUTING,
        metavar="N",
        text="Threads. Default: what the affinity mask, the cgroup and Slurm grant.",
    ),
]
Checkpoint = Annotated[
    str | None,
    _option(
        "--checkpoint",
        panel=COMPUTING,
        metavar="SECONDS",
        text="Time between checkpoints of the file. Default: 30.",
    ),
]
Scheduler = Annotated[
    str | None,
    _option(
        "--scheduler",
        panel=COMPUTING,
        metavar="ADDRESS",
        text="Dask cluster that simulates: tcp://HOST:PORT, the file that dask scheduler wrote, or "
        "local:N for N processes of this machine. Needs simcore\\[distributed].",
    ),
]
LogJson = Annotated[
    str | None,
    _option(
        "--log-json",
        panel=OUTPUT,
        metavar="FILE",
        text="Append what happens to a file, as lines of JSON: tasks, workers, seconds.",
    ),
]
Output = Annotated[
    str | None,
    _option(
        "-o",
        "--output",
        panel=OUTPUT,
        metavar="FILE",
        text="HDF5 file to write. Default: a name made of the configuration, in this folder.",
    ),
]
Overwrite = Annotated[
    bool, _option("--overwrite", panel=OUTPUT, text="Replace the file if it exists.")
]
DryRun = Annotated[
    bool, _option("--dry-run", panel=OUTPUT, text="Show what would be simulated, and stop.")
]
Quiet = Annotated[bool, _option("--quiet", panel=OUTPUT, text="Print nothing but errors.")]
Json = Annotated[bool, _option("--json", panel=OUTPUT, text="Print the result as one JSON object.")]
Config = Annotated[
    str | None,
    _option(
        "--config",
        panel=OUTPUT,
        metavar="FILE",
        text="TOML file of these options (sigma-w = 1.5); the command line wins.",
    ),
]
Version = Annotated[
    bool,
    typer.Option(
        "--version", help="Show the version and exit.", callback=_show_version, is_eager=True
    ),
]
