#!/usr/bin/env bash
# Show it on one page: tables, training curves, event timelines.
# Options: those of run.sh.
set -euo pipefail
. "$(dirname -- "${BASH_SOURCE[0]}")/../path.sh"

logged 09_report report -- "$model" "$exp/report.html"
