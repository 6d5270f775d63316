#!/usr/bin/env bash
# Run a command as a Slurm job or as an array of jobs, and write logs. The interface is that of
# Kaldi's slurm.pl.
#
#     slurm.sh [--conf FILE] [--gpu N] [--mem G] [--time T] [--num-threads N] [--max-jobs-run M] \
#         [JOB=1:N] LOG COMMAND...
#
# With JOB=1:N, the command runs as an array of N jobs. With --max-jobs-run M, at most M of the jobs
# run at the same time. JOB in LOG and in the arguments is replaced by the number of the job. The
# file of --conf (by default recipes/conf/slurm.conf) maps the options of slurm.sh to options of
# sbatch, and contains the settings of the site. The submitted script is written to the folder q
# beside LOG. slurm.sh waits until all jobs have ended. Ctrl-C cancels the jobs. They can then save
# their work.
#
# A log contains the command, its output, the host, the start, the end and the exit status. slurm.sh
# judges the success of a job by the exit status in the log, not by the state that Slurm reports. If
# jobs fail, slurm.sh prints the names of their logs, and the last lines of the first five of these
# logs. The exit status is then 1, or 75 if all failed jobs were interrupted and can be resumed.
# Without JOB=1:N, the output of the job is also printed if the job succeeds.
#
# The folders of LOG, of this script and of Python must be on disks that the nodes share. Two runs
# must not use the same LOG at the same time.
set -euo pipefail
bin=$(cd -- "$(dirname -- "${BASH_SOURCE[0]}")" && pwd)
. "$bin/dispatch.sh"
parse_dispatch "$@"
: "${conf:=$bin/../recipes/conf/slurm.conf}"
case $mem in *[0-9]) mem+=G ;; esac
unset "${!SQUEUE_@}" SBATCH_WAIT # the user's defaults could hide jobs, or make sbatch wait

read_conf() { # set $submit, the command line of sbatch, from the configuration
    local line words number=0 name value word found exact options=()
    local form='NAME=VALUE, where NAME is gpu, mem, time or num_threads'
    local -A defaults=()
    [ -f "$conf" ] || _dispatch_fail "$conf: no such file"
    while IFS= read -r line || [ -n "$line" ]; do
        number=$((number + 1)) line=${line%%#*} line=${line%$'\r'}
        read -r -a words <<< "$line" || true
        case ${#words[@]}:${words[0]:-} in
            0:) ;;
            *:command) submit=("${words[@]:1}") ;;
            2:default | *:option)
                [[ ${words[1]:-} =~ ^(gpu|mem|time|num_threads)=(.+)$ ]] ||
                    _dispatch_fail "$conf:$number: '${words[1]:-}': expected $form"
                if [ "${words[0]}" = default ]; then
                    defaults[${BASH_REMATCH[1]}]=${BASH_REMATCH[2]}
                else
                    options+=("$line")
                fi
                ;;
            *)
                _dispatch_fail \
                    "$conf:$number: '$line': the first word must be command, option or default"
                ;;
        esac
    done < "$conf"
    [ "${#submit[@]}" -gt 0 ] || _dispatch_fail "$conf: has no line 'command sbatch ...'; add one"
    for name in gpu mem time num_threads; do
        value=${!name:-${defaults[$name]:-}} found='' exact=''
        [ -n "$value" ] || continue
        for line in ${options[@]+"${options[@]}"}; do
            read -r -a words <<< "$line"
            if [ "${words[1]}" = "$name=$value" ]; then exact=$line; fi
            if [ "${words[1]}" = "$name=*" ]; then found=$line; fi
        done
        [ -n "$found$exact" ] || _dispatch_fail \
            "$conf: no line 'option $name=$value ...' or 'option $name=* ...'; add one of these"
        read -r -a words <<< "${exact:-$found}"
        for word in "${words[@]:2}"; do submit+=("${word//\$0/$value}"); done
    done
}

write_script() { # FILE: write the script for sbatch
    {
        echo '#!/usr/bin/env bash'
        printf '. %q\n' "$bin/dispatch.sh"
        printf 'variable=%q log=%q\n' "$variable" "$log"
        printf 'command=('
        printf ' %q' "${command[@]}"
        printf ' )\n'
        # shellcheck disable=SC2016  # the shell of the job expands the variables
        echo 'if [ -n "${SLURM_CPUS_PER_TASK:-}" ]; then'
        # shellcheck disable=SC2016
        echo '    export OMP_NUM_THREADS="$SLURM_CPUS_PER_TASK"'
        echo 'fi'
        # shellcheck disable=SC2016
        echo 'run_in_slurm "${SLURM_ARRAY_TASK_ID:-1}"'
    } > "$1"
}

# Submit the jobs. Set $id to the job number, and $on to the options that name the cluster if there
# are several clusters.
submit_job() {
    local file name script output answer
    log_of "$first"
    name=$(basename -- "${log//"${variable:-$'\n'}"/JOB}")
    script=$(dirname -- "$file")/q/$name.sh
    mkdir -p -- "$(dirname -- "$script")"
    write_script "$script"
    output=${log//%/%%}
    case $output in
        *\\*) output=/dev/null ;; # Slurm has no escape for a backslash
        *) if [ -n "$variable" ]; then output=${output//"$variable"/%a}; fi ;;
    esac
    submit+=(--parsable --open-mode=append --job-name "${name%.log}" --output "$output")
    if [ -n "$variable" ]; then submit+=(--array "$first-$last${max_jobs_run:+%$max_jobs_run}"); fi
    [ -z "$stopped" ] || exit 75
    answer=$(trap '' INT TERM HUP USR1; exec "${submit[@]}" "$script") ||
        { echo "slurm.sh: sbatch failed; see its message above, and check $conf" >&2; exit 1; }
    answer=${answer##*$'\n'} id=${answer%%;*}
    if ! [[ $id =~ ^[0-9]+$ ]]; then
        echo "slurm.sh: $conf: expected a job number from the command sbatch, found '$answer'" >&2
        exit 1
    fi
    case $answer in *';'*) on=(--clusters "${answer#*;}") ;; esac
    echo "slurm.sh: submitted job $id; log: $log" >&2
}

# NUMBER: set $code to the exit status in the log of a job. $code is empty while the job runs.
ended_with() {
    local file lines line
    code=''
    log_of "$1"
    lines=$(tail -n 50 -- "$file" 2> /dev/null) || true # Slurm or the site may append lines
    while IFS= read -r line; do
        if [[ $line =~ ^'# ended '.*", Slurm job $id"(_[0-9]+)?', exit status '([0-9]+)$ ]]; then
            code=${BASH_REMATCH[2]}
        elif [[ $line =~ ^'# host '.*", Slurm job $id"(_[0-9]+)?', started ' ]]; then
            code=''
        fi
    done <<< "$lines"
}

cancel() { scancel ${on[@]+"${on[@]}"} "$id" 2> /dev/null || true; }

ask_slurm() { # fill $ended, NUMBER -> final state; UNKNOWN if Slurm no longer knows the job
    local answer number state reason
    local query=(--noheader --states all --array --jobs "$id" --format '%K %T %r')
    if ! answer=$(squeue ${on[@]+"${on[@]}"} "${query[@]}" 2>&1); then
        case $answer in
            *'Invalid job id'*) answer='' ;;
            *) # Slurm may be restarting
                if [ -z "$silent" ]; then
                    echo "slurm.sh: waiting for Slurm, which does not answer: $answer" >&2
                fi
                silent=1
                return 0
                ;;
        esac
    fi
    silent='' ended=()
    for number in "${left[@]}"; do ended[$number]=UNKNOWN; done
    while read -r number state reason; do
        [ "$number" != N/A ] || number=$first
        case $state in
            '' | CLUSTER:*) ;;
            BOOT_FAIL | CANCELLED | COMPLETED | DEADLINE | FAILED | NODE_FAIL | OUT_OF_MEMORY | \
                PREEMPTED | REVOKED | TIMEOUT)
                ended[$number]=$state
                ;;
            *) # pending, running, or requeued
                unset "ended[$number]"
                case $state:$reason in
                    PENDING:None | PENDING:Priority | PENDING:Resources | PENDING:JobArrayTaskLimit) ;;
                    PENDING:*) # some of the other reasons mean that the job never starts
                        if [ -z "${said[$reason]:-}" ]; then
                            echo "slurm.sh: job $id waits: $reason (squeue --jobs $id)" >&2
                        fi
                        said[$reason]=1
                        ;;
                esac
                ;;
        esac
    done <<< "$answer"
}

# Remove successful jobs from $left. Set $news if a job has failed since the last call.
look_at_logs() {
    local number still=()
    news=''
    for number in "${left[@]}"; do
        ended_with "$number"
        if [ "$code" = 0 ]; then continue; fi
        if [ -n "$code" ] && [ "${seen[$number]:-}" != "$code" ]; then news=1; fi
        seen[$number]=$code
        still+=("$number")
    done
    left=(${still[@]+"${still[@]}"})
}

# Move failed jobs from $left to $failed. The log of a job can appear on this machine some time
# after the job has ended. Therefore, a job without an exit status in its log is moved later.
look_at_slurm() {
    local number state patience still=()
    ask_slurm
    for number in "${left[@]}"; do
        state=${ended[$number]:-} patience=3
        if [ -z "$state" ]; then
            unset "since[$number]"
            still+=("$number")
            continue
        fi
        : "${since[$number]:=$SECONDS}"
        ended_with "$number"
        case $state:$code in
            *:0) continue ;;
            # A network file system may show old contents for up to a minute.
            COMPLETED:* | UNKNOWN:* | FAILED:) patience=70 ;;
            *:?*) patience=0 ;;
        esac
        if [ $((SECONDS - since[$number])) -lt "$patience" ]; then
            still+=("$number")
        else
            if [ -n "$code" ]; then
                state="exit status $code"
            else
                state="no exit status; Slurm says $state"
            fi
            failed+=("$number" "$state")
            # The job may still run. It must not run at the same time as its replacement.
            if [[ $state == *UNKNOWN ]]; then cancel; fi
        fi
    done
    left=(${still[@]+"${still[@]}"})
}

wait_for_jobs() { # wait for all jobs; fill $failed with NUMBER STATE of each failed job
    local asked=$SECONDS code news pause number
    local -A ended=() since=() seen=() said=()
    for ((number = first; number <= last; number++)); do left+=("$number"); done
    while :; do
        look_at_logs
        if [ "${#left[@]}" -eq 0 ]; then break; fi
        if [ -n "$news" ] || [ $((SECONDS - asked)) -ge 10 ] ||
            { [ -n "$stopped" ] && [ $((SECONDS - asked)) -ge 2 ]; }; then
            if [ -n "$stopped" ]; then cancel; fi # scancel may have failed before
            look_at_slurm
            asked=$SECONDS
            if [ "${#left[@]}" -eq 0 ]; then break; fi
        fi
        pause=$((SECONDS < 60 ? 1 : SECONDS < 600 ? 3 : 10))
        { sleep "$pause" || true; } 2> /dev/null
    done
}

# shellcheck disable=SC2317,SC2329  # the trap calls it
stop() {
    if [ -n "$stopped" ]; then
        echo "slurm.sh: job $id may still run; scancel $id ends it" >&2
        exit 75
    fi
    stopped=1
    if [ -n "$id" ]; then
        echo "slurm.sh: cancelling job $id and waiting until it ends;" \
            "a second signal ends the waiting" >&2
        cancel
    fi
}

id='' on=() submit=() left=() failed=() stopped='' silent=''
trap stop INT TERM HUP USR1
read_conf
clear_logs
submit_job
if [ -n "$stopped" ]; then cancel; fi
wait_for_jobs
if [ -n "$stopped" ]; then
    echo "slurm.sh: stopped by a signal; job $id is cancelled, and its logs are incomplete" >&2
    exit 75
fi
if [ "${#failed[@]}" -gt 0 ]; then tell_failed "$((last - first + 1))" "${failed[@]}"; fi
if [ -z "$variable" ]; then
    sed -e '1,2d' -e "/^# ended .*, Slurm job $id, exit status 0\$/,\$d" -- "$log"
fi
