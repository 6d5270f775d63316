#!/usr/bin/env bash
# Compare pooling functions and hierarchies over several seeds: Wang, Li & Metze's table 2 and He, Shen & Zhang's table 2, as measured.
#
#     bash recipes/dcase2017/local/compare_pooling.sh [--systems 'NAME ...'] [--seeds 'N ...'] [--option value ...]
#
# Trains, decodes and scores every system with every seed (stages 4 to 8, as <system>.seed<N> in the experiment directory; what is
# trained already stays), then writes and prints exp/compare.md, and the same as exp/compare.tsv. Run stages 1 to 3 before.
#
#   --systems 'NAME ...'   configurations of conf/, or files (the five poolings of crnn_*, and gated_crnn_* single and hierarchical)
#   --seeds 'N ...'        seeds of the training (0 1 2)
#   other options          those of run.sh: --exp, --audio, --metadata, --jobs, --bootstrap, ...
set -euo pipefail
recipe=$(cd -- "$(dirname -- "${BASH_SOURCE[0]}")/.." && pwd)
systems='crnn_max crnn_average crnn_linear crnn_exp crnn_attention gated_crnn_linear gated_crnn_linear_hierarchical gated_crnn_exp
    gated_crnn_exp_hierarchical gated_crnn_attention gated_crnn_attention_hierarchical'
seeds='0 1 2'
rest=() exp='' cmd=() # path.sh sets the last two
while [ $# -gt 0 ]; do
    case $1 in
        --help | -h) sed -n '2,/^set /{/^#/s/^# \{0,1\}//p;}' "$0"; exit 0 ;;
        --systems=* | --seeds=*) name=${1%%=*} && printf -v "${name#--}" %s "${1#*=}" && shift ;;
        --systems | --seeds)
            [ $# -ge 2 ] || { echo "compare_pooling.sh: '$1' needs a value (--help lists the options)" >&2; exit 2; }
            printf -v "${1#--}" %s "$2"
            shift 2
            ;;
        --stage* | --stop-stage* | --config* | --system | --system=* | --seed | --seed=*)
            echo "compare_pooling.sh: '$1' is set for each system and seed in turn (--help lists the options)" >&2
            exit 2
            ;;
        *) rest+=("$1"); shift ;;
    esac
done
if [ -z "${systems// /}" ] || ! [[ $seeds =~ ^\ *[0-9]+(\ +[0-9]+)*\ *$ ]]; then
    echo "compare_pooling.sh: expected names of systems and numbers of seeds, found --systems '$systems' --seeds '$seeds'" >&2
    exit 2
fi
set -- ${rest[@]+"${rest[@]}"}
. "$recipe/path.sh"

names=() files=()
for name in $systems; do # all of them before hours of training
    file=$name
    if [ ! -f "$file" ]; then file=$recipe/conf/$name.yaml; fi
    if [ ! -f "$file" ]; then echo "compare_pooling.sh: $name: no such configuration in $recipe/conf" >&2; exit 1; fi
    name=$(basename -- "$file")
    names+=("${name%.yaml}") files+=("$file")
done
for i in "${!names[@]}"; do
    for seed in $seeds; do
        guarded bash "$recipe/run.sh" "$@" --stage 4 --stop-stage 8 --config "${files[$i]}" --system "${names[$i]}.seed$seed" \
            --seed "$seed" > /dev/null
    done
done
# shellcheck disable=SC2086  # a list of numbers
guarded "${cmd[@]}" "$exp/log/compare.log" python3 "$recipe/local/compare.py" "$exp" --systems "${names[@]}" --seeds $seeds
