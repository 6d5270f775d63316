#!/usr/bin/env bash
# Compute the log-mel features of the three sets.
# This script takes the options of run.sh.
set -euo pipefail
. "$(dirname -- "${BASH_SOURCE[0]}")/../path.sh"

sets=$(sets_of train test eval)
for set in $sets; do
    extract_set "02_extract_$set" "$jobs" "$jobs" "$data/$set" "$feats/$set.h5" \
        --crop --config "$frontend"
done
