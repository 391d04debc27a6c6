"""The register of words: what tables, figures and files take from it."""

from __future__ import annotations

import pytest

from simcore.physics.observables import BY_NAME, GRADIENTS, NETWORK, OBSERVABLES
from simcore.physics.parameters import PARAMETERS


@pytest.mark.parametrize(
    ("name", "column", "tex", "label"),
    [
        ("correlation", "c", "$c$", "correlation $c$"),
        ("distance", "1-c", "$1 - c$", "distance $1 - c$"),
        ("log_distance", "ln(1-c)", r"$\ln(1 - c)$", r"$\ln(1 - c)$"),
        ("log_q1", "ln q", r"$\ln q_1$", "ln q of signal 1"),
        ("angle", "angle", r"$\theta$", r"angle $\theta$"),
        (
            "log_gradient1",
            "ln grad",
            r"$\ln |\delta _1|^2$",
            r"gradient of signal 1, $\ln |\delta _1|^2$",
        ),
        ("tangent12", "tangent12", r"$\Theta _{12}$", r"tangent kernel $\Theta _{12}$"),
        ("inactive_both", "both", "inactive nodes, both signals", "inactive nodes, both signals"),
    ],
)
def test_one_symbol_in_three_scripts(name: str, column: str, tex: str, label: str) -> None:
    observable = BY_NAME[name]
    assert (observable.column, observable.tex, observable.tex_label) == (column, tex, label)


def test_every_observable_is_in_the_register_once() -> None:
    assert list(BY_NAME) == [o.name for o in OBSERVABLES + GRADIENTS + NETWORK]
    assert all(o.long_name and o.label for o in BY_NAME.values())
    assert len({o.label for o in BY_NAME.values()}) == len(BY_NAME)


def test_symbols_of_parameters() -> None:
    assert {name: p.tex for name, p in PARAMETERS.items()} == {
        "width": "$N$",
        "k": "$k$",
        "g": "$g$",
        "sigma_w": r"$\sigma_w$",
        "sigma_b": r"$\sigma_b$",
        "positive_slope": "$s_+$",
        "negative_slope": "$s_-$",
        "overlap": "$c_0$",
        "initial_distance": "$1 - c_0$",
        "q0": "$q_0$",
        "pair": "pair",
    }
