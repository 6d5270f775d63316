#!/usr/bin/env bash
# Train the network on the tags.
# This script takes the options of run.sh.
set -euo pipefail
. "$(dirname -- "${BASH_SOURCE[0]}")/../path.sh"

logged_on_gpus "$gpus" "04_train.$system" train --feats "$feats/train.h5" \
    --config "$config" --set "seed=$seed" -- "$data/fit" "$data/valid" "$model"
