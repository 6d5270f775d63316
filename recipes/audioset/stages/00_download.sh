#!/usr/bin/env bash
# Download the lists of AudioSet, and the audio of all clips that are still on YouTube.
# This script takes the options of run.sh.
set -euo pipefail
. "$(dirname -- "${BASH_SOURCE[0]}")/../path.sh"

for list in class_labels_indices balanced_train_segments unbalanced_train_segments eval_segments; do
    if [ "$list" = balanced_train_segments ] && [ "$subset" = unbalanced ]; then continue; fi
    if [ "$list" = unbalanced_train_segments ] && [ "$subset" = balanced ]; then continue; fi
    fetch "$lists_url/$list.csv" "$metadata/$list.csv"
done
fetch "$ontology_url/ontology.json" "$metadata/ontology.json"
if [ ! -s "$metadata/class_labels_indices.csv" ]; then exit 0; fi # a dry run
logged 00_prepare prepare audioset --metadata-only --subset "$subset" \
    -- "$metadata" "$download/lists"
options=(--jobs "$download_jobs")
if [ "$dry_run" = true ]; then options+=(--dry-run); fi
logged 00_download download "${options[@]}" -- "$download/lists"/{train,eval} "${audio[0]}"
