#!/usr/bin/env bash
# Hold out mixtures of other recordings of the training folds for validation.
# This script takes the options of run.sh.
set -euo pipefail
. "$(dirname -- "${BASH_SOURCE[0]}")/../path.sh"

for fold in "${held_out[@]}"; do
    logged "03_balance_fold$fold" balance --num-valid "$num_valid" --seed "$seed" \
        -- "$data/fold$fold/train" "$data/fold$fold/fit" "$data/fold$fold/valid"
done
