#!/usr/bin/env bash
# Decode the test scores to tags and events: 1 s segments, and filtered frames.
# This script takes the options of run.sh.
set -euo pipefail
. "$(dirname -- "${BASH_SOURCE[0]}")/../path.sh"

for mode in segment frame; do
    logged "07_decode_$mode.$system" decode --mode "$mode" \
        -- "$model/test/scores.h5" "$model/operating_point.yaml" "$model/test/$mode"
done
