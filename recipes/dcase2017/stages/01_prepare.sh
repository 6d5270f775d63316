#!/usr/bin/env bash
# Match the lists with the audio: data/train, data/test, data/eval.
# Options: those of run.sh.
set -euo pipefail
. "$(dirname -- "${BASH_SOURCE[0]}")/../path.sh"

cmd+=(--num-threads "$processes") # they listen to the audio
logged 01_prepare prepare dcase2017 --jobs "$processes" -- "$metadata" "${audio[@]}" "$data"
sets=$(sets_of train test eval)
for set in $sets; do
    logged "01_validate_$set" validate -- "$data/$set"
done
sets_of train > /dev/null # nothing goes on without these two
sets_of test > /dev/null
