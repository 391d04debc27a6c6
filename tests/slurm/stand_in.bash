#!/usr/bin/env bash
# Stands for the programs that a script for Slurm calls, under their names: notes how it was called.
name=${0##*/}
[[ $name == sleep ]] && exec /bin/sleep 0.05
echo "$name $*" >>"$CALLS"
case $name in
    sbatch)
        cat >"$CALLS.${RANDOM}"
        mv "$CALLS".[0-9]* "$(dirname "$CALLS")/job-$(grep -c ^sbatch "$CALLS")"
        echo "4$(grep -c ^sbatch "$CALLS");cluster"
        ;;
    dask)
        while [[ $1 != --scheduler-file ]]; do shift; done
        echo $$ >"$2"
        exec /bin/sleep 60
        ;;
    srun)
        [[ $WORKERS == end ]] && exit
        while [[ $1 != --scheduler-file ]]; do shift; done
        scheduler=$(<"$2")
        while kill -0 "$scheduler" 2>/dev/null; do /bin/sleep 0.05; done
        ;;
    simulate | simcore)
        [[ $1 == merge ]] && exit
        case $RUN in
            complete) exit 0 ;;
            fail) exit 7 ;;
            stop) code=143 ;;
            finish) code=0 ;;
        esac
        trap 'echo "$name TERM" >>"$CALLS"; exit $code' TERM
        echo "$name ready" >>"$CALLS"
        while true; do /bin/sleep 0.05; done
        ;;
esac
