"""Which runs have controlled values, and what is said of the others."""

from __future__ import annotations

from typing import Any

import pytest

from simcore.errors import InputError
from simcore.physics.observables import CONTROLLED, GRADIENT_CONTROLLED
from simcore.runs.controls import in_words
from simcore.runs.run import Run

BOTH = ("dead_network_both",)
EACH = ("dead_network1", "dead_network2", "dead_network_both")


@pytest.mark.parametrize(
    ("options", "names", "words"),
    [
        ({}, CONTROLLED + BOTH, "inactive_both, dead_network_both; exact at any width: the theory"),
        (
            {"gradients": True},
            CONTROLLED + BOTH,
            "; theory_1n of log_gradient1, log_gradient2, wei",
        ),
        (
            {"gradients": True, "k": (0.0, 1.0)},
            CONTROLLED + BOTH + GRADIENT_CONTROLLED,
            "dead_network_both, log_gradient1, log_gradient2; exact at any width",
        ),
        ({"gradients": True, "k": (1.0,), "width": (8,)}, BOTH + GRADIENT_CONTROLLED, "no others"),
        (
            {"gradients": True, "k": (1.0,), "shared_network": True},
            CONTROLLED + BOTH,
            "; none of gradients: the noise of their nodes is known only for pairs",
        ),
        (
            {"gradients": True},
            CONTROLLED + BOTH,
            "; none of gradients: means over independent weights are known exactly",
        ),
        ({"width": (3, 64)}, CONTROLLED + BOTH, "q1, q2"),
        ({"width": (8,)}, BOTH, "dead_network_both; no others: a network of this width dies"),
        ({"width": (8,)}, BOTH, "exact at any width: the theory of dead_network1, dead_network2"),
        ({"device": "cuda"}, CONTROLLED + BOTH, "dead_network_both; exact"),
        (
            {"ensemble": "rai"},
            EACH,
            "dead_network2, dead_network_both; no others: the node averages of rai",
        ),
        (
            {"ensemble": "raai", "k": (1.0,)},
            EACH,
            "dead_network2, dead_network_both; no",
        ),
        (
            {"ensemble": "rai", "device": "cuda"},
            EACH,
            "dead_network2, dead_network_both; no",
        ),
        ({"ensemble": "rai", "sampler": "dense"}, EACH, "dead_network2, dead_network_both; no"),
        ({"ensemble": "rai", "controls": "off"}, (), "none: turned off"),
        ({"controls": False}, (), "none: turned off"),
        ({"sampler": "dense"}, CONTROLLED + BOTH, "dead_network_both; exact"),
        ({"shared_network": True, "device": "cuda"}, CONTROLLED + BOTH, "dead_network_both; dead_"),
        ({"weights": "uniform"}, (), "none: the node averages of uniform weights"),
        ({"weights": "uniform"}, (), "; dead networks are counted: sums of uniform weights have"),
        ({"shared_network": True}, CONTROLLED + BOTH, "dead_network_all is counted: that of many"),
        ({"shared_network": True, "ensemble": "rai"}, EACH, "dead_network2, dead_network_both; no"),
        ({"shared_network": True, "width": (8,)}, BOTH, "dead_network_both; no others: a network"),
    ],
)
def test_columns_and_words(options: dict[str, Any], names: tuple[str, ...], words: str) -> None:
    given: dict[str, Any] = {"depth": 3, "width": (64,)}
    run = Run(**given | options)
    assert run.columns.controlled == names
    assert run.controls == bool(names)
    assert words in in_words(run)
    assert Run.from_config(run.config()).columns == run.columns


def test_earlier_files_go_on_without() -> None:
    for ensemble in ("he", "rai"):
        config = Run(depth=3, width=(8,), ensemble=ensemble).config()
        assert config.pop("controls")
        assert Run.from_config(config).columns.controlled == ()


def test_controls_that_cannot_be_on_are_refused() -> None:
    with pytest.raises(InputError, match="controls = on: has no meaning here: the node averages"):
        Run(depth=3, width=(8,), sampler="dense", weights="uniform", controls="on")
    assert Run(depth=3, width=(8,), ensemble="rai", controls="on").controls
