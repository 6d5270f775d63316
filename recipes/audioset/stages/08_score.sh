#!/usr/bin/env bash
# Evaluate scores and tags: MAP, MAUC, d', tagging.
# This script takes the options of run.sh.
set -euo pipefail
. "$(dirname -- "${BASH_SOURCE[0]}")/../path.sh"

logged "08_score_eval.$system" score --scores "$model/eval/scores.h5" --bootstrap "$bootstrap" \
    -- "$data/eval" "$model/eval/segment"
