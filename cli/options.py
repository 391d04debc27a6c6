"""Options of the commands, written as their help reads; `request` makes values of the texts.

The defaults are shown here as text, because reading them from the run's description would import
NumPy before the help is printed; a test holds the two together.
"""

from __future__ import annotations

import inspect
import re
from collections.abc import Callable, Mapping
from typing import Annotated, Any, NamedTuple, TypeVar, get_args

import typer

Function = TypeVar("Function", bound=Callable[..., Any])

NETWORK = "Network"
SIGNALS = "Signals"
STATISTICS = "Statistics"
COMPUTING = "Computing"
OUTPUT = "Output"

SHORT = {"output": "-o"}


class Option(NamedTuple):
    """An option: its name, the panel of the help that shows it, and its help.

    Without a metavar it is a flag.
    """

    name: str
    panel: str
    metavar: str
    text: str

    @property
    def parameter(self) -> str:
        """Name of the parameter of the command: sigma_w of --sigma-w."""
        return self.name.replace("-", "_")

    def info(self) -> Any:
        """Return the option as Typer takes it."""
        names = [SHORT[self.name]] if self.name in SHORT else []
        return typer.Option(
            *names,
            f"--{self.name}",
            help=self.text,
            metavar=self.metavar,
            rich_help_panel=self.panel,
            show_default=False,
        )


def option_table(text: str) -> dict[str, Option]:
    """Read options, by parameter name, from a text of panels.

    A panel is a line; under it stand its options, as ``name METAVAR: help``, indented by two
    spaces; a help goes on in lines that are indented further.
    """
    options: dict[str, Option] = {}
    panel = ""
    for entry in re.split(r"\n(?!    )", text.strip()):
        words = " ".join(entry.split())
        if not entry.startswith("  "):
            panel = words
            continue
        head, told = words.split(": ", 1)
        name, _, metavar = head.partition(" ")
        option = Option(name, panel, metavar, told)
        options[option.parameter] = option
    return options


def accepts(options: Mapping[str, Option], **others: Any) -> Callable[[Function], Function]:
    """Decorate a command of keyword arguments with options, and with other annotated parameters."""
    types: dict[str, Any] = {
        name: Annotated[str | None if option.metavar else bool, option.info()]
        for name, option in options.items()
    }
    parameters = [
        inspect.Parameter(
            name,
            inspect.Parameter.KEYWORD_ONLY,
            default=_default(get_args(annotation)[0]),
            annotation=annotation,
        )
        for name, annotation in (types | others).items()
    ]

    def decorated(function: Function) -> Function:
        function.__signature__ = inspect.Signature(parameters)  # type: ignore[attr-defined]
        return function

    return decorated


def _default(kind: Any) -> Any:
    """Return the default of a parameter: a flag is off, and what may be None is left out."""
    if kind is bool:
        return False
    return None if type(None) in get_args(kind) else inspect.Parameter.empty


def _show_version(value: bool) -> None:
    if value:
        from importlib.metadata import version

        typer.echo(f"simcore {version('simcore')}")
        raise typer.Exit


SIMULATE = option_table("""\
Network
  width VALUES: Nodes of every layer.
  depth N: Number of layers.
  widths LIST: Nodes of each layer, instead of --width: 784,512x9 is 784, then nine times 512.
  ensemble NAME: Law of the weights: he (independent), correlated (a node's weights are correlated
    with strength --k), rai and raai (the same two with one weight or the bias of each node
    replaced by a positive draw). Default: he; correlated where --k is given.
  k VALUES: Strength of the correlation of a node's weights, above -1: 0 is independent, positive
    anti-correlates them, inf makes them sum to zero.
  sigma-w VALUES: Weight scale, a standard deviation: a weight has variance sigma_w^2/n at fan-in n.
    Default: critical, the value that preserves the norm; 0.6007 for rai and raai.
  sigma-b VALUES: Standard deviation of the biases; fan-in is sigma_w/sqrt(n). Default: 0; fan-in
    for rai and raai.
  slopes NAME: Slopes of the activation above and below 0: S+,S-, or relu (1,0), leaky:A (1,A), abs
    (1,-1), linear (1,1), or shaped:C+,C- (1 + C/sqrt(N)). For he and correlated. Default: relu.
  negative-slope VALUES: Slopes below 0 to sweep, with slope 1 above.
  like NAME: Weights and biases as the linear layers of a framework have them by default, instead of
    --ensemble and scales: pytorch, keras, flax or mlx. With --weights normal it is much faster, and
    different at order 1/N only.
Signals
  correlation VALUES: Overlap c0 of the two inputs, -1 to 1. Default: 0.5.
  distance VALUES: 1 - c0, instead of --correlation; for pairs closer than 1e-16, too.
  q0 VALUES: Mean square of each input. Default: 1.
  shared-network: Send --pairs random pairs through each network; --correlation then gives each pair
    its overlap, or all of them the same.
  pairs N: Pairs through one network. With --inputs: how many pairs of inputs are followed, drawn by
    the seed (default: 64, or all), or a file that lists them.
  inputs FILE: Inputs that all go through each network: a .npy, .npz, .h5 or .csv file whose rows
    are inputs; FILE:DATASET names an array in it.
Statistics
  trials N: Independent networks per point of the grid. Default: 1000.
  until-stderr ERROR: End a point once the standard error of its mean correlation is ERROR or less
    at every layer; OBSERVABLE=ERROR is of another observable, as log_q1=1e-3. A pilot of 256
    networks says how many it takes. --trials then is the most that a point may have. Default of
    that: 1000000.
  first-trial N: Number of the first trial, a multiple of 64, for runs in pieces. Default: 0.
  keep N: Trials whose whole trajectory is kept. Default: 100.
  bins N: Bins of a histogram. Default: 62.
  controls NAME: Estimate means with control variates, too: on, off, or auto, where they apply (he
    and correlated with normal weights, from about 30 nodes a layer on), and probabilities of dead
    networks from conditional ones. Default: auto.
  gradients: Follow gradients back through the networks, too: their lengths and correlation, weight
    gradients and the tangent kernel of each pair, layer by layer. It takes three times as long.
  seed N: Seed; the same seed gives the same numbers on any number of threads. Default: 0.
Computing
  sampler NAME: gram (layers drawn from their exact law, without weight matrices), dense (every
    weight drawn) or auto, the cheaper one. Default: auto.
  weights NAME: Distribution of the weights: normal, uniform, rademacher, laplace, student:NU with
    NU > 4, or bernoulli:P (normal ones, all but a share P of them zero). Default: normal.
  device NAME: cpu, cuda (a GPU; needs numba-cuda and CuPy, see simcore doctor) or auto: a GPU for
    large runs, where its kind has passed the tests, else cpu. Default: auto.
  threads N: Threads. Default: what the affinity mask, the cgroup and Slurm grant.
  scheduler ADDRESS: Dask cluster that simulates: tcp://HOST:PORT, the file that dask scheduler
    wrote, or local:N for N processes of this machine. Needs the package distributed.
  checkpoint SECONDS: Time between checkpoints of the file. Default: 30.
Output
  output FILE: HDF5 file to write. Default: a name made of the configuration, in this folder.
  overwrite: Replace the file if it exists.
  dry-run: Show what would be simulated, and stop.
  quiet: Print nothing but errors.
  json: Print the result as one JSON object.
  log-json FILE: Append what happens to a file, as lines of JSON: tasks, workers, seconds.
  config FILE: TOML file of these options (sigma-w = 1.5); the command line wins.
""")

Text = str | None

Ensemble = Annotated[Text, SIMULATE["ensemble"].info()]
K = Annotated[Text, SIMULATE["k"].info()]
SigmaW = Annotated[Text, SIMULATE["sigma_w"].info()]
SigmaB = Annotated[Text, SIMULATE["sigma_b"].info()]
Correlation = Annotated[Text, SIMULATE["correlation"].info()]
Distance = Annotated[Text, SIMULATE["distance"].info()]
Q0 = Annotated[Text, SIMULATE["q0"].info()]
Threads = Annotated[Text, SIMULATE["threads"].info()]
Scheduler = Annotated[Text, SIMULATE["scheduler"].info()]
Checkpoint = Annotated[Text, SIMULATE["checkpoint"].info()]
LogJson = Annotated[Text, SIMULATE["log_json"].info()]
Output = Annotated[Text, SIMULATE["output"].info()]
Overwrite = Annotated[bool, SIMULATE["overwrite"].info()]
Quiet = Annotated[bool, SIMULATE["quiet"].info()]
Json = Annotated[bool, SIMULATE["json"].info()]
Version = Annotated[
    bool,
    typer.Option(
        "--version", help="Show the version and exit.", callback=_show_version, is_eager=True
    ),
]
