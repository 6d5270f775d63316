#!/usr/bin/env bash
# Run a command on this machine with a log: Kaldi's contract.
#
#     local.sh [--gpu N] [--mem G] [--time T] [--num-threads N] [--max-jobs-run N] [JOB=1:N] LOG COMMAND...
#
# With JOB=1:N the command runs N times at once, or --max-jobs-run N of them, JOB in LOG and in the arguments replaced by the number.
# Blocks until all have ended. A log holds the command, host, start, end and exit status. Exits 1, names the logs of the jobs that
# failed and shows their last lines (75 where all of these were only interrupted, to be run again). What a command prints goes to
# the log; that of a single job to the screen too. What this machine has is what there is: the other options are slurm.sh's.
set -euo pipefail
. "$(dirname -- "${BASH_SOURCE[0]}")/dispatch.sh"
parse_dispatch "$@"

copy() { # to the log too, to the end of what is printed
    trap '' INT TERM HUP USR1
    exec tee -a -- "$1"
}

if [ -z "$variable" ]; then
    quiet=1 # what went wrong is on the screen
    execute() { # LOG COMMAND...
        local log=$1 status=0
        shift
        trap : INT TERM HUP USR1
        exec 3>&2 2> /dev/null
        { trap : INT TERM HUP USR1; "$@" < /dev/null 2>&1 1>&5 3>&- 5>&- | copy "$log" >&3 5>&-; } 5>&1 | copy "$log" || status=$?
        return "$status"
    }
fi

pids=() numbers=() failed=() stopped=0
reap() { # wait for the oldest job that runs
    local code=0
    while :; do # a signal to us ends the wait, not the job
        code=0
        wait "${pids[0]}" 2> /dev/null || code=$?
        kill -0 "${pids[0]}" 2> /dev/null || break
    done
    if [ "$code" -ne 0 ]; then failed+=("${numbers[0]}" "exit status $code"); fi
    pids=("${pids[@]:1}") numbers=("${numbers[@]:1}")
}
# shellcheck disable=SC2317,SC2329  # the trap calls it
stop() { # a signal to us ends the jobs, each with all that it started; they may take a moment to save their work
    stopped=1
    for pid in ${pids[@]+"${pids[@]}"}; do kill -TERM -- "-$pid" 2> /dev/null || true; done
}
trap stop INT TERM HUP USR1
clear_logs
set -m # each job its own process group,
exec 4>&2 2> /dev/null # and no word of bash's own on how it ended: what we say goes to 4
for ((number = first; number <= last; number++)); do
    if [ -n "$max_jobs_run" ] && [ "${#pids[@]}" -ge "$max_jobs_run" ]; then reap; fi
    if [ "$stopped" -ne 0 ]; then break; fi
    run_job "$number" 2>&4 4>&- &
    pids+=("$!") numbers+=("$number")
done
while [ "${#pids[@]}" -gt 0 ]; do reap; done
exec 2>&4
if [ "$stopped" -ne 0 ]; then
    echo "local.sh: stopped by a signal; the logs end where the jobs were" >&2
    exit 75
fi
if [ "${#failed[@]}" -gt 0 ]; then tell_failed "$((last - first + 1))" "${failed[@]}"; fi
