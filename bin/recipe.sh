# The path.sh of each recipe sources this file with the arguments of the running script. These
# variables must be set: $recipe (the folder of the recipe), $root (the folder of the checkout),
# $option_names, and the defaults of the options, among them $stage, $stop_stage, $exp, $config,
# $jobs, $gpus, $system and $model. $system and $model may be empty.
#
# This file adds the option --dispatcher, parses the options, sets $system, $data and $model, and
# finds the Python environment. It defines `expect_number`, `logged`, `logged_on_gpus`,
# `extract_set`, `guarded`, `fetch`, `report_systems` and `run_stages`.
# shellcheck shell=bash disable=SC2034,SC2154  # other scripts set or read the variables

option_names+=' dispatcher'
dispatcher=
. "$root/bin/parse_options.sh" "$@"

# Exit unless the value of an option is a whole number from LEAST to 9999.
# Usage: expect_number NAME LEAST
expect_number() {
    if ! [[ ${!1} =~ ^(0|[1-9][0-9]{0,3})$ ]] || [ "${!1}" -lt "$2" ]; then
        echo "$(basename -- "$0"): --${1//_/-} '${!1}': expected a number from $2 to 9999" >&2
        exit 2
    fi
}
expect_number jobs 1
processes=$((jobs < 8 ? jobs : 8)) # the number of processes of a job that checks audio
expect_number gpus 0
if [ -n "$dispatcher" ]; then
    case $dispatcher in
        /*) ;;
        *) dispatcher=$PWD/$dispatcher ;;
    esac
    if ! [ -f "$dispatcher" ] || ! [ -x "$dispatcher" ]; then
        echo "$(basename -- "$0"): --dispatcher $dispatcher: is not an executable file;" \
            "give bin/local.sh, bin/slurm.sh or your own script" >&2
        exit 2
    fi
fi
case $exp in
    '') echo "$(basename -- "$0"): --exp '': expected the path of a folder" >&2; exit 2 ;;
    -*) exp=./$exp ;;
esac
case $model in
    -*) model=./$model ;;
esac
if [ -z "$system" ]; then
    system=$(basename -- "${model:-$config}")
    system=${system%.yaml}
fi
case $system in
    data | feats | log | download | dcase | .* | */*)
        echo "$(basename -- "$0"): --system $system: this name is reserved, starts with '.'" \
            "or contains '/'; give another name as --system" >&2
        exit 2
        ;;
esac
data=$exp/data
: "${model:=$exp/$system}"
. "$recipe/cmd.sh"
. "$root/bin/env.sh"
wsedtk_environment '' || exit 1

# Run a command. If this script receives a signal, send SIGTERM to the command, wait until it has
# ended, print $on_stop, and exit with status 75.
on_stop=
guarded() {
    local status=0
    "$@" &
    child=$!
    # The loop continues because a second signal ends `wait`.
    trap 'kill -TERM "$child" 2> /dev/null || true
        while kill -0 "$child" 2> /dev/null; do wait "$child" || true; done
        printf %s "$on_stop" >&2; exit 75' INT TERM HUP USR1
    wait "$child" || status=$?
    trap - INT TERM HUP USR1
    return "$status"
}

# Run wsedtk as a job. The log is NN_verb.log, and the record of the command is NN_verb.yaml.
# Usage: logged NN_verb ARGUMENT...
logged() {
    local name=$1
    shift
    guarded "${cmd[@]}" "$exp/log/$name.log" wsedtk --record "$exp/log/$name.yaml" "$@"
}

# Run wsedtk as `logged` does, but in a job with N GPUs and with one process per GPU. If N is 0, the
# job has one process and no GPU.
# Usage: logged_on_gpus N NN_verb ARGUMENT...
logged_on_gpus() {
    local number=$1 name=$2 launch=(wsedtk)
    shift 2
    if [ "$number" -gt 1 ]; then # torchrun.py divides the cores of the job among the processes
        launch=(env -u OMP_NUM_THREADS python3 "$root/bin/torchrun.py" --standalone)
        launch+=(--nproc-per-node "$number" -m wsedtk)
    fi
    guarded "${train_cmd[@]}" --gpu "$number" "$exp/log/$name.log" \
        "${launch[@]}" --record "$exp/log/$name.yaml" "$@"
}

# Extract the features of a set in an array of jobs, one per shard.
# Usage: extract_set NN_verb SHARDS JOBS_AT_ONCE DATA_SET FEATS.h5 OPTION...
extract_set() {
    local name=$1 shards=$2 at_once=$3 set=$4 output=$5 stem old count
    shift 5
    stem=$(basename -- "$output" .h5)
    # Remove the files that an earlier run with another number of shards wrote.
    for old in "$(dirname -- "$output")"/{,.}"$stem"{,.*-of-*}.h5{,.parts}; do
        count=1
        if [[ $old =~ -of-([0-9]+)\.h5(\.parts)?$ ]]; then count=${BASH_REMATCH[1]}; fi
        if [ "$count" != "$shards" ]; then rm -rf -- "$old"; fi
    done
    if [ "$shards" -eq 1 ]; then
        logged "$name" extract "$@" -- "$set" "$output"
        return
    fi
    # The dispatcher replaces WSEDTK_SHARD in all arguments by the number of the job. Therefore, the
    # name of a folder must not contain WSEDTK_SHARD.
    guarded "${cmd[@]}" --max-jobs-run "$at_once" WSEDTK_SHARD=1:"$shards" \
        "$exp/log/$name.WSEDTK_SHARD.log" wsedtk --record "$exp/log/$name.WSEDTK_SHARD.yaml" \
        extract "$@" --shard "WSEDTK_SHARD/$shards" -- "$set" "$output"
}

# Fetch a file if it does not exist or is empty. If $dry_run is true, print the URL and the file
# instead.
# Usage: fetch URL FILE
fetch() {
    if [ -s "$2" ]; then return 0; fi
    if [ "$dry_run" = true ]; then
        echo "curl $1 -> $2"
        return 0
    fi
    mkdir -p -- "$(dirname -- "$2")"
    guarded curl --fail --silent --show-error --location --retry 3 --output "$2.part" "$1"
    mv -- "$2.part" "$2"
}

# Write one report page about all tuned systems of the experiment.
report_systems() {
    local systems=() folder
    for folder in "$exp"/*/; do
        if [ -f "$folder/operating_point.yaml" ]; then systems+=("${folder%/}"); fi
    done
    if [ ${#systems[@]} -eq 0 ]; then
        echo "$(basename -- "$0"): $exp: no tuned system; run stages 1 to 8 first" >&2
        return 1
    fi
    logged 09_report report -- "${systems[@]}" "$exp/report.html"
}

# Run the stages $stage to $stop_stage of the recipe in order. LAST is the last stage of the recipe.
# Usage: run_stages LAST OPTION...
run_stages() {
    local last=$1 script number
    shift
    if ! [[ $stage =~ ^[0-9]{1,2}$ && $stop_stage =~ ^[0-9]{1,2}$ ]] \
        || [ "$stage" -gt "$stop_stage" ] || [ "$stage" -gt "$last" ]; then
        echo "run.sh: --stage $stage --stop-stage $stop_stage: expected numbers with" \
            "stage <= stop-stage, and stage at most $last" >&2
        exit 2
    fi
    for script in "$recipe"/stages/[0-9][0-9]_*.sh; do
        number=$(basename -- "$script")
        number=$((10#${number%%_*}))
        if [ "$number" -ge "$stage" ] && [ "$number" -le "$stop_stage" ]; then
            echo "== stage $number: $(sed -n '2s/^# //p' "$script")" >&2
            on_stop="run.sh: stopped in stage $number; run it again with --stage $number to resume"
            on_stop+=$'\n'
            guarded bash "$script" "$@"
        fi
    done
}
