#!/usr/bin/env bash
# Compute the log-mel features of both sets.
# Options: those of run.sh.
set -euo pipefail
. "$(dirname -- "${BASH_SOURCE[0]}")/../path.sh"

for set in train test; do
    logged "02_extract_$set" extract --config "$frontend" --jobs "$jobs" -- "$data/$set" "$feats/$set.h5"
done
