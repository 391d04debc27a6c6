"""`cluster`: a real Slurm for all tests of this folder, or a reason to skip them."""

from __future__ import annotations

import os
from collections.abc import Iterator

import pytest

from tests.promises.slurm.cluster import Cluster, missing_programs

REQUIRE = "SIMCORE_REQUIRE_SLURM"


@pytest.fixture(scope="session")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster]:
    missing = missing_programs()
    if missing:
        text = f"not installed: {', '.join(missing)} (Debian: slurm-wlm and munge)"
        if os.environ.get(REQUIRE) == "1":
            pytest.fail(text)
        pytest.skip(f"{text}; {REQUIRE}=1 makes this a failure")
    made = Cluster(tmp_path_factory.mktemp("slurm"))
    try:
        made.start()
        yield made
    finally:
        made.stop()
