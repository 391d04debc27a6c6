"""Description of a run, in words and in a table."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from simcore.figures.style import plain_number
from simcore.physics.ensembles import ASYMMETRIC, WITHOUT_K

from .command import repeating_command
from .points import parameter_label as symbol
from .sources import Source

ENSEMBLES = {
    "he": "independent Gaussian weights of variance σ_w²/n at fan-in n",
    "correlated": "Gaussian weights; those of a node have covariance (σ_w²/n)(I − g J/n), "
    "g = k/(1 + k), J all ones",
    "rai": "Gaussian weights and bias of variance σ_w²/n, one of the n + 1 of each node replaced "
    "by a Beta(2, 1) draw",
    "raai": "as rai, the weights first drawn with covariance (σ_w²/n)(I − g J/n), g = k/(1 + k)",
}

SAMPLERS = {
    "gram": "each layer is drawn from its exact finite-width law given the layer before",
    "dense": "every weight is drawn",
}

MOST_LISTED = 12
"""Values of a parameter that are listed one by one."""

PROVENANCE = {
    "command_line": "command that wrote the file",
    "time": "written (UTC)",
    "host": "host",
    "simcore_version": "simcore",
    "git_sha": "commit",
    "python_version": "Python",
    "numba_version": "Numba",
    "numpy_version": "NumPy",
    "hdf5_version": "HDF5",
    "platform": "platform",
    "cpu": "processor",
    "torch_version": "PyTorch",
    "device": "device",
    "threads": "threads",
}


def summary_of(source: Source) -> str:
    """Return one sentence about a run."""
    config, facts = source.config, source.facts
    least, most = facts["trials_done"]
    done = f"{most:,}" if least == most else f"{least:,} to {most:,}"
    widths = config["layer_widths"]
    width = "widths that differ by layer" if widths else f"width N = {listed(config['width'])}"
    points = facts["points"]
    grid = "" if points == 1 else f" at each of {points:,} points of a grid"
    pairs = f"{config['pairs']} pairs" if config["shared_network"] else "a pair"
    if config["inputs"] is not None:
        pairs = f"{config['inputs']['count']} inputs of a file"
    return (
        f"{done} independent random ReLU networks of {width} and depth L = {config['depth']}{grid}"
        f", each with {pairs} of input signals."
    )


def described(source: Source) -> list[tuple[str, str, str]]:
    """Return symbol, value and meaning of what defines a run."""
    config = source.config
    rows = [("ensemble", config["ensemble"], ENSEMBLES[config["ensemble"]])]
    if config["layer_widths"]:
        rows.append(("N_l", _profile(config["layer_widths"]), "nodes of each layer"))
    else:
        rows.append((symbol("width"), listed(config["width"]), "nodes of every layer"))
    rows.append(("L", str(config["depth"]), "layers"))
    if config["ensemble"] not in WITHOUT_K:
        meaning = (
            "correlation of a node's weights: positive anti-correlates them, ∞ makes them sum to "
            "zero"
        )
        rows.append((symbol("k"), listed(config["k"]), meaning))
    rows += [_weight_scale(config), _bias_scale(config)]
    if config["weights"] != "normal":
        rows.append(("weights", config["weights"], "law of the weights, with the same covariance"))
    if config.get("slopes"):
        rows.append(("s₊, s₋", config["slopes"], "slopes of the activation above and below 0"))
    if config.get("negative_slope"):
        meaning = "slope of the activation below 0; it is 1 above"
        rows.append((symbol("negative_slope"), listed(config["negative_slope"]), meaning))
    return rows + _inputs(config) + _statistics(source)


def _weight_scale(config: Mapping[str, Any]) -> tuple[str, str, str]:
    given, asymmetric = config["sigma_w"], config["ensemble"] in ASYMMETRIC
    if isinstance(given, list):
        value, meaning = listed(given), "weight scale (standard deviation of a weight times √n)"
    elif config["sigma_w_of_k"] is None:
        value = "1/√(A(1 − ηg/π))"
        meaning = "weight scale, the value that preserves the norm without bias, with "
        meaning += "A = (s₊² + s₋²)/2 and η = (s₊ − s₋)²/(s₊² + s₋²)"
    else:
        value = listed([scale for _, scale in config["sigma_w_of_k"]])
        biased = any(config["sigma_b"] or ())
        meaning = "weight scale, " + (
            "the published value"
            if asymmetric and given is None
            else "the value that preserves the norm at great depth, found numerically"
            if asymmetric
            else "the value that preserves the norm without bias: σ_w² = 2π/(π − g)"
            if biased
            else "the value that preserves the norm: σ_w² = 2π/(π − g)"
        )
    return symbol("sigma_w"), value, meaning


def _bias_scale(config: Mapping[str, Any]) -> tuple[str, str, str]:
    follows = config["sigma_b"] is None or isinstance(config["sigma_b"], str)
    value = "σ_w/√n" if follows else listed(config["sigma_b"])
    return symbol("sigma_b"), value, "standard deviation of the biases"


def _inputs(config: Mapping[str, Any]) -> list[tuple[str, str, str]]:
    inputs = config["inputs"]
    if inputs is not None:
        value = f"{inputs['count']} of {inputs['size']} components"
        meaning = f"from a file, SHA-256 {inputs['digest'][:16]}…; {config['pairs']} pairs of them"
        return [("inputs", value, f"{meaning} are followed")]
    overlap, start = ("overlap", config["correlation"]), "correlation of the two inputs of a pair"
    if overlap[1] is None:
        overlap, start = ("initial_distance", config["distance"]), "1 − correlation of the inputs"
    return [
        (symbol(overlap[0]), listed(overlap[1]), start),
        (symbol("q0"), listed(config["q0"]), "mean square of each input"),
    ]


def _statistics(source: Source) -> list[tuple[str, str, str]]:
    config, (least, most) = source.config, source.facts["trials_done"]
    done = str(most) if least == most else f"{least} to {most}"
    return [
        ("networks", done, "independent networks (trials) per point; each draws its own inputs"),
        ("seed", str(config["seed"]), "the same seed gives the same numbers, to the last bit"),
        ("sampler", config["sampler"], SAMPLERS.get(config["sampler"], "")),
    ]


def listed(values: Sequence[Any]) -> str:
    """Return values as a list; of many the ends and their number."""
    shown = [plain_number(float(x)) for x in values]
    if len(shown) <= MOST_LISTED:
        return ", ".join(shown)
    return f"{shown[0]}, {shown[1]}, … {shown[-1]} ({len(shown)} values)"


def _profile(widths: Sequence[int]) -> str:
    if len(widths) <= MOST_LISTED:
        return ", ".join(map(str, widths))
    return f"{', '.join(map(str, widths[:6]))}, … {widths[-1]}"


def provenance_of(source: Source) -> dict[str, Any]:
    """Return the provenance of a file, and the command that repeats it."""
    facts = source.facts
    return {
        "file": source.path.name,
        "rows": [
            *known_provenance(facts["provenance"]),
            ("format", f"simcore-run {facts['format_version']}"),
            ("configuration", f"SHA-256 {facts['config_sha256']}"),
        ],
        "command": repeating_command(source.config, source.path.name),
        "inputs": source.config["inputs"] is not None,
    }


def known_provenance(provenance: Mapping[str, Any]) -> list[tuple[str, str]]:
    """Return names and values of the known parts of a file's provenance."""
    return [
        (label, str(provenance[name]))
        for name, label in PROVENANCE.items()
        if str(provenance.get(name, "unknown")) not in ("unknown", "")
    ]
