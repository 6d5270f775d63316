#!/usr/bin/env bash
# Evaluate tags and events.
# This script takes the options of run.sh.
set -euo pipefail
. "$(dirname -- "${BASH_SOURCE[0]}")/../path.sh"

sets=$(sets_of test eval)
for set in $sets; do
    for mode in segment frame frame_common; do
        logged "08_score_${set}_$mode.$system" score \
            --scores "$model/$set/scores.h5" --bootstrap "$bootstrap" -- \
            "$data/$set" "$model/$set/$mode"
    done
done
