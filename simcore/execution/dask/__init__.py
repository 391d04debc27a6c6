"""A Dask cluster as the engine of a run. Start with `cluster`."""
