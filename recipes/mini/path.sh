# run.sh and each stage source this file. It sets the options of the recipe, and finds the Python
# environment.
# shellcheck shell=bash disable=SC2034  # scripts that source this file read the variables
recipe=$(cd -- "$(dirname -- "${BASH_SOURCE[0]}")" && pwd)
root=$(cd -- "$recipe/../.." && pwd)

option_names='stage stop_stage exp bank background test_folds num_train num_test'
option_names+=' num_valid frontend config init system jobs gpus bootstrap seed'
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
init=
system=
model=
jobs=2
gpus=0
bootstrap=1000
seed=0

. "$root/bin/recipe.sh" "$@"
feats=$exp/feats
if [ -n "$init" ]; then feats=$exp/feats/$(basename -- "$init"); fi
