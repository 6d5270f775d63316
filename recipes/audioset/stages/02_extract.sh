#!/usr/bin/env bash
# Compute the log-mel features of both sets.
# This script takes the options of run.sh.
set -euo pipefail
. "$(dirname -- "${BASH_SOURCE[0]}")/../path.sh"

for set in train eval; do
    extract_set "02_extract_$set" "$shards" "$jobs" "$data/$set" "$feats/$set.h5" \
        --crop --dtype float16 --config "$frontend"
done
