#!/usr/bin/env bash
# Choose thresholds on the validation set's tags.
# Options: those of run.sh.
set -euo pipefail
. "$(dirname -- "${BASH_SOURCE[0]}")/../path.sh"

logged "06_tune.$system" tune -- "$model/valid/scores.h5" "$data/valid" "$model/operating_point.yaml"
