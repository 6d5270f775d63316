# Sourced by a recipe's local/compare_pooling.sh, with its arguments, once $recipe, $systems and $seeds are set: takes --systems and --seeds
# out of them, and checks both, before path.sh parses the rest. Sets names and files of the systems; rest: the other options.
# shellcheck shell=bash disable=SC2034,SC2154  # the variables are those of the scripts around it
rest=()
while [ $# -gt 0 ]; do
    case $1 in
        --help | -h) sed -n '2,/^set /{/^# shellcheck/d;/^#/s/^# \{0,1\}//p;}' "$0"; exit 0 ;;
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

# Write and print compare.md of an experiment directory: tables over the systems and seeds. Usage: compare EXP SET/MODE=TITLE...
compare() {
    local folder=$1 tables=() table
    shift
    for table in "$@"; do tables+=(--table "$table"); done
    # shellcheck disable=SC2086  # seeds are a list of numbers
    guarded "${cmd[@]}" "$folder/log/compare.log" python3 "$root/bin/compare.py" "$folder" "${tables[@]}" --systems "${names[@]}" --seeds $seeds
}
