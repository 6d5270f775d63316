#!/usr/bin/env bash
# Compute the scores of the validation sets, and of the held-out folds.
# This script takes the options of run.sh.
set -euo pipefail
. "$(dirname -- "${BASH_SOURCE[0]}")/../path.sh"

for fold in "${held_out[@]}"; do
    predict_valid "fold$fold"
    logged_on_gpus "$((gpus > 0))" "05_predict_test_fold$fold.$system" predict \
        -- "$model/fold$fold" "$feats/fold$fold/test.h5" "$model/fold$fold/test/scores.h5"
done
