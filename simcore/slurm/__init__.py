"""Job scripts for Slurm: a job with a Dask cluster in it, or an array of shards and their merge.

The scripts are the templates `*.sh.j2`; `script` checks and fills them. Start with `job.sh.j2`.

May import `statistics.blocks` and `errors`.
"""
