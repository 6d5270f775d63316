#!/usr/bin/env bash
# Compute the scores of the validation and the test set.
# This script takes the options of run.sh.
set -euo pipefail
. "$(dirname -- "${BASH_SOURCE[0]}")/../path.sh"

logged_on_gpus "$((gpus > 0))" "05_predict_valid.$system" predict --data "$data/valid" -- \
    "$model" "$feats/train.h5" "$model/valid/scores.h5"
logged_on_gpus "$((gpus > 0))" "05_predict_test.$system" predict \
    -- "$model" "$feats/test.h5" "$model/test/scores.h5"
