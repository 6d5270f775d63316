#!/usr/bin/env bash
# Match the lists with the audio: data/train, data/test, data/eval.
# This script takes the options of run.sh.
set -euo pipefail
. "$(dirname -- "${BASH_SOURCE[0]}")/../path.sh"

cmd+=(--num-threads "$processes") # one thread for each process that reads audio
logged 01_prepare prepare dcase2017 --jobs "$processes" -- "$metadata" "${audio[@]}" "$data"
sets=$(sets_of train test eval)
for set in $sets; do
    logged "01_validate_$set" validate -- "$data/$set"
done
sets_of train > /dev/null # the later stages need the sets train and test
sets_of test > /dev/null
