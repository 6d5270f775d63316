#!/usr/bin/env bash
# Compute the scores of the validation and the evaluation set, without frame scores.
# This script takes the options of run.sh.
set -euo pipefail
. "$(dirname -- "${BASH_SOURCE[0]}")/../path.sh"

logged_on_gpus "$((gpus > 0))" "05_predict_valid.$system" predict --no-frames --data "$data/valid" \
    -- "$model" "$feats/train.h5" "$model/valid/scores.h5"
logged_on_gpus "$((gpus > 0))" "05_predict_eval.$system" predict --no-frames --data "$data/eval" \
    -- "$model" "$feats/eval.h5" "$model/eval/scores.h5"
