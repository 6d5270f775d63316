#!/usr/bin/env bash
# Download the lists of the challenge, and the audio of all clips that are still on YouTube.
# This script takes the options of run.sh.
set -euo pipefail
. "$(dirname -- "${BASH_SOURCE[0]}")/../path.sh"

download=$exp/download
lists='sound_event_list_17_classes.txt groundtruth_weak_label_training_set.csv
    groundtruth_weak_label_testing_set.csv groundtruth_strong_label_testing_set.csv
    groundtruth_release/groundtruth_weak_label_evaluation_set.csv
    groundtruth_release/groundtruth_strong_label_evaluation_set.csv'
for list in $lists; do
    fetch "$metadata_url/$list" "$metadata/$(basename -- "$list")"
done
if [ ! -s "$metadata/sound_event_list_17_classes.txt" ]; then
    exit 0 # in a dry run, the lists need not exist
fi
logged 00_prepare prepare dcase2017 --metadata-only -- "$metadata" "$download/lists"
options=(--jobs "$download_jobs")
if [ "$dry_run" = true ]; then options+=(--dry-run); fi
logged 00_download download "${options[@]}" -- "$download/lists"/{train,test,eval} "${audio[0]}"
