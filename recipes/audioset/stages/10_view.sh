#!/usr/bin/env bash
# Write one page about all systems that were evaluated on DCASE 2017 task 4.
# This script takes the options of run.sh.
set -euo pipefail
. "$(dirname -- "${BASH_SOURCE[0]}")/../path.sh"

guarded bash "$root/recipes/dcase2017/run.sh" --stage 9 --exp "$dcase" --dispatcher "$dispatcher"
echo "the results on DCASE 2017 task 4 are in $target; open $dcase/report.html;" \
    "$target/overlap.tsv contains the numbers of clips whose videos are also in AudioSet"
