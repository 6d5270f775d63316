# run.sh and each stage source this file. It sets the options of the recipe, and finds the Python
# environment.
# shellcheck shell=bash disable=SC2034,SC2154  # bin/recipe.sh and other scripts set or read these
recipe=$(cd -- "$(dirname -- "${BASH_SOURCE[0]}")" && pwd)
root=$(cd -- "$recipe/../.." && pwd)

option_names='stage stop_stage exp esc10 release folds test_folds num_train num_test num_valid'
option_names+=' empty_every target frontend config system jobs gpus bootstrap seed'
stage=1
stop_stage=11
exp=$recipe/exp
esc10=
release=
folds=1,2,3,4
test_folds=
num_train=1400
num_test=360
num_valid=280
empty_every=8
target=precision=0.98
frontend=mini/frontend_wang
config=$recipe/conf/crnn.yaml
system=
model=
jobs=2
gpus=0
bootstrap=1000
seed=0

. "$root/bin/recipe.sh" "$@"
feats=$exp/feats
bank=$exp/bank
IFS=, read -ra held_out <<< "${test_folds:-$folds}"
: "${release:=$model/example}"
case $release in
    -*) release=./$release ;;
esac
mixing=(--background Rain --background 'Sea waves' --background 'Fire crackling' --seed "$seed")

# Train a network on a set, and tune its thresholds on the part that is held out for validation.
# Usage: train_on NAME
train_on() {
    logged_on_gpus "$gpus" "04_train_$1.$system" train --feats "$feats/$1/train.h5" \
        --config "$config" --set "seed=$seed" -- "$data/$1/fit" "$data/$1/valid" "$model/$1"
}

# Compute the scores of the validation set. Usage: predict_valid NAME
predict_valid() {
    logged_on_gpus "$((gpus > 0))" "05_predict_valid_$1.$system" predict \
        --data "$data/$1/valid" -- "$model/$1" "$feats/$1/train.h5" "$model/$1/valid/scores.h5"
}

# Tune thresholds for few false alarms on the tags of the validation set. Usage: tune_on NAME
tune_on() {
    logged "06_tune_$1.$system" tune --target "$target" --max-gap-seconds 0.5 \
        -- "$model/$1/valid/scores.h5" "$data/$1/valid" "$model/$1/operating_point.yaml"
}
