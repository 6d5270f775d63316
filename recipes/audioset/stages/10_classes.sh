#!/usr/bin/env bash
# Find the classes of DCASE 2017 task 4 among those of the model, by their IDs.
# This script takes the options of run.sh.
set -euo pipefail
. "$(dirname -- "${BASH_SOURCE[0]}")/../path.sh"

if [ -z "$dcase_metadata" ]; then
    echo "10_classes.sh: stage 10 needs the lists and the audio of DCASE 2017 task 4;" \
        "give --dcase-metadata DIR and --dcase-audio DIR" >&2
    exit 2
fi
logged "10_lists.$system" prepare dcase2017 --metadata-only -- "$dcase_metadata" "$target/lists"
logged_program "10_classes.$system" dcase_classes.py --frontend "$frontend" -- \
    "$model" "$metadata" "$target/lists/test" "$target/classes.tsv"
