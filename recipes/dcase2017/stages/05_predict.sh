#!/usr/bin/env bash
# Compute the scores of the validation, development and evaluation sets.
# This script takes the options of run.sh.
set -euo pipefail
. "$(dirname -- "${BASH_SOURCE[0]}")/../path.sh"

logged_on_gpus "$((gpus > 0))" "05_predict_valid.$system" predict --data "$data/valid" -- \
    "$model" "$feats/train.h5" "$model/valid/scores.h5"
sets=$(sets_of test eval)
for set in $sets; do
    logged_on_gpus "$((gpus > 0))" "05_predict_$set.$system" predict --data "$data/$set" -- \
        "$model" "$feats/$set.h5" "$model/$set/scores.h5"
done
