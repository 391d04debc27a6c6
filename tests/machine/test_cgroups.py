"""Limits of control groups, v1 and v2, own and above."""

from __future__ import annotations

from pathlib import Path

import pytest

from simcore.machine import memory
from simcore.machine.cgroups import cpu_limit, memory_left


def write(path: Path, text: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)


def test_cgroup_v2_takes_the_least_of_a_group_and_those_above(tmp_path: Path) -> None:
    root = tmp_path / "fs"
    write(tmp_path / "cgroup", "0::/job/step\n")
    write(root / "job" / "step" / "cpu.max", "max 100000\n")
    write(root / "job" / "cpu.max", "150000 100000\n")
    write(root / "cpu.max", "400000 100000\n")
    assert cpu_limit(tmp_path / "cgroup", root) == 1.5


def test_cgroup_v1(tmp_path: Path) -> None:
    root = tmp_path / "fs"
    write(tmp_path / "cgroup", "4:memory:/x\n3:cpu,cpuacct:/x\n")
    write(root / "cpu,cpuacct" / "x" / "cpu.cfs_quota_us", "200000\n")
    write(root / "cpu,cpuacct" / "x" / "cpu.cfs_period_us", "100000\n")
    write(root / "cpu,cpuacct" / "cpu.cfs_quota_us", "-1\n")
    write(root / "cpu,cpuacct" / "cpu.cfs_period_us", "100000\n")
    assert cpu_limit(tmp_path / "cgroup", root) == 2.0


def test_no_cgroup_is_no_limit(tmp_path: Path) -> None:
    assert cpu_limit(tmp_path / "none", tmp_path) is None
    write(tmp_path / "cgroup", "0::/\nnonsense\n")
    write(tmp_path / "cpu.max", "what\n")
    assert cpu_limit(tmp_path / "cgroup", tmp_path) is None


def test_memory_of_cgroup_v2_takes_the_least_of_a_group_and_those_above(tmp_path: Path) -> None:
    root = tmp_path / "fs"
    write(tmp_path / "cgroup", "0::/job/step\n")
    write(root / "job" / "step" / "memory.max", "max\n")
    write(root / "job" / "step" / "memory.current", "300\n")
    assert memory_left(tmp_path / "cgroup", root) is None
    write(root / "job" / "memory.max", "1000\n")
    write(root / "job" / "memory.current", "400\n")
    assert memory_left(tmp_path / "cgroup", root) == 600
    write(root / "memory.max", "5000\n")
    write(root / "memory.current", "4900\n")
    assert memory_left(tmp_path / "cgroup", root) == 100
    write(root / "memory.stat", "anon 4000\ninactive_file 900\nactive_file 7\n")
    assert memory_left(tmp_path / "cgroup", root) == 600


def test_memory_of_cgroup_v1(tmp_path: Path) -> None:
    root = tmp_path / "fs"
    write(tmp_path / "cgroup", "4:memory:/slurm/job_7\n3:cpu,cpuacct:/x\n0::/\n")
    own = root / "memory" / "slurm" / "job_7"
    write(own / "memory.limit_in_bytes", "1000\n")
    write(own / "memory.usage_in_bytes", "700\n")
    write(own / "memory.stat", "inactive_file 5\ntotal_inactive_file 50\n")
    write(root / "memory" / "memory.limit_in_bytes", "9223372036854771712\n")
    write(root / "memory" / "memory.usage_in_bytes", "123456\n")
    assert memory_left(tmp_path / "cgroup", root) == 350
    write(own / "memory.usage_in_bytes", "1200\n")
    assert memory_left(tmp_path / "cgroup", root) == 0


def test_the_hierarchy_of_v2_beside_v1(tmp_path: Path) -> None:
    root = tmp_path / "fs"
    write(tmp_path / "cgroup", "1:cpu:/\n0::/job\n")
    write(root / "unified" / "job" / "memory.max", "1000\n")
    write(root / "unified" / "job" / "memory.current", "0\n")
    write(root / "unified" / "job" / "cpu.max", "50000 100000\n")
    assert memory_left(tmp_path / "cgroup", root) == 1000
    assert cpu_limit(tmp_path / "cgroup", root) == 0.5


def test_free_memory_is_the_machines_or_the_groups(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(memory, "memory_left", lambda: None)
    free = memory.available_bytes()
    assert free > 10**6
    monkeypatch.setattr(memory, "memory_left", lambda: 12345)
    assert memory.available_bytes() == 12345
    monkeypatch.setattr(memory, "memory_left", lambda: 2**62)
    assert memory.available_bytes() < 2**50
