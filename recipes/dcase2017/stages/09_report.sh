#!/usr/bin/env bash
# Write one page about all systems of the experiment: tables, training curves, event timelines.
# This script takes the options of run.sh.
set -euo pipefail
. "$(dirname -- "${BASH_SOURCE[0]}")/../path.sh"

report_systems
