"""What was run, in words and in a table."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from .command import repeating_command
from .points import number
from .sources import Source

__all__ = ["described", "known_provenance", "provenance_of", "summary_of"]

ENSEMBLES = {
    "he": "independent Gaussian weights of variance σ_w²/n at fan-in n",
    "correlated": "Gaussian weights; those of a node have covariance (σ_w²/n)(I − g J/n), "
    "g = k/(1 + k), J all ones",
    "rai": "Gaussian weights and bias of variance σ_w²/n, one of the n + 1 of each node replaced "
    "by a Beta(2, 1) draw",
    "raai": "as rai, the weights first drawn with covariance (σ_w²/n)(I − g J/n), g = k/(1 + k)",
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
        rows.append(("N", listed(config["width"]), "nodes of every layer"))
    rows.append(("L", str(config["depth"]), "layers"))
    if config["ensemble"] in ("correlated", "raai"):
        meaning = (
            "correlation of a node's weights: positive anti-correlates them, ∞ makes them sum to "
            "zero"
        )
        rows.append(("k", listed(config["k"]), meaning))
    rows.append(_weight_scale(config))
    rows.append(_bias_scale(config))
    if config["weights"] != "normal":
        rows.append(("weights", config["weights"], "law of the weights, with the same covariance"))
    rows += _inputs(config)
    least, most = source.facts["trials_done"]
    done = str(most) if least == most else f"{least} to {most}"
    rows.append(
        ("networks", done, "independent networks (trials) per point; each draws its own inputs")
    )
    rows.append(
        ("seed", str(config["seed"]), "the same seed gives the same numbers, to the last bit")
    )
    sampler = {
        "gram": "gram: each layer is drawn from its exact finite-width law given the layer before",
        "dense": "dense: every weight is drawn",
    }
    rows.append(("sampler", config["sampler"], sampler.get(config["sampler"], "")))
    return rows


def _weight_scale(config: Mapping[str, Any]) -> tuple[str, str, str]:
    given = config["sigma_w"]
    if isinstance(given, list):
        return ("σ_w", listed(given), "weight scale (standard deviation of a weight times √n)")
    found = listed([scale for _, scale in config["sigma_w_of_k"]])
    if config["ensemble"] in ("rai", "raai") and given is None:
        return ("σ_w", found, "weight scale, the published value")
    return ("σ_w", found, "weight scale, the value that preserves the norm: σ_w² = 2π/(π − g)")


def _bias_scale(config: Mapping[str, Any]) -> tuple[str, str, str]:
    if config["sigma_b"] is None:
        return ("σ_b", "σ_w/√n", "standard deviation of the biases")
    return ("σ_b", listed(config["sigma_b"]), "standard deviation of the biases")


def _inputs(config: Mapping[str, Any]) -> list[tuple[str, str, str]]:
    inputs = config["inputs"]
    if inputs is not None:
        value = f"{inputs['count']} of {inputs['size']} components"
        meaning = f"from a file, SHA-256 {inputs['digest'][:16]}…; {config['pairs']} pairs of them"
        return [("inputs", value, f"{meaning} are followed")]
    rows = []
    if config["correlation"] is not None:
        rows.append(
            ("c₀", listed(config["correlation"]), "correlation of the two inputs of a pair")
        )
    else:
        rows.append(("1 − c₀", listed(config["distance"]), "1 − correlation of the two inputs"))
    rows.append(("q₀", listed(config["q0"]), "mean square of each input"))
    return rows


def listed(values: Sequence[Any]) -> str:
    """Return values as they are read; of many the ends and how many they are."""
    shown = [number(float(x)) for x in values]
    if len(shown) <= MOST_LISTED:
        return ", ".join(shown)
    return f"{shown[0]}, {shown[1]}, … {shown[-1]} ({len(shown)} values)"


def _profile(widths: Sequence[int]) -> str:
    if len(widths) <= MOST_LISTED:
        return ", ".join(map(str, widths))
    return f"{', '.join(map(str, widths[:6]))}, … {widths[-1]}"


def provenance_of(source: Source) -> dict[str, Any]:
    """Return where a file came from, and the command that repeats it."""
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
    """Return name and value of what is known of where a file came from."""
    return [
        (label, str(provenance[name]))
        for name, label in PROVENANCE.items()
        if str(provenance.get(name, "unknown")) not in ("unknown", "")
    ]
