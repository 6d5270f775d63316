#!/usr/bin/env bash
# Prepare the sets of DCASE 2017 task 4, hold out a validation set, and extract the features.
# This script takes the options of run.sh.
set -euo pipefail
. "$(dirname -- "${BASH_SOURCE[0]}")/../path.sh"

one=("${cmd[@]}")
cmd+=(--num-threads "$processes") # one thread for each process that reads audio
logged 10_prepare prepare dcase2017 --jobs "$processes" \
    -- "$dcase_metadata" "${dcase_audio[@]}" "$dcase/data"
cmd=("${one[@]}")
logged 10_balance balance --num-valid "$dcase_num_valid" --seed "$seed" \
    -- "$dcase/data/train" "$dcase/data/fit" "$dcase/data/valid"
for set in valid $dcase_sets; do
    extract_set "10_extract_$set" "$jobs" "$jobs" "$dcase/data/$set" "$dcase/feats/$set.h5" \
        --crop --config "$frontend"
done
