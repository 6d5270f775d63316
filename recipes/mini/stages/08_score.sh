#!/usr/bin/env bash
# Evaluate tags and events.
# This script takes the options of run.sh.
set -euo pipefail
. "$(dirname -- "${BASH_SOURCE[0]}")/../path.sh"

for mode in segment frame; do
    logged "08_score_$mode.$system" score \
        --scores "$model/test/scores.h5" --bootstrap "$bootstrap" -- \
        "$data/test" "$model/test/$mode"
done
