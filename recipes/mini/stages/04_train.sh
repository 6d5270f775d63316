#!/usr/bin/env bash
# Train the network on the tags.
# This script takes the options of run.sh.
set -euo pipefail
. "$(dirname -- "${BASH_SOURCE[0]}")/../path.sh"

options=(--feats "$feats/train.h5" --config "$config" --set "seed=$seed")
if [ -n "$init" ]; then options+=(--init "$init"); fi
logged_on_gpus "$gpus" "04_train.$system" train "${options[@]}" -- "$data/fit" "$data/valid" "$model"
