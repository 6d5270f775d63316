#!/usr/bin/env bash
# Train and tune a network in the same way on the recordings of all folds.
# This script takes the options of run.sh.
set -euo pipefail
. "$(dirname -- "${BASH_SOURCE[0]}")/../path.sh"

logged 01_prepare_all prepare soundscapes "${mixing[@]}" --all-folds \
    --num-train "$num_train" --empty-every "$empty_every" -- "$bank" "$data/all"
extract_set 02_extract_train_all "$jobs" "$jobs" "$data/all/train" "$feats/all/train.h5" \
    --config "$frontend"
logged 03_balance_all balance --num-valid "$num_valid" --seed "$seed" \
    -- "$data/all/train" "$data/all/fit" "$data/all/valid"
train_on all
predict_valid all
tune_on all
