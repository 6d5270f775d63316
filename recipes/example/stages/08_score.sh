#!/usr/bin/env bash
# Evaluate tags and events of the held-out folds.
# This script takes the options of run.sh.
set -euo pipefail
. "$(dirname -- "${BASH_SOURCE[0]}")/../path.sh"

for fold in "${held_out[@]}"; do
    logged "08_score_fold$fold.$system" score \
        --scores "$model/fold$fold/test/scores.h5" --bootstrap "$bootstrap" -- \
        "$data/fold$fold/test" "$model/fold$fold/test/frame"
done
