# Sourced with the arguments of a script: sets the variables that its options name, without eval.
#
#     option_names='name flag many'; name=default; flag=false; many=()
#     . bin/parse_options.sh "$@"
#
# `--some-name VALUE` and `--some-name=VALUE` set $some_name, which must be one of $option_names; an array collects repeated
# options; a variable that is true or false takes no value. `--help` prints the script's header comment and exits.
# shellcheck shell=bash disable=SC2154  # the caller sets option_names

_options_help() { # print the comment block at the head of the script that sourced us
    sed -n '2,/^[^#]/{/^#/s/^# \{0,1\}//p;}' "$0"
}

_options_fail() {
    echo "$(basename -- "$0"): $1 (--help lists the options)" >&2
    exit 2
}

_parse_options() {
    local option name value
    while [ $# -gt 0 ]; do
        option=$1
        shift
        case $option in
            --help | -h) _options_help; exit 0 ;;
            --?*) ;;
            *) _options_fail "unexpected argument '$option'" ;;
        esac
        name=${option#--}
        name=${name%%=*}
        name=${name//-/_}
        if [[ ! $name =~ ^[a-z0-9_]+$ || " $option_names " != *" $name "* ]]; then
            _options_fail "unknown option '${option%%=*}'"
        fi
        if [ "${!name:-}" = true ] || [ "${!name:-}" = false ]; then
            [[ $option != *=* ]] || _options_fail "'${option%%=*}' takes no value"
            printf -v "$name" true
            continue
        fi
        if [[ $option == *=* ]]; then
            value=${option#*=}
        else
            [ $# -gt 0 ] || _options_fail "'$option' needs a value"
            value=$1
            shift
        fi
        if [[ $(declare -p "$name") == "declare -a"* ]]; then
            declare -n _list=$name
            _list+=("$value")
            unset -n _list
        else
            printf -v "$name" %s "$value"
        fi
    done
}

_parse_options "$@"
