# Sourced by run.sh and by every stage: the recipe's options with their defaults, and the environment.
# shellcheck shell=bash disable=SC2034  # the variables are read by the scripts that source this
recipe=$(cd -- "$(dirname -- "${BASH_SOURCE[0]}")" && pwd)
root=$(cd -- "$recipe/../.." && pwd)

option_names='stage stop_stage exp bank background test_folds num_train num_test num_valid frontend config system jobs bootstrap seed'
stage=1
stop_stage=9
exp=$recipe/exp
bank=builtin
background=()
test_folds=4
num_train=600
num_test=120
num_valid=100
frontend=$recipe/conf/frontend_wang.yaml
config=$recipe/conf/crnn_linear.yaml
system=
jobs=2
bootstrap=1000
seed=0

. "$root/bin/parse_options.sh" "$@"

if [ -z "$system" ]; then
    system=$(basename -- "$config")
    system=${system%.yaml}
fi
data=$exp/data feats=$exp/feats model=$exp/$system
case $exp in -*) exp=./$exp ;; esac
. "$recipe/cmd.sh"
. "$root/bin/env.sh"
wsedtk_environment '' || exit 1

# Run a command so that a signal to this script ends it too, and with it all that it started. $on_stop is then told.
on_stop=
guarded() {
    local status=0
    "$@" &
    child=$!
    trap 'kill -TERM "$child" 2> /dev/null || true; wait "$child" || true; printf %s "$on_stop" >&2; exit 75' INT TERM
    wait "$child" || status=$?
    trap - INT TERM
    return "$status"
}

# wsedtk with the stage's record beside its log. Usage: logged NN_verb ARGUMENT...
logged() {
    local name=$1
    shift
    guarded "${cmd[@]}" "$exp/log/$name.log" wsedtk --record "$exp/log/$name.yaml" "$@"
}
