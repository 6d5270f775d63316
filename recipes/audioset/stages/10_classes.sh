#!/usr/bin/env bash
# Find the classes of DCASE 2017 task 4 among the model's, by their IDs.
# Options: those of run.sh.
set -euo pipefail
. "$(dirname -- "${BASH_SOURCE[0]}")/../path.sh"

if [ -z "$dcase_metadata" ]; then
    echo "$(basename -- "$0"): --dcase-metadata DIR and --dcase-audio DIR are needed: DCASE 2017 task 4's lists and audio" >&2
    exit 2
fi
logged "10_lists.$system" prepare dcase2017 --metadata-only -- "$dcase_metadata" "$target/lists"
logged_program "10_classes.$system" dcase_classes.py --frontend "$frontend" -- \
    "$model" "$metadata" "$target/lists/test" "$target/classes.tsv"
