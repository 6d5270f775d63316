#!/usr/bin/env bash
# Decode scores to tags and events: 1 s segments.
# This script takes the options of run.sh.
set -euo pipefail
. "$(dirname -- "${BASH_SOURCE[0]}")/../path.sh"

logged "07_decode_eval.$system" decode --mode segment \
    -- "$model/eval/scores.h5" "$model/operating_point.yaml" "$model/eval/segment"
