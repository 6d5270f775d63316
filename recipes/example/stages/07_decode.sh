#!/usr/bin/env bash
# Decode the scores of the held-out folds, and detect events where there are none to find.
# This script takes the options of run.sh.
set -euo pipefail
. "$(dirname -- "${BASH_SOURCE[0]}")/../path.sh"

# Detect events in recordings. Usage: detect_in FOLD NAME RECORDING...
detect_in() {
    local fold=$1 name=$2
    shift 2
    logged_on_gpus "$((gpus > 0))" "07_detect_${name}_fold$fold.$system" detect --format jsonl \
        --output "$model/fold$fold/detected/$name.jsonl" -- "$model/fold$fold" "$@"
}

for fold in "${held_out[@]}"; do
    logged "07_decode_fold$fold.$system" decode --mode frame -- "$model/fold$fold/test/scores.h5" \
        "$model/fold$fold/operating_point.yaml" "$model/fold$fold/test/frame"
    mkdir -p -- "$model/fold$fold/detected"
    detect_in "$fold" backgrounds "$data/fold$fold/backgrounds/audio/test"
    detect_in "$fold" recordings "$bank"/*/"$fold"-*
    detect_in "$fold" other "$data/other/audio/test"
    detect_in "$fold" noise "$data/noise"
done
