#!/usr/bin/env bash
# Compare scores and tags with the truth: MAP, MAUC, d', tagging.
# Options: those of run.sh.
set -euo pipefail
. "$(dirname -- "${BASH_SOURCE[0]}")/../path.sh"

logged "08_score_eval.$system" score --scores "$model/eval/scores.h5" --bootstrap "$bootstrap" -- "$data/eval" "$model/eval/segment"
