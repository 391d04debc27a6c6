"""The constant blocks of the scripts for Slurm: Bash, with the comments that their reader needs."""

from __future__ import annotations

__all__ = [
    "AGAIN",
    "ARRAY_HEAD",
    "CLOSE",
    "COMMANDS",
    "DASK_HEAD",
    "DIRECTIVES",
    "END",
    "EXIT",
    "MERGE",
    "MERGE_RUN",
    "REFUSE",
    "RUN",
    "RUN_ALONE",
    "RUN_WITH_WORKERS",
    "SCHEDULER",
    "SETUP",
    "SHARDS",
    "SIGNALS",
    "SPAN",
    "SUBMIT",
    "WORKERS",
    "WORKERS_CPU",
    "WORKERS_GPU",
    "WORKERS_NODE",
]

DASK_HEAD = """\
#!/usr/bin/env bash
#
# One simcore run on {nodes} node(s): a Dask scheduler, its workers, and the run that feeds them.
#
# Submit this file with sbatch, in the folder where it was printed: its paths start there, and all
# nodes must see them. The job ends with a complete file,
# {output}.
# Shortly before its time limit, and when it is preempted or loses a node, it is requeued and goes
# on from the last checkpoint. To go on by hand, submit it again.
"""

ARRAY_HEAD = """\
#!/usr/bin/env bash
#
# One simcore run in {shards} shard(s), jobs that don't talk to each other, and a job to merge them.
#
# Run this file with bash, in the folder where it was printed: its paths start there, and all nodes
# must see them. It submits the jobs and returns. The last of them ends with a complete file,
# {output}.
# Shortly before its time limit, and when it is preempted or loses its node, a shard is requeued and
# goes on from its last checkpoint. If a shard fails the merge is cancelled; once the cause is
# mended run this file again: what is complete stays, the rest goes on.
"""

DIRECTIVES = """\
# What is asked of Slurm. Of a restart know --requeue, which allows it, --open-mode, which keeps the
# log, and --signal, which warns this script so many seconds before the time limit.
"""

SETUP = """\
# The environment. simcore must be in the PATH here and on all nodes; sbatch hands on the one that
# it is called in. Otherwise load modules and activate the environment at this place.
"""

COMMANDS = """\
# The work: how to start the file, and how to go on with it.
"""

SIGNALS = """\
# Signals. After the warning the run is stopped, which leaves a file to go on with, and the job
# requeued. After SIGTERM (preemption, scancel, the limit itself) the run is stopped, and what
# follows is up to Slurm. Here it is noted, in the loop below it is done.
stop=''
trap 'stop=${stop:-warned}' USR1
trap 'stop=ended' TERM
"""

SCHEDULER = """\
# The scheduler, at any free port; it says in a file where. If nodes have several networks, name the
# fast one here and at the workers: --interface ib0. What Dask has to say is in a log of its own.
rm -f "$scheduler_file"
dask scheduler --scheduler-file "$scheduler_file" --port 0 --no-dashboard >>"$dask_log" 2>&1 &
scheduler=$!
until [[ -s $scheduler_file || $stop ]]; do
    if ! kill -0 "$scheduler" 2>/dev/null; then
        echo "the Dask scheduler did not start; the reason is in $dask_log" >&2
        exit 1
    fi
    sleep 1
done
"""

WORKERS_GPU = """\
# The workers: one for each GPU, and it sees no other.
"""

WORKERS_CPU = """\
# The workers: one on each node, with a thread for each CPU.
"""

WORKERS_NODE = """\
# The workers: one on each node, with a thread for each CPU that it finds.
"""

WORKERS = """\
# A worker that is lost costs its tasks only, so srun lets the others go on. Limits of memory are
# left to Slurm.
"""

RUN = """\
# The run, in the background so that signals are seen at once.
if [[ -e $output ]]; then
    "${resume[@]}" &
else
    "${start[@]}" &
fi
run=$!
told=''
while kill -0 "$run" 2>/dev/null; do
"""

RUN_ALONE = """\
    if [[ $stop && ! $told ]]; then
        kill -TERM "$run"
        told=yes
    fi
    sleep 1 &
    wait $! # unlike sleep itself, a signal ends it at once
done
wait "$run"
code=$?
"""

RUN_WITH_WORKERS = (
    """\
    if [[ ! $stop ]] && ! kill -0 "$workers" 2>/dev/null; then
        echo "all workers have ended; the reason is in $dask_log" >&2
        stop=failed
    fi
"""
    + RUN_ALONE
)

AGAIN = """\
# Exit code 143: it was stopped, and left a file to go on with.
if [[ $stop == warned && $code == 143 ]]; then
    echo "the time limit is near: requeued, to go on from here"
    scontrol requeue "$this_job" || echo "requeueing failed: submit again to go on" >&2
elif [[ $stop == failed && $code == 143 ]]; then
    code=1
fi
"""

CLOSE = """\
# The end of the cluster: the scheduler tells the workers.
rm -f "$scheduler_file"
kill "$scheduler" 2>/dev/null
for _ in {1..10}; do
    kill -0 "$workers" 2>/dev/null || break
    sleep 1
done
kill "$workers" 2>/dev/null
"""

EXIT = """\
exit "$code"
"""

REFUSE = """\
if [[ -e $output ]]; then
    echo "$output exists already; move it away to run this again" >&2
    exit 1
fi
"""

SHARDS = """\
# The shards: one script for all of them.
submit_shards() {
    sbatch --parsable <<'END_OF_SCRIPT'
"""

MERGE = """\
# The merge: it starts when all shards are complete, and is cancelled if one fails.
submit_merge() {
    sbatch --parsable --dependency="afterok:$1" --kill-on-invalid-dep=yes <<'END_OF_SCRIPT'
"""

END = """\
END_OF_SCRIPT
}
"""

SUBMIT = """\
array=$(submit_shards)
array=${array%%;*}
merge=$(submit_merge "$array") || { scancel "$array"; exit 1; }
echo "shards: job $array; merge: job ${merge%%;*}"
"""

SPAN = """\
# The trials of this shard: whole blocks, as equal as can be.
first=$((blocks * SLURM_ARRAY_TASK_ID / shards * block))
end=$((blocks * (SLURM_ARRAY_TASK_ID + 1) / shards * block))
((end < trials)) || end=$trials
"""

MERGE_RUN = """\
# The merge. The shards stay: remove them when you have looked at the result.
if [[ -e $output ]]; then
    echo "$output is there already"
    exit
fi
simcore merge "${shards[@]}" -o "$output"
"""
