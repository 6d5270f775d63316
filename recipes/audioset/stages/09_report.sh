#!/usr/bin/env bash
# Show every system of the experiment on one page: tables, training curves.
# Options: those of run.sh.
set -euo pipefail
. "$(dirname -- "${BASH_SOURCE[0]}")/../path.sh"

report_systems
