#!/usr/bin/env bash
# Write the model directory with its model card and its credits.
# This script takes the options of run.sh.
set -euo pipefail
. "$(dirname -- "${BASH_SOURCE[0]}")/../path.sh"

guarded python3 "$recipe/local/release.py" -- "$model/all" "$model/summary.md" "$exp/CREDITS.md" \
    "$release"
