# local.sh, slurm.sh and the jobs that slurm.sh submits source this file. It contains the functions
# that these scripts share. The interface is that of Kaldi's run.pl and slurm.pl.
#
# `parse_dispatch` sets $gpu, $mem, $time, $num_threads, $max_jobs_run and $conf. Each is empty if
# its option is not given. `parse_dispatch` sets $variable, $first and $last to JOB, 1 and N of
# JOB=1:N. It also sets $log and $command. The functions `log_of`, `clear_logs`, `run_job`,
# `run_in_slurm` and `tell_failed` use these variables.
# shellcheck shell=bash disable=SC2034,SC2154  # other scripts read the variables

quiet='' gpu='' mem='' time='' num_threads='' max_jobs_run='' conf=''
variable='' first=1 last=1 log='' command=()
dispatcher=$(basename -- "$0")

_dispatch_fail() {
    echo "$dispatcher: $1" >&2
    exit 2
}

_dispatch_usage() { # print the header comment of the running script
    sed -n '2,/^set /{/^#/s/^# \{0,1\}//p;}' "$0"
}

_dispatch_option() { # OPTION PATTERN WHAT VALUE: check VALUE and set the variable of OPTION
    local name=${1#--}
    [[ $4 =~ ^($2)$ ]] || _dispatch_fail "$1 '$4': expected $3"
    printf -v "${name//-/_}" %s "$4"
}

parse_dispatch() { # ARGUMENT...
    local number='0|[1-9][0-9]{0,6}'
    while [ $# -gt 0 ]; do
        case $1 in
            --help | -h) _dispatch_usage; exit 0 ;;
            --*) if [ $# -lt 2 ]; then _dispatch_fail "'$1' needs a value"; fi ;;&
            --conf) conf=$2 ;;
            --gpu) _dispatch_option "$1" "$number" 'a number of GPUs' "$2" ;;
            --mem)
                _dispatch_option "$1" '[1-9][0-9]{0,6}[KMGT]?' \
                    'a number of gigabytes, such as 4, or a number with a unit, such as 500M' "$2"
                ;;
            --time)
                _dispatch_option "$1" '[0-9]+(-[0-9]+)?(:[0-9]+){0,2}' \
                    'minutes, hours:minutes:seconds or days-hours' "$2"
                ;;
            --num-threads) _dispatch_option "$1" '[1-9][0-9]{0,3}' 'a number of threads' "$2" ;;
            --max-jobs-run)
                _dispatch_option "$1" "$number" 'a number of jobs, or 0 for all jobs' "$2"
                ;;
            -*) _dispatch_fail "unknown option '$1' (--help lists the options)" ;;
            *)
                [[ $1 =~ ^([A-Z][A-Z0-9_]*)=([0-9]{1,7}):([0-9]{1,7})$ ]] || break
                if [ -n "$variable" ]; then
                    _dispatch_fail "'$1': the range of $variable is already given; give one range"
                fi
                variable=${BASH_REMATCH[1]}
                first=$((10#${BASH_REMATCH[2]})) last=$((10#${BASH_REMATCH[3]}))
                if [ "$first" -gt "$last" ]; then
                    _dispatch_fail "'$1': the first number is greater than the last; swap them"
                fi
                shift
                continue
                ;;
        esac
        shift 2
    done
    if [ $# -lt 2 ]; then
        _dispatch_usage >&2
        exit 2
    fi
    if [ "$max_jobs_run" = 0 ]; then max_jobs_run=''; fi
    log=$1
    shift
    command=("$@")
    if [ -n "$variable" ] && [ "$first" -lt "$last" ] && [[ $log != *"$variable"* ]]; then
        _dispatch_fail "$log: expected $variable in the name, so that each job has its own log"
    fi
}

log_of() { # NUMBER: set $file to the log of a job
    if [ -n "$variable" ]; then file=${log//"$variable"/$1}; else file=$log; fi
}

clear_logs() { # create the folders of the logs, and empty the logs of an earlier run
    local number file line made=''
    for ((number = first; number <= last; number++)); do
        log_of "$number"
        if [[ $file == */* && ${file%/*} != "$made" ]]; then
            made=${file%/*}
            mkdir -p -- "${made:-/}" || exit 1
        fi
        line='# '
        if [ -s "$file" ]; then IFS= read -r line < "$file" || true; fi
        case $line in
            '# '* | slurm*) ;;
            *)
                echo "$dispatcher: $file: is not a log of a job; choose another log file," \
                    "or remove this file" >&2
                exit 1
                ;;
        esac
        if ! { : > "$file"; } 2> /dev/null; then
            echo "$dispatcher: $file: can't be written" >&2
            exit 1
        fi
    done
}

# shellcheck disable=SC2317,SC2329  # run_job calls it
# LOG COMMAND...: run the command in the foreground. If it ran in the background, `wait` could lose
# its exit status after a signal.
execute() {
    local log=$1 status=0 stopped=''
    shift
    # The command also receives the signal. This shell continues, so that it can write the status.
    trap 'stopped=1' INT TERM HUP USR1
    exec 3>&2 2> /dev/null # suppress bash's messages about ended commands
    "$@" < /dev/null >> "$log" 2>&1 3>&- || status=$?
    # Now a signal must not end this shell or its children before the status is in the log. In rare
    # cases, bash ends a subshell if a trap runs while the subshell expands $(...).
    trap '' INT TERM HUP USR1
    # 143: the command does not handle SIGTERM, and SIGTERM ended it.
    if [ -n "$stopped" ] && [ "$status" = 143 ]; then status=75; fi
    return "$status"
}

_now() { date '+%Y-%m-%d %H:%M:%S %z'; }

_new_line() { # FILE: add a newline if the last line has none
    if [ -n "$(tail -c 1 -- "$1" | tr '\000' x)" ]; then echo >> "$1"; fi
}

run_job() { # NUMBER: run one job and write its log
    local file job='' status=0 started=$SECONDS words=("${command[@]}")
    log_of "$1"
    if [ -n "$variable" ]; then words=("${words[@]//"$variable"/$1}"); fi
    if [ -n "${SLURM_JOB_ID:-}" ]; then
        job=", Slurm job ${SLURM_ARRAY_JOB_ID:-$SLURM_JOB_ID}"
        job+=${SLURM_ARRAY_TASK_ID:+_$SLURM_ARRAY_TASK_ID}
    fi
    _new_line "$file"
    printf '# %s\n# host %s%s, started %s\n' \
        "$(printf '%q ' "${words[@]}")" "$(uname -n)" "$job" "$(_now)" >> "$file"
    execute "$file" "${words[@]}" || status=$?
    _new_line "$file"
    printf '# ended %s after %s s%s, exit status %s\n' \
        "$(_now)" "$((SECONDS - started))" "$job" "$status" >> "$file"
    return "$status"
}

run_in_slurm() { # NUMBER: run one job and forward signals (Slurm may send them only to this shell)
    local file job
    run_job "$1" &
    job=$!
    log_of "$1"
    # shellcheck disable=SC2317,SC2329  # the traps call it
    pass_on() { # WHY
        trap '' TERM
        echo "# received a signal: $1" >> "$file" # before the job itself reports the signal
        kill -TERM 0 # the process group of the job
    }
    trap 'pass_on "the job was cancelled or preempted"' INT TERM HUP
    trap 'pass_on "the time limit is near"' USR1
    # A signal ends `wait`. Of two signals at the same time, the second can end a later `wait`, but
    # runs no trap. If this shell ended then, Slurm would kill the job before its log is complete.
    while kill -0 "$job" 2> /dev/null; do wait "$job" || true; done
    trap '' INT TERM HUP USR1
    wait "$job"
}

# COUNT NUMBER STATUS...: print which of COUNT jobs failed. Return 1, or 75 if all failed jobs were
# interrupted.
tell_failed() {
    local total=$1 code=75 word='were interrupted and can be resumed' shown=0 file status
    shift
    if [ $# -eq 2 ]; then word='was interrupted and can be resumed'; fi
    for status in "${@:2}"; do
        case $status in
            'exit status 75' | [0-9]*) ;;
            *) code=1 word=failed ;;
        esac
    done
    echo "$dispatcher: $(($# / 2)) of $total jobs $word; logs:" >&2
    while [ $# -gt 0 ]; do
        log_of "$1"
        printf '    %s (%s)\n' "$file" "$2" >&2
        if [ -z "$quiet" ] && [ "$shown" -lt 5 ] && [ -s "$file" ]; then
            tail -n 12 -- "$file" | tr -d '\000-\010\013-\037\177' \
                | sed -e '/^# ended /d' -e 's/^/        /' >&2
            shown=$((shown + 1))
        fi
        shift 2
    done
    return "$code"
}
