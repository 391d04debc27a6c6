import os

import pytest

from simcore.errors import InputError
from simcore.machine import cpus
from simcore.machine.cpus import affinity, default_threads, resolve_threads


def test_slurm_share_limits_and_never_raises() -> None:
    free = default_threads({})
    assert free >= 1
    assert default_threads({"SLURM_CPUS_PER_TASK": "1"}) == 1
    assert default_threads({"SLURM_CPUS_PER_TASK": "100000"}) == free
    assert default_threads({"SLURM_CPUS_PER_TASK": "junk"}) == free


def test_resolve_threads() -> None:
    assert resolve_threads(None) == default_threads()
    assert resolve_threads(7) == 7
    for bad in (0, -1, 10**6):
        with pytest.raises(InputError, match="threads"):
            resolve_threads(bad)


def test_the_least_of_mask_and_control_group(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cpus, "affinity", lambda: 8)
    for quota, expected in ((None, 8), (2.5, 3), (0.2, 1), (16.0, 8)):
        monkeypatch.setattr(cpus, "cpu_limit", lambda quota=quota: quota)
        assert default_threads({}) == expected
        assert default_threads({"SLURM_CPUS_PER_TASK": "2"}) == min(2, expected)


@pytest.mark.skipif(not hasattr(os, "sched_setaffinity"), reason="needs Linux")
def test_the_affinity_mask_counts() -> None:
    before = os.sched_getaffinity(0)
    try:
        os.sched_setaffinity(0, {min(before)})
        assert affinity() == default_threads({}) == 1
    finally:
        os.sched_setaffinity(0, before)
