#!/usr/bin/env bash
# Compute the log-mel features of both sets.
# This script takes the options of run.sh.
set -euo pipefail
. "$(dirname -- "${BASH_SOURCE[0]}")/../path.sh"

options=(--config "$frontend")
if [ -n "$init" ]; then options=(--frontend "$init"); fi
for set in train test; do
    extract_set "02_extract_$set" "$jobs" "$jobs" "$data/$set" "$feats/$set.h5" "${options[@]}"
done
