#!/usr/bin/env bash
# Compute the log-mel features of the mixtures.
# This script takes the options of run.sh.
set -euo pipefail
. "$(dirname -- "${BASH_SOURCE[0]}")/../path.sh"

for fold in "${held_out[@]}"; do
    for set in train test; do
        extract_set "02_extract_${set}_fold$fold" "$jobs" "$jobs" "$data/fold$fold/$set" \
            "$feats/fold$fold/$set.h5" --config "$frontend"
    done
done
