#!/usr/bin/env bash
# Train a network on the tags for each held-out fold.
# This script takes the options of run.sh.
set -euo pipefail
. "$(dirname -- "${BASH_SOURCE[0]}")/../path.sh"

for fold in "${held_out[@]}"; do train_on "fold$fold"; done
