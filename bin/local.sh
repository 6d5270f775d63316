#!/usr/bin/env bash
# Run a command on this machine with a log: Kaldi's contract.
#
#     local.sh [--gpu N] [--mem G] [--max-jobs-run N] [JOB=1:N] LOG COMMAND...
#
# With JOB=1:N the command runs N times at once, JOB in LOG and in the arguments replaced by the number. Blocks until all have
# ended. A log holds the command, host, start, end and exit status. Exits 1 and names the logs of the jobs that failed
# (75 where all of these were only interrupted, to be run again). What a command prints goes to the log; that of a single job
# to the screen too.
set -euo pipefail

first=1 last=1 variable='' at_once=0
while [ $# -gt 0 ]; do
    case $1 in
        --gpu | --mem | --time | --num-threads) shift 2 ;; # what this machine has is what there is
        --max-jobs-run) at_once=$2; shift 2 ;;
        -*) echo "local.sh: unknown option '$1'" >&2; exit 2 ;;
        *)
            [[ $1 =~ ^([A-Z_]+)=([0-9]+):([0-9]+)$ ]] || break
            variable=${BASH_REMATCH[1]} first=${BASH_REMATCH[2]} last=${BASH_REMATCH[3]}
            shift
            ;;
    esac
done
if [ $# -lt 2 ] || [ "$first" -gt "$last" ]; then
    sed -n '2,/^set /{/^#/s/^# \{0,1\}//p;}' "$0" >&2
    exit 2
fi

copy() { # to the log too, to the end of what is printed
    trap '' INT TERM HUP USR1
    exec tee -a -- "$log"
}

run_job() { # NUMBER LOG COMMAND...
    local number=$1 log=$2 status=0 started=$SECONDS
    shift 2
    trap : INT TERM HUP USR1 # a signal is for the command: its status is still to be written
    if [ -n "$variable" ]; then
        log=${log//$variable/$number}
        set -- "${@//$variable/$number}"
    fi
    mkdir -p -- "$(dirname -- "$log")"
    {
        printf '#'
        printf ' %q' "$@"
        printf '\n# host %s, started %s\n' "$(uname -n)" "$(date '+%Y-%m-%d %H:%M:%S %z')"
    } > "$log"
    exec 3>&2 2> /dev/null # bash's word on how a command ended is not wanted
    if [ -n "$variable" ]; then
        "$@" < /dev/null >> "$log" 2>&1 3>&- || status=$?
    else
        { trap : INT TERM HUP USR1; "$@" < /dev/null 2>&1 1>&5 3>&- 5>&- | copy >&3 5>&-; } 5>&1 | copy || status=$?
    fi
    printf '# ended %s after %s s, exit status %s\n' "$(date '+%Y-%m-%d %H:%M:%S %z')" "$((SECONDS - started))" "$status" >> "$log"
    return "$status"
}

log=$1
shift
pids=() numbers=() failed=() status=0 stopped=0
reap() { # wait for the oldest job that runs
    local code=0
    while :; do # a signal to us ends the wait, not the job
        code=0
        wait "${pids[0]}" 2> /dev/null || code=$?
        kill -0 "${pids[0]}" 2> /dev/null || break
    done
    if [ "$code" -ne 0 ]; then
        failed+=("${log//${variable:-$'\n'}/${numbers[0]}}")
        if [ "$code" -eq 75 ] && [ "$status" -ne 1 ]; then status=75; else status=1; fi
    fi
    pids=("${pids[@]:1}") numbers=("${numbers[@]:1}")
}
# shellcheck disable=SC2317,SC2329  # the trap calls it
stop() { # a signal to us ends the jobs, each with all that it started; they may take a moment to save their work
    stopped=1
    for pid in ${pids[@]+"${pids[@]}"}; do kill -TERM -- "-$pid" 2> /dev/null || true; done
}
trap stop INT TERM HUP USR1
set -m # each job its own process group,
exec 4>&2 2> /dev/null # and no word of bash's own on how it ended: what we say goes to 4
for ((number = first; number <= last; number++)); do
    if [ "$at_once" -gt 0 ] && [ "${#pids[@]}" -ge "$at_once" ]; then reap; fi
    if [ "$stopped" -ne 0 ]; then break; fi
    run_job "$number" "$log" "$@" 2>&4 4>&- &
    pids+=("$!") numbers+=("$number")
done
while [ "${#pids[@]}" -gt 0 ]; do reap; done
if [ "$stopped" -ne 0 ]; then
    echo "local.sh: stopped by a signal; the logs end where the jobs were" >&4
    exit 75
fi
if [ "$status" -ne 0 ]; then
    echo "local.sh: ${#failed[@]} of $((last - first + 1)) jobs failed; see" >&4
    printf '    %s\n' "${failed[@]}" >&4
fi
exit "$status"
