#!/usr/bin/env bash
# Match the lists with the audio: data/train, data/eval.
# This script takes the options of run.sh.
set -euo pipefail
. "$(dirname -- "${BASH_SOURCE[0]}")/../path.sh"

options=(--subset "$subset" --jobs "$processes")
if [ -n "$dcase_metadata" ]; then # the training excludes the test sets of stage 10
    logged 01_prepare_dcase prepare dcase2017 --metadata-only -- "$dcase_metadata" "$dcase/lists"
    options+=(--exclude "$dcase/lists/test" --exclude "$dcase/lists/eval")
fi
cmd+=(--num-threads "$processes") # one thread for each process that reads audio
logged 01_prepare prepare audioset "${options[@]}" -- "$metadata" "${audio[@]}" "$data"
for set in train eval; do
    logged "01_validate_$set" validate -- "$data/$set"
done
