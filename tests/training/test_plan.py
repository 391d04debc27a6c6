"""Plans: what they refuse, what they are on paper, and how learning rates are chosen."""

from __future__ import annotations

import json
import math
from typing import Any

import numpy as np
import pytest

from simcore.errors import InputError
from simcore.runs.ensemble import Ensemble
from simcore.training.agenda import Choice, choose_rate
from simcore.training.jobs import Pilots
from simcore.training.labels import Start, growth, parse_label
from simcore.training.plan import Digits, Plan, TeacherStudent, plan_from_config
from simcore.training.room import check_room


@pytest.mark.parametrize(
    ("task", "values", "field"),
    [
        (TeacherStudent, {"ensembles": ("he", "lecun")}, "ensembles"),
        (TeacherStudent, {"ensembles": ("raai",)}, "ensembles"),
        (TeacherStudent, {"ensembles": ("torch:1",)}, "ensembles"),
        (TeacherStudent, {"ensembles": ("correlated:-1",)}, "ensembles"),
        (TeacherStudent, {"ensembles": ("correlated:1", "correlated:1.0")}, "ensembles"),
        (TeacherStudent, {"ensembles": ()}, "ensembles"),
        (TeacherStudent, {"ensembles": ("he@0",)}, "ensembles"),
        (TeacherStudent, {"ensembles": ("he@1@x",)}, "ensembles"),
        (TeacherStudent, {"ensembles": ("orthogonal@1@1",)}, "ensembles"),
        (TeacherStudent, {"ensembles": ("orthogonal@critical",)}, "ensembles"),
        (TeacherStudent, {"ensembles": ("he@1.2", "he@1.20")}, "ensembles"),
        (TeacherStudent, {"teacher": "he@-1"}, "teacher"),
        (TeacherStudent, {"clip": -1.0}, "clip"),
        (TeacherStudent, {"output_scale": 0.0}, "output_scale"),
        (TeacherStudent, {"width": 1}, "width"),
        (TeacherStudent, {"inputs": 1}, "inputs"),
        (TeacherStudent, {"depth": 0}, "depth"),
        (TeacherStudent, {"batch": 2001}, "batch"),
        (TeacherStudent, {"rates": ()}, "rates"),
        (TeacherStudent, {"rates": (0.1, 0.1)}, "rates"),
        (TeacherStudent, {"rates": (0.0, 0.1)}, "rates"),
        (TeacherStudent, {"noise": math.nan}, "noise"),
        (TeacherStudent, {"noise": 1e30}, "noise"),
        (TeacherStudent, {"noise": "much"}, "noise"),
        (TeacherStudent, {"rates": 0.1}, "rates"),
        (TeacherStudent, {"rates": "0.1"}, "rates"),
        (TeacherStudent, {"ensembles": "he"}, "ensembles"),
        (TeacherStudent, {"ensembles": (Ensemble.he(),)}, "ensembles"),
        (TeacherStudent, {"teacher": "rai:2"}, "teacher"),
        (TeacherStudent, {"teacher": "he/"}, "teacher"),
        (TeacherStudent, {"ensembles": ("he/2",)}, "ensembles"),
        (TeacherStudent, {"ensembles": ("rai/0.1",)}, "ensembles"),
        (TeacherStudent, {"ensembles": ("he", "he/0")}, "ensembles"),
        (TeacherStudent, {"optimizer": "lbfgs"}, "optimizer"),
        (TeacherStudent, {"device": "tpu"}, "device"),
        (TeacherStudent, {"seeds": 2.5}, "seeds"),
        (Digits, {"samples": 1298}, "samples"),
        (Digits, {"samples": 3901, "pixels": 28}, "samples"),
        (Digits, {"pixels": 16}, "pixels"),
    ],
)
def test_what_a_plan_refuses(task: type[Plan], values: dict[str, Any], field: str) -> None:
    with pytest.raises(InputError) as refused:
        task(**values)
    assert refused.value.field == field
    assert len(str(refused.value).splitlines()) == 1


def test_a_plan_is_rebuilt_from_its_configuration() -> None:
    for plan in (
        TeacherStudent(rates=(0.1, 0.01), noise=0.5),
        TeacherStudent(ensembles=("rai@critical", "he@1.2"), clip=0.5),
        Digits(optimizer="adam", seeds=3),
        Digits(pixels=28),
    ):
        again = plan_from_config(json.loads(plan.config_json()))
        assert again == plan
        assert again.digest() == plan.digest()
    assert TeacherStudent(rates=(0.1, 0.01)).grid == (0.01, 0.1)
    counted = TeacherStudent(batch=np.int64(128), inputs=np.int64(20))  # type: ignore[arg-type]
    assert counted.digest() == TeacherStudent().digest()
    assert TeacherStudent().digest() == TeacherStudent(teacher_width=100).digest()
    assert TeacherStudent().digest() != TeacherStudent(seed=1).digest()
    # Plans without them have the configuration, and the file's name, of older versions.
    late = {"clip", "pixels", "output_scale"}
    assert not late & {*TeacherStudent().config(), *Digits().config()}
    assert late <= Digits(clip=1.0, pixels=28, output_scale=0.1).config().keys()


def test_recorded_steps_are_spaced_by_ratios_from_0_to_the_last() -> None:
    recorded = TeacherStudent(steps=1000).recorded
    assert recorded[:3] == (0, 1, 2)
    assert recorded[-1] == 1000
    assert 45 <= len(recorded) <= 61
    assert list(recorded) == sorted(set(recorded))
    assert Digits(steps=1).recorded == (0, 1)


def test_labels_are_names_with_a_k_where_the_ensemble_has_one() -> None:
    assert parse_label("ensembles", " correlated : inf ") == Start("correlated", math.inf)
    assert parse_label("ensembles", "raai:10").ensemble.k == 10.0
    assert Start("correlated", 1.0).key != Start("correlated", 2.0).key


def test_labels_have_slopes() -> None:
    start = parse_label("ensembles", "correlated:1/0.2@1.1")
    assert start == Start("correlated", 1.0, 1.1, slope=0.2)
    assert start.ensemble == Ensemble.correlated(1.0, sigma_w=1.1, slopes=(1.0, 0.2))
    assert start.key == Start("correlated", 1.0).key
    assert parse_label("ensembles", "he/0") == Start("he")
    assert parse_label("ensembles", "orthogonal/0.5").gain == pytest.approx(math.sqrt(1.6))


def test_labels_have_scales() -> None:
    assert parse_label("ensembles", "correlated:1 @ 1.41 @ 0.1") == Start(
        "correlated", 1, 1.41, 0.1
    )
    assert parse_label("ensembles", "orthogonal@1.2").gain == 1.2
    start = parse_label("ensembles", "rai@critical")
    assert start.ensemble == Ensemble.rai(sigma_w="critical")
    assert start.key == Start("rai").key


@pytest.mark.parametrize(
    ("label", "factor"),
    [
        ("he", 1.0),
        ("he@1", 0.5),
        ("correlated:inf", 1.0),
        # σ_w²/2 of the critical line, at k = 1 without its bias: 1 − 1/(2π).
        ("correlated:1@1.4142135623730951@0.1", 1.0 - 0.5 / math.pi),
        ("rai", 0.76456),  # docs/theory.md, section 4
        ("raai:1@critical", 1.0),
        ("torch", 1.0 / 6.0),
        ("orthogonal@1", 0.5),
        ("he/0.2", 1.0),
        ("he/0.2@1", 0.52),
        ("correlated:inf/-0.5", 1.0),
        ("torch/1", 1.0 / 3.0),
        ("orthogonal/0.5", 1.0),
    ],
)
def test_the_factor_of_the_mean_square(label: str, factor: float) -> None:
    assert growth(parse_label("ensembles", label)) == pytest.approx(factor, rel=1e-5)


GRID = (0.01, 0.03, 0.1)


def tried(**losses: float | None) -> dict[float, Pilots]:
    """Pilots by rate, written r0_01=…; None is diverged."""
    return {
        float(name[1:].replace("_", ".")): Pilots(math.nan, 1) if loss is None else Pilots(loss, 0)
        for name, loss in losses.items()
    }


@pytest.mark.parametrize(
    ("pilots", "choice"),
    [
        (tried(r0_01=1.0), Choice(None, (0.03, 0.1), extended=False, at_edge=False)),
        (tried(r0_01=3, r0_03=1, r0_1=2), Choice(0.03, (), extended=False, at_edge=False)),
        # The best of those at which no pilot diverged is inside: one beyond it was tried.
        (tried(r0_01=3, r0_03=1, r0_1=None), Choice(0.03, (), extended=False, at_edge=False)),
        (tried(r0_01=3, r0_03=2, r0_1=1), Choice(None, (0.3, 1.0), extended=True, at_edge=False)),
        (
            tried(r0_01=3, r0_03=2, r0_1=1, r0_3=2, r1=None),
            Choice(0.1, (), extended=True, at_edge=False),
        ),
        (
            tried(r0_01=3, r0_03=2, r0_1=1, r0_3=0.5, r1=0.2),
            Choice(1.0, (), extended=True, at_edge=True),
        ),
        (
            tried(r0_01=1, r0_03=2, r0_1=3),
            Choice(None, (0.003, 0.001), extended=True, at_edge=False),
        ),
        (
            tried(r0_01=None, r0_03=None, r0_1=None),
            Choice(None, (0.003, 0.001), extended=True, at_edge=False),
        ),
        (
            tried(r0_01=None, r0_03=None, r0_1=None, r0_003=None, r0_001=None),
            Choice(0.001, (), extended=True, at_edge=True),
        ),
    ],
)
def test_the_rule_by_which_rates_are_chosen(pilots: dict[float, Pilots], choice: Choice) -> None:
    found = choose_rate(GRID, pilots)
    assert found._replace(missing=()) == choice._replace(missing=())
    assert found.missing == pytest.approx(choice.missing)


def test_a_grid_of_one_rate_is_at_its_edge_and_not_extended() -> None:
    assert choose_rate((0.1,), tried(r0_1=1.0)) == Choice(0.1, (), extended=False, at_edge=True)


def test_a_grid_is_not_extended_beyond_the_rates_that_are_allowed() -> None:
    # PyTorch has no float32 of the second one, 1e42.
    found = {1e-12: Pilots(2.0, 0), 1e6: Pilots(1.0, 0)}
    assert choose_rate((1e-12, 1e6), found) == Choice(1e6, (), extended=False, at_edge=True)


@pytest.mark.parametrize(
    ("values", "threads", "field"),
    [
        ({}, 4096, ""),  # 30 jobs at most, however many threads there are
        ({"width": 4000}, 1, "width"),
        ({"teacher_width": 40_000}, 1, "teacher_width"),
        ({"teacher_width": 20_000, "teacher_depth": 1, "samples": 10**6}, 1, "teacher_width"),
    ],
)
def test_the_memory_that_training_takes_is_looked_at(
    values: dict[str, Any], threads: int, field: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("simcore.training.room.available_bytes", lambda: 10**10)
    plan = TeacherStudent(**values)
    if not field:
        check_room(plan, threads)
        return
    with pytest.raises(InputError, match=f"^{field} = .* needs about") as refused:
        check_room(plan, threads)
    assert refused.value.field == field
