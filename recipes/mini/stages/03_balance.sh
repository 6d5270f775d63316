#!/usr/bin/env bash
# Hold out a balanced validation set: data/fit and data/valid.
# This script takes the options of run.sh.
set -euo pipefail
. "$(dirname -- "${BASH_SOURCE[0]}")/../path.sh"

logged 03_balance balance --num-valid "$num_valid" --seed "$seed" \
    -- "$data/train" "$data/fit" "$data/valid"
