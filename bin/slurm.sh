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
# is printed here too, when it has ended. The folder of LOG, this one and Python's must be on disks that the nodes share.
set -euo pipefail
bin=$(cd -- "$(dirname -- "${BASH_SOURCE[0]}")" && pwd)
. "$bin/dispatch.sh"
conf=$bin/../recipes/conf/slurm.conf
if [ "${1:-}" = --conf ] && [ $# -ge 2 ]; then
    conf=$2
    shift 2
fi
parse_dispatch "$@"
case $mem in *[0-9]) mem+=G ;; esac

read_conf() { # set `submit`: sbatch's command line so far
    local line words number=0 name value word found exact
    [ -r "$conf" ] || { echo "slurm.sh: $conf: no such file" >&2; exit 2; }
    local -A defaults=()
    local options=()
    while IFS= read -r line || [ -n "$line" ]; do
        number=$((number + 1))
        read -r -a words <<< "${line%%#*}" || true
        case ${#words[@]}:${words[0]:-} in
            0:) ;;
            *:command) submit=("${words[@]:1}") ;;
            2:default | *:option)
                [[ ${words[1]} =~ ^(gpu|mem|time|num_threads)=(.+)$ ]] ||
                    { echo "slurm.sh: $conf:$number: '${words[1]:-}': expected gpu, mem, time or num_threads, =, and a value" >&2; exit 2; }
                if [ "${words[0]}" = default ]; then defaults[${BASH_REMATCH[1]}]=${BASH_REMATCH[2]}; else options+=("${line%%#*}"); fi
                ;;
            *) echo "slurm.sh: $conf:$number: '$line': expected command, option or default, as its head says" >&2; exit 2 ;;
        esac
    done < "$conf"
    [ "${#submit[@]}" -gt 0 ] || { echo "slurm.sh: $conf: has no line 'command sbatch ...'" >&2; exit 2; }
    for name in gpu mem time num_threads; do
        value=${!name:-${defaults[$name]:-}} found='' exact=''
        [ -n "$value" ] || continue
        for line in ${options[@]+"${options[@]}"}; do
            read -r -a words <<< "$line"
            if [ "${words[1]}" = "$name=$value" ]; then exact=$line; elif [ "${words[1]}" = "$name=*" ]; then found=$line; fi
        done
        [ -n "$found$exact" ] || { echo "slurm.sh: $conf: no line 'option $name=$value ...' or 'option $name=* ...'" >&2; exit 2; }
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
        echo 'if [ -n "${SLURM_CPUS_PER_TASK:-}" ]; then export OMP_NUM_THREADS="${OMP_NUM_THREADS:-$SLURM_CPUS_PER_TASK}"; fi'
        # shellcheck disable=SC2016
        echo 'run_job "${SLURM_ARRAY_TASK_ID:-1}"'
    } > "$1"
}

ended_with() { # NUMBER: print the exit status that a job's log ends with, if it does
    local file line
    file=$(log_of "$1")
    [ -s "$file" ] || return 0
    line=$(tail -n 1 -- "$file" 2> /dev/null) || return 0
    if [[ $line =~ ^'# ended '.*', exit status '([0-9]+)$ ]]; then printf %s "${BASH_REMATCH[1]}"; fi
}

declare -A ended=() # NUMBER -> how Slurm says that a job has ended
ask_slurm() { # fill `ended`; what Slurm has forgotten has ended
    local answer number state reason why=''
    if ! answer=$(squeue --noheader --states all --array --jobs "$id" --format '%K %T %r' 2>&1); then
        case $answer in
            *'Invalid job id'*) answer='' ;;
            *) # it answers again when it does
                if [ -z "$silent" ]; then echo "slurm.sh: waiting for Slurm, which does not answer: $answer" >&2; fi
                silent=1
                return
                ;;
        esac
    fi
    silent=''
    ended=()
    for number in "${left[@]}"; do ended[$number]=UNKNOWN; done
    while read -r number state reason; do
        [ "$number" != N/A ] || number=$first
        case $state in
            '') ;;
            BOOT_FAIL | CANCELLED | COMPLETED | DEADLINE | FAILED | NODE_FAIL | OUT_OF_MEMORY | PREEMPTED | TIMEOUT) ended[$number]=$state ;;
            *) # to run, running, or to be run again
                unset "ended[$number]"
                case $state:$reason in
                    PENDING:None | PENDING:Priority | PENDING:Resources | PENDING:BeginTime | PENDING:JobArrayTaskLimit) ;;
                    PENDING:*) why=$reason ;; # some of these no waiting helps
                esac
                ;;
        esac
    done <<< "$answer"
    if [ -n "$why" ] && [ "$why" != "$waits" ]; then echo "slurm.sh: job $id waits: $why (squeue --jobs $id)" >&2; fi
    waits=$why
}

# shellcheck disable=SC2317,SC2329  # the trap calls it
stop() {
    if [ -n "$stopped" ]; then exit 75; fi
    stopped=1
    if [ -n "$id" ]; then scancel "$id" 2> /dev/null || true; fi
}

id='' stopped='' silent='' waits='' submit=() left=() failed=()
for ((number = first; number <= last; number++)); do left+=("$number"); done
read_conf
clear_logs
name=$(basename -- "${log//${variable:-$'\n'}/JOB}")
script=$(dirname -- "$(log_of "$first")")/q/$name.sh
mkdir -p -- "$(dirname -- "$script")"
write_script "$script"
output=${log//%/%%}
case $output in
    *\\*) output=/dev/null ;; # Slurm knows no way to write one
    *) if [ -n "$variable" ]; then output=${output//$variable/%a}; fi ;;
esac
submit+=(--parsable --open-mode=append --job-name "${name%.log}" --output "$output")
if [ -n "$variable" ]; then submit+=(--array "$first-$last${at_once:+%$at_once}"); fi
trap stop INT TERM HUP USR1
id=$(trap '' INT TERM HUP USR1; exec "${submit[@]}" "$script") || { echo "slurm.sh: Slurm did not take the job; see $conf" >&2; exit 1; }
id=${id##*$'\n'} id=${id%%;*}
[[ $id =~ ^[0-9]+$ ]] || { echo "slurm.sh: $conf: the command printed no number of a job but '$id'" >&2; exit 1; }
if [ -n "$stopped" ]; then scancel "$id"; fi
echo "slurm.sh: job $id, $log" >&2

declare -A since=() # NUMBER -> when we learnt that a job has ended; its log may take a while to be seen from here
asked=$SECONDS
while [ "${#left[@]}" -gt 0 ]; do
    unsure='' still=()
    for number in "${left[@]}"; do
        code=$(ended_with "$number")
        if [ "$code" = 0 ]; then continue; fi
        if [ -n "$code" ]; then unsure=1; fi # or is it to be begun anew?
        still+=("$number")
    done
    left=(${still[@]+"${still[@]}"})
    if [ "${#left[@]}" -gt 0 ] && { [ -n "$unsure$stopped" ] || [ $((SECONDS - asked)) -ge 10 ]; }; then
        ask_slurm
        asked=$SECONDS still=()
        for number in "${left[@]}"; do
            state=${ended[$number]:-}
            if [ -n "$state" ]; then
                : "${since[$number]:=$SECONDS}"
                code=$(ended_with "$number")
                case $state in COMPLETED | FAILED | UNKNOWN) patience=20 ;; *) patience=3 ;; esac
                if [ -n "$code" ]; then
                    if [ "$code" != 0 ]; then failed+=("$number" "exit status $code"); fi
                    continue
                elif [ $((SECONDS - since[$number])) -ge "$patience" ]; then
                    failed+=("$number" "no exit status; Slurm says $state")
                    continue
                fi
            fi
            still+=("$number")
        done
        left=(${still[@]+"${still[@]}"})
    fi
    if [ "${#left[@]}" -gt 0 ]; then { sleep $((SECONDS < 60 ? 1 : 3)) || true; } 2> /dev/null; fi
done
if [ -n "$stopped" ]; then
    echo "slurm.sh: stopped by a signal; job $id is cancelled, and its logs end where it was" >&2
    exit 75
fi
if [ "${#failed[@]}" -gt 0 ]; then tell_failed "$((last - first + 1))" "${failed[@]}"; fi
if [ -z "$variable" ]; then sed -e '1,2d' -e '$d' -- "$log"; fi
