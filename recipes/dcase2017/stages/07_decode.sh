#!/usr/bin/env bash
# Decode scores to tags and events: 1 s segments, and filtered frames.
# This script takes the options of run.sh.
set -euo pipefail
. "$(dirname -- "${BASH_SOURCE[0]}")/../path.sh"

sets=$(sets_of test eval)
for set in $sets; do
    logged "07_decode_${set}_segment.$system" decode --mode segment \
        -- "$model/$set/scores.h5" "$model/operating_point.yaml" "$model/$set/segment"
    logged "07_decode_${set}_frame.$system" decode --mode frame \
        -- "$model/$set/scores.h5" "$model/test/operating_point.yaml" "$model/$set/frame"
    logged "07_decode_${set}_frame_common.$system" decode --mode frame \
        -- "$model/$set/scores.h5" "$model/test/operating_point_common.yaml" \
        "$model/$set/frame_common"
done
