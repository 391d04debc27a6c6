"""What a run measures, without predictions, which may take longer than the simulation."""

from __future__ import annotations

import xarray as xr

from simcore.execution.execute import execute
from simcore.files.layout import fields
from simcore.results.open_run import to_dataset
from simcore.runs.run import Run


def measured(run: Run) -> xr.Dataset:
    """Simulate a run; return its Dataset without what theory predicts."""
    of_networks = [f.variable for f in fields(run, complete=True) if "_theory" not in f.variable]
    return to_dataset(execute(run).results, of_networks)
