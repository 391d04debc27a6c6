"""Job scripts for Slurm: a job with a Dask cluster in it, or an array of shards and their merge.

Start with `script`. May import `runs` and `physics`.
"""
