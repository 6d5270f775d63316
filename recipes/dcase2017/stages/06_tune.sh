#!/usr/bin/env bash
# Tune clip thresholds on the validation set, frame thresholds and filters on the development set.
# Frame thresholds and filters are tuned for each class, and also once for all classes together, as
# He, Shen & Zhang describe.
# This script takes the options of run.sh.
set -euo pipefail
. "$(dirname -- "${BASH_SOURCE[0]}")/../path.sh"

options=()
if [ "$published" = true ]; then options=(--published --seed "$seed"); fi
logged "06_tune_segment.$system" tune ${options[@]+"${options[@]}"} \
    -- "$model/valid/scores.h5" "$data/valid" "$model/operating_point.yaml"
grid=(--criterion segments --median-seconds '0,0.3,0.5,1,2' --min-seconds '0,0.2,0.5,1'
    --max-gap-seconds '0,0.2,0.5')
logged "06_tune_frame.$system" tune "${grid[@]}" \
    -- "$model/test/scores.h5" "$data/test" "$model/test/operating_point.yaml"
logged "06_tune_frame_common.$system" tune --common-threshold "${grid[@]}" \
    -- "$model/test/scores.h5" "$data/test" "$model/test/operating_point_common.yaml"
