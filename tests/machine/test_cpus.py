from pathlib import Path

import pytest

from simcore.errors import InputError
from simcore.machine.cpus import cgroup_limit, default_threads, resolve_threads


def write(path: Path, text: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)


def test_cgroup_v2_takes_the_least_of_a_group_and_those_above(tmp_path: Path) -> None:
    root = tmp_path / "fs"
    write(tmp_path / "cgroup", "0::/job/step\n")
    write(root / "job" / "step" / "cpu.max", "max 100000\n")
    write(root / "job" / "cpu.max", "150000 100000\n")
    write(root / "cpu.max", "400000 100000\n")
    assert cgroup_limit(tmp_path / "cgroup", root) == 1.5


def test_cgroup_v1(tmp_path: Path) -> None:
    root = tmp_path / "fs"
    write(tmp_path / "cgroup", "4:memory:/x\n3:cpu,cpuacct:/x\n")
    write(root / "cpu,cpuacct" / "x" / "cpu.cfs_quota_us", "200000\n")
    write(root / "cpu,cpuacct" / "x" / "cpu.cfs_period_us", "100000\n")
    write(root / "cpu,cpuacct" / "cpu.cfs_quota_us", "-1\n")
    write(root / "cpu,cpuacct" / "cpu.cfs_period_us", "100000\n")
    assert cgroup_limit(tmp_path / "cgroup", root) == 2.0


def test_no_cgroup_is_no_limit(tmp_path: Path) -> None:
    assert cgroup_limit(tmp_path / "none", tmp_path) is None
    write(tmp_path / "cgroup", "0::/\nnonsense\n")
    write(tmp_path / "cpu.max", "what\n")
    assert cgroup_limit(tmp_path / "cgroup", tmp_path) is None


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
