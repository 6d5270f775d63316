#!/usr/bin/env bash
# Match the lists with the audio: data/train, data/test, data/eval.
# Options: those of run.sh.
set -euo pipefail
. "$(dirname -- "${BASH_SOURCE[0]}")/../path.sh"

logged 01_prepare prepare dcase2017 --jobs "$jobs" -- "$metadata" "${audio[@]}" "$data"
for set in $(sets_of train test eval); do
    logged "01_validate_$set" validate -- "$data/$set"
done
