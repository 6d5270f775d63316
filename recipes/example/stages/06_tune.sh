#!/usr/bin/env bash
# Tune thresholds for few false alarms on the tags of the validation sets.
# This script takes the options of run.sh.
set -euo pipefail
. "$(dirname -- "${BASH_SOURCE[0]}")/../path.sh"

for fold in "${held_out[@]}"; do tune_on "fold$fold"; done
