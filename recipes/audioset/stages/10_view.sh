#!/usr/bin/env bash
# Show every system that DCASE 2017 task 4 was scored with on one page.
# Options: those of run.sh.
set -euo pipefail
. "$(dirname -- "${BASH_SOURCE[0]}")/../path.sh"

guarded bash "$root/recipes/dcase2017/run.sh" --stage 9 --exp "$dcase" --dispatcher "$dispatcher"
echo "DCASE 2017 task 4: $target; the videos it shares with the training: $target/overlap.tsv; open $dcase/report.html"
