#!/usr/bin/env bash
# Select the recordings, and mix them for each held-out fold: with events, and backgrounds only.
# This script takes the options of run.sh.
set -euo pipefail
. "$(dirname -- "${BASH_SOURCE[0]}")/../path.sh"

if [ -z "$esc10" ]; then
    echo "$(basename -- "$0"): give the folder of ESC-10 as --esc10 DIR" >&2
    exit 2
fi
mkdir -p -- "$exp/log"
guarded python3 "$recipe/local/select_recordings.py" --folds "$folds" -- "$esc10" "$bank" \
    "$exp/CREDITS.md"
for fold in "${held_out[@]}"; do
    logged "01_prepare_fold$fold" prepare soundscapes "${mixing[@]}" --test-folds "$fold" \
        --num-train "$num_train" --num-test "$num_test" --empty-every "$empty_every" \
        -- "$bank" "$data/fold$fold"
    logged "01_prepare_backgrounds$fold" prepare soundscapes "${mixing[@]}" --test-folds "$fold" \
        --num-train 1 --num-test "$num_test" --empty-every 1 \
        -- "$bank" "$data/fold$fold/backgrounds"
    logged "01_validate_fold$fold" validate -- "$data/fold$fold/train" "$data/fold$fold/test"
done
logged 01_prepare_other prepare soundscapes --seed "$seed" --num-train 1 --num-test "$num_test" \
    -- builtin "$data/other"
guarded python3 "$recipe/local/make_noise.py" --seed "$seed" -- "$data/noise"
