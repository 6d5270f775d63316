#!/usr/bin/env bash
# Show every system of the experiment on one page: tables, training curves, event timelines.
# Options: those of run.sh.
set -euo pipefail
. "$(dirname -- "${BASH_SOURCE[0]}")/../path.sh"

systems=() # all of the experiment that are tuned
for folder in "$exp"/*/; do
    if [ -f "$folder/operating_point.yaml" ]; then systems+=("${folder%/}"); fi
done
logged 09_report report -- ${systems[@]+"${systems[@]}"} "$exp/report.html"
