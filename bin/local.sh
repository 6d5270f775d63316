#!/usr/bin/env bash
# Run a command on this machine, and write a log. The interface is that of Kaldi's run.pl.
#
#     local.sh [--gpu N] [--mem G] [--time T] [--num-threads N] [--max-jobs-run M] [JOB=1:N] \
#         LOG COMMAND...
#
# With JOB=1:N, the command runs N times, as N jobs. With --max-jobs-run M, at most M of these jobs
# run at the same time. JOB in LOG and in the arguments is replaced by the number of the job. The
# script waits until all jobs have ended.
#
# A log contains the command, its output, the host, the start, the end and the exit status. Without
# JOB=1:N, the output is also printed. If jobs fail, the script prints the names of their logs and,
# for an array of jobs, the last lines of the first five of these logs. The exit status is then 1,
# or 75 if all failed jobs were interrupted and can be resumed. The options --gpu, --mem, --time and
# --num-threads are accepted for compatibility with slurm.sh and have no effect.
set -euo pipefail
. "$(dirname -- "${BASH_SOURCE[0]}")/dispatch.sh"
parse_dispatch "$@"

copy() { # LOG: copy standard input to LOG and to standard output, until the input ends
    trap '' INT TERM HUP USR1
    exec tee -a -- "$1"
}

if [ -z "$variable" ]; then
    quiet=1 # the output of the job is on the screen
    execute() { # LOG COMMAND...
        local log=$1 status=0
        shift
        trap : INT TERM HUP USR1
        exec 3>&2 2> /dev/null
        {
            trap : INT TERM HUP USR1
            "$@" < /dev/null 2>&1 1>&5 3>&- 5>&- | copy "$log" >&3 5>&-
        } 5>&1 | copy "$log" || status=$?
        return "$status"
    }
fi

pids=() numbers=() failed=() stopped=0
reap() { # wait for the oldest running job
    local code=0
    while :; do # a signal to this script ends `wait`, but not the job
        code=0
        wait "${pids[0]}" 2> /dev/null || code=$?
        kill -0 "${pids[0]}" 2> /dev/null || break
    done
    if [ "$code" -ne 0 ]; then failed+=("${numbers[0]}" "exit status $code"); fi
    pids=("${pids[@]:1}") numbers=("${numbers[@]:1}")
}
# shellcheck disable=SC2317,SC2329  # the trap calls it
stop() { # send SIGTERM to the process groups of all jobs; the jobs can then save their work
    stopped=1
    for pid in ${pids[@]+"${pids[@]}"}; do kill -TERM -- "-$pid" 2> /dev/null || true; done
}
trap stop INT TERM HUP USR1
clear_logs
set -m # each job gets its own process group
exec 4>&2 2> /dev/null # suppress bash's messages about ended jobs; 4 is standard error
for ((number = first; number <= last; number++)); do
    if [ -n "$max_jobs_run" ] && [ "${#pids[@]}" -ge "$max_jobs_run" ]; then reap; fi
    if [ "$stopped" -ne 0 ]; then break; fi
    run_job "$number" 2>&4 4>&- &
    pids+=("$!") numbers+=("$number")
done
while [ "${#pids[@]}" -gt 0 ]; do reap; done
exec 2>&4
if [ "$stopped" -ne 0 ]; then
    echo "local.sh: stopped by a signal; the logs are incomplete" >&2
    exit 75
fi
if [ "${#failed[@]}" -gt 0 ]; then tell_failed "$((last - first + 1))" "${failed[@]}"; fi
