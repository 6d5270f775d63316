# The local/compare_pooling.sh of a recipe sources this file with its arguments. $recipe, $systems
# and $seeds must be set. This file parses the options --systems, --seeds, --max-jobs-run and
# --only. The other options are in $rest, and path.sh parses them. This file defines `run_all` and
# `compare`.
#
# In a job that `run_all` started, $only is the number of the job, $seed is its seed, $system is the
# name of its model directory (<system>.seed<N>), and $options contains its options for run.sh.
# shellcheck shell=bash disable=SC2034,SC2154  # other scripts set or read the variables
rest=() all=("$@") only='' max_jobs_run=1
while [ $# -gt 0 ]; do
    case $1 in
        --help | -h) sed -n '2,/^set /{/^# shellcheck/d;/^#/s/^# \{0,1\}//p;}' "$0"; exit 0 ;;
        --systems=* | --seeds=* | --max-jobs-run=*)
            name=${1%%=*}
            name=${name#--}
            printf -v "${name//-/_}" %s "${1#*=}"
            shift
            ;;
        --systems | --seeds | --max-jobs-run | --only)
            if [ $# -lt 2 ]; then
                echo "compare_pooling.sh: '$1' needs a value (--help lists the options)" >&2
                exit 2
            fi
            name=${1#--}
            printf -v "${name//-/_}" %s "$2"
            shift 2
            ;;
        --stage* | --stop-stage* | --config* | --system | --system=* | --seed | --seed=*)
            echo "compare_pooling.sh: '$1': this script sets this option itself; omit it" \
                "(--help lists the options)" >&2
            exit 2
            ;;
        *) rest+=("$1"); shift ;;
    esac
done
if [ -z "${systems// /}" ] || ! [[ $seeds =~ ^\ *[0-9]+(\ +[0-9]+)*\ *$ ]]; then
    echo "compare_pooling.sh: expected names of systems and numbers of seeds," \
        "found --systems '$systems' --seeds '$seeds'" >&2
    exit 2
fi
set -- ${rest[@]+"${rest[@]}"}
. "$recipe/path.sh"
expect_number max_jobs_run 0

names=() runs=() known=' ' # $runs has three items for each run: system, file, seed
for name in $systems; do # check all systems before hours of training
    file=$name
    if [ ! -f "$file" ]; then file=$recipe/conf/$name.yaml; fi
    if [ ! -f "$file" ]; then
        echo "compare_pooling.sh: $name: no such file, and no such configuration in" \
            "$recipe/conf" >&2
        exit 1
    fi
    name=$(basename -- "$file" .yaml)
    names+=("$name")
    for seed in $seeds; do
        if [[ $known == *" $name.$seed "* ]]; then
            echo "compare_pooling.sh: $name with seed $seed is given twice; give it once" >&2
            exit 2
        fi
        known+="$name.$seed "
        runs+=("$name" "$file" "$seed")
    done
done
if [ -n "$only" ]; then
    run=("${runs[@]:3 * (only - 1):3}")
    seed=${run[2]} system=${run[0]}.seed${run[2]}
    options=(${rest[@]+"${rest[@]}"} --config "${run[1]}" --system "$system" --seed "$seed")
    options+=(--dispatcher "$root/bin/local.sh")
    echo "== $system"
fi

# Run the calling script once for each system and seed, with $only set, as an array of jobs.
run_all() {
    local count=$((${#runs[@]} / 3))
    echo "compare_pooling.sh: number of jobs, one per system and seed: $count;" \
        "logs: $exp/log/compare.<number>.log" >&2
    on_stop=$'compare_pooling.sh: stopped; run the same command again to resume\n'
    guarded "${train_cmd[@]}" --gpu "$gpus" --max-jobs-run "$max_jobs_run" \
        WSEDTK_RUN=1:"$count" "$exp/log/compare.WSEDTK_RUN.log" \
        bash "$recipe/local/compare_pooling.sh" ${all[@]+"${all[@]}"} --only WSEDTK_RUN
}

# Write and print compare.md of an experiment directory: tables over systems and seeds.
# Usage: compare EXP SET/MODE=TITLE...
compare() {
    local folder=$1 tables=() table
    shift
    for table in "$@"; do tables+=(--table "$table"); done
    # shellcheck disable=SC2086  # seeds are a list of numbers
    guarded "${cmd[@]}" "$folder/log/compare.log" \
        python3 "$root/bin/compare.py" "$folder" "${tables[@]}" \
        --systems "${names[@]}" --seeds $seeds
}
