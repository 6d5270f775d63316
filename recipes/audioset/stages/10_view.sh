#!/usr/bin/env bash
# Write one page about all systems that were evaluated on DCASE 2017 task 4.
# This script takes the options of run.sh.
set -euo pipefail
. "$(dirname -- "${BASH_SOURCE[0]}")/../path.sh"

guarded bash "$root/recipes/dcase2017/run.sh" --stage 9 --exp "$dcase" --dispatcher "$dispatcher"
echo "DCASE 2017 task 4: $target; videos that are also in AudioSet:" \
    "$target/overlap.tsv; open $dcase/report.html"
