#!/usr/bin/env bash
# Tune thresholds on the tags of the validation set.
# This script takes the options of run.sh.
set -euo pipefail
. "$(dirname -- "${BASH_SOURCE[0]}")/../path.sh"

logged "06_tune.$system" tune \
    -- "$model/valid/scores.h5" "$data/valid" "$model/operating_point.yaml"
