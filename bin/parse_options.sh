# A script sources this file with its own arguments. The file sets a variable for each option that
# is given, without `eval`.
#
#     option_names='name flag many'; name=default; flag=false; many=()
#     . bin/parse_options.sh "$@"
#
# `--some-name VALUE` and `--some-name=VALUE` set $some_name. The name must be in $option_names. If
# the variable is an array, VALUE is appended to it, so the option can be repeated. If the variable
# is `true` or `false`, the option takes no value and sets the variable to `true`. `--help` prints
# the header comment of the script and exits.
# shellcheck shell=bash disable=SC2154  # the caller sets option_names

_options_help() { # print the header comment of the calling script
    sed -n '2,/^[^#]/{/^#/s/^# \{0,1\}//p;}' "$0"
}

_options_fail() {
    echo "$(basename -- "$0"): $1 (--help lists the options)" >&2
    exit 2
}

_parse_options() { # local names start with _, so that they do not hide variables of the caller
    local _option _name _value
    while [ $# -gt 0 ]; do
        _option=$1
        shift
        case $_option in
            --help | -h) _options_help; exit 0 ;;
            --?*) ;;
            *) _options_fail "unexpected argument '$_option'" ;;
        esac
        _name=${_option#--}
        _name=${_name%%=*}
        _name=${_name//-/_}
        if [[ ! $_name =~ ^[a-z][a-z0-9_]*$ || " $option_names " != *" $_name "* ]]; then
            _options_fail "unknown option '${_option%%=*}'"
        fi
        if [ "${!_name:-}" = true ] || [ "${!_name:-}" = false ]; then
            [[ $_option != *=* ]] || _options_fail "'${_option%%=*}' takes no value"
            printf -v "$_name" true
            continue
        fi
        if [[ $_option == *=* ]]; then
            _value=${_option#*=}
        else
            [ $# -gt 0 ] || _options_fail "'$_option' needs a value"
            _value=$1
            shift
        fi
        if [[ $(declare -p "$_name") == "declare -a"* ]]; then
            declare -n _list=$_name
            _list+=("$_value")
            unset -n _list
        else
            printf -v "$_name" %s "$_value"
        fi
    done
}

_parse_options "$@"
