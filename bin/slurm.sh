#!/usr/bin/env bash
# Run a command as a Slurm job, or an array of jobs, with logs: Kaldi's contract.
#
#     slurm.sh [--conf FILE] [--gpu N] [--mem G] [--time T] [--num-threads N] [--max-jobs-run N] [JOB=1:N] LOG COMMAND...
#
# With JOB=1:N it is an array of N jobs, JOB in LOG and in the arguments replaced by the number, --max-jobs-run of them at once.
# FILE (recipes/conf/slurm.conf) turns the options into sbatch's and holds what a site wants. The script that is submitted lies in
# the folder q beside LOG. Blocks until all have ended; Ctrl-C cancels them, and they may save their work. A log holds the command,
# host, start, end and exit status: that line, and not Slurm's word, says how a job ended. Exits 1, names the logs of the jobs
# that failed and shows their last lines (75 where all of these were only interrupted, to be run again). What a single job prints
# is printed here too, when it has ended. The folder of LOG, this one and Python's must be on disks that the nodes share. A log is of
# one run at a time.
set -euo pipefail
bin=$(cd -- "$(dirname -- "${BASH_SOURCE[0]}")" && pwd)
. "$bin/dispatch.sh"
parse_dispatch "$@"
: "${conf:=$bin/../recipes/conf/slurm.conf}"
case $mem in *[0-9]) mem+=G ;; esac
unset "${!SQUEUE_@}" SBATCH_WAIT # a person's own defaults, which would hide jobs from us

read_conf() { # set `submit`: sbatch's command line so far
    local line words number=0 name value word found exact options=()
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
                    _dispatch_fail "$conf:$number: '${words[1]:-}': expected gpu, mem, time or num_threads, =, and a value"
                if [ "${words[0]}" = default ]; then defaults[${BASH_REMATCH[1]}]=${BASH_REMATCH[2]}; else options+=("$line"); fi
                ;;
            *) _dispatch_fail "$conf:$number: '$line': expected command, option or default, as its head says" ;;
        esac
    done < "$conf"
    [ "${#submit[@]}" -gt 0 ] || _dispatch_fail "$conf: has no line 'command sbatch ...'"
    for name in gpu mem time num_threads; do
        value=${!name:-${defaults[$name]:-}} found='' exact=''
        [ -n "$value" ] || continue
        for line in ${options[@]+"${options[@]}"}; do
            read -r -a words <<< "$line"
            if [ "${words[1]}" = "$name=$value" ]; then exact=$line; elif [ "${words[1]}" = "$name=*" ]; then found=$line; fi
        done
        [ -n "$found$exact" ] || _dispatch_fail "$conf: no line 'option $name=$value ...' or 'option $name=* ...'"
        read -r -a words <<< "${exact:-$found}"
        for word in "${words[@]:2}"; do submit+=("${word//\$0/$value}"); done
    done
}

write_script() { # FILE: what sbatch is given
    {
        echo '#!/usr/bin/env bash'
        printf '. %q\n' "$bin/dispatch.sh"
        printf 'variable=%q log=%q\n' "$variable" "$log"
        printf 'command=('
        printf ' %q' "${command[@]}"
        printf ' )\n'
        # shellcheck disable=SC2016  # the job's shell expands them
        echo 'if [ -n "${SLURM_CPUS_PER_TASK:-}" ]; then export OMP_NUM_THREADS="$SLURM_CPUS_PER_TASK"; fi'
        # shellcheck disable=SC2016
        echo 'run_in_slurm "${SLURM_ARRAY_TASK_ID:-1}"'
    } > "$1"
}

submit_job() { # set `id` and `on`, the words that name the cluster, where there are several
    local file name script output answer
    log_of "$first"
    name=$(basename -- "${log//"${variable:-$'\n'}"/JOB}")
    script=$(dirname -- "$file")/q/$name.sh
    mkdir -p -- "$(dirname -- "$script")"
    write_script "$script"
    output=${log//%/%%}
    case $output in
        *\\*) output=/dev/null ;; # Slurm knows no way to write one
        *) if [ -n "$variable" ]; then output=${output//"$variable"/%a}; fi ;;
    esac
    submit+=(--parsable --open-mode=append --job-name "${name%.log}" --output "$output")
    if [ -n "$variable" ]; then submit+=(--array "$first-$last${max_jobs_run:+%$max_jobs_run}"); fi
    [ -z "$stopped" ] || exit 75
    answer=$(trap '' INT TERM HUP USR1; exec "${submit[@]}" "$script") ||
        { echo "slurm.sh: Slurm did not take the job: see above, and $conf" >&2; exit 1; }
    answer=${answer##*$'\n'} id=${answer%%;*}
    [[ $id =~ ^[0-9]+$ ]] || { echo "slurm.sh: $conf: the command printed no number of a job but '$answer'" >&2; exit 1; }
    case $answer in *';'*) on=(--clusters "${answer#*;}") ;; esac
    echo "slurm.sh: job $id, $log" >&2
}

ended_with() { # NUMBER: set `code` to the exit status that a job's log ends with; empty where it has not ended, or was begun anew
    local file lines line
    code=''
    log_of "$1"
    lines=$(tail -n 50 -- "$file" 2> /dev/null) || true # Slurm, or a site, may add lines of its own
    while IFS= read -r line; do
        if [[ $line =~ ^'# ended '.*", Slurm job $id"(_[0-9]+)?', exit status '([0-9]+)$ ]]; then
            code=${BASH_REMATCH[2]}
        elif [[ $line =~ ^'# host '.*", Slurm job $id"(_[0-9]+)?', started ' ]]; then
            code=''
        fi
    done <<< "$lines"
}

cancel() { scancel ${on[@]+"${on[@]}"} "$id" 2> /dev/null || true; }

ask_slurm() { # fill `ended`, NUMBER -> how Slurm says that a job has ended; what it has forgotten has ended
    local answer number state reason
    if ! answer=$(squeue ${on[@]+"${on[@]}"} --noheader --states all --array --jobs "$id" --format '%K %T %r' 2>&1); then
        case $answer in
            *'Invalid job id'*) answer='' ;;
            *) # it answers again when it does
                if [ -z "$silent" ]; then echo "slurm.sh: waiting for Slurm, which does not answer: $answer" >&2; fi
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
            BOOT_FAIL | CANCELLED | COMPLETED | DEADLINE | FAILED | NODE_FAIL | OUT_OF_MEMORY | PREEMPTED | REVOKED | TIMEOUT)
                ended[$number]=$state
                ;;
            *) # to run, running, or to be run again
                unset "ended[$number]"
                case $state:$reason in
                    PENDING:None | PENDING:Priority | PENDING:Resources | PENDING:JobArrayTaskLimit) ;;
                    PENDING:*) # some of these no waiting helps
                        if [ -z "${said[$reason]:-}" ]; then echo "slurm.sh: job $id waits: $reason (squeue --jobs $id)" >&2; fi
                        said[$reason]=1
                        ;;
                esac
                ;;
        esac
    done <<< "$answer"
}

look_at_logs() { # drop from `left` the jobs that ended well; set `news` where a job seems to have ended otherwise, unknown so far
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

look_at_slurm() { # move from `left` to `failed` what is over for Slurm too, once its log has had the time to be seen from here
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
            COMPLETED:* | UNKNOWN:* | FAILED:) patience=70 ;; # a network file system shows old contents for up to a minute
            *:?*) patience=0 ;;
        esac
        if [ $((SECONDS - since[$number])) -lt "$patience" ]; then
            still+=("$number")
        else
            if [ -n "$code" ]; then state="exit status $code"; else state="no exit status; Slurm says $state"; fi
            failed+=("$number" "$state")
            if [[ $state == *UNKNOWN ]]; then cancel; fi # it must not run beside what is run instead
        fi
    done
    left=(${still[@]+"${still[@]}"})
}

wait_for_jobs() { # fill `failed`: NUMBER, and how it ended
    local asked=$SECONDS code news pause number
    local -A ended=() since=() seen=() said=()
    for ((number = first; number <= last; number++)); do left+=("$number"); done
    while :; do
        look_at_logs
        if [ "${#left[@]}" -eq 0 ]; then break; fi
        if [ -n "$news" ] || [ $((SECONDS - asked)) -ge 10 ] || { [ -n "$stopped" ] && [ $((SECONDS - asked)) -ge 2 ]; }; then
            if [ -n "$stopped" ]; then cancel; fi # again: once may have failed
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
        echo "slurm.sh: leaves job $id as it is; scancel $id ends it" >&2
        exit 75
    fi
    stopped=1
    if [ -n "$id" ]; then
        echo "slurm.sh: cancels job $id, and waits for its end; another signal leaves it" >&2
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
    echo "slurm.sh: stopped by a signal; job $id is cancelled, and its logs end where it was" >&2
    exit 75
fi
if [ "${#failed[@]}" -gt 0 ]; then tell_failed "$((last - first + 1))" "${failed[@]}"; fi
if [ -z "$variable" ]; then sed -e '1,2d' -e "/^# ended .*, Slurm job $id, exit status 0\$/,\$d" -- "$log"; fi
