#!/usr/bin/env bash
# Write a page about each held-out fold, and a table of all folds with the false alarms.
# This script takes the options of run.sh.
set -euo pipefail
. "$(dirname -- "${BASH_SOURCE[0]}")/../path.sh"

folders=()
for fold in "${held_out[@]}"; do
    logged "09_report_fold$fold.$system" report -- "$model/fold$fold" "$model/fold$fold/report.html"
    folders+=("$model/fold$fold")
done
guarded python3 "$recipe/local/summarise.py" --data "$data" --bank "$bank" \
    -- "$model/summary.md" "${folders[@]}"
