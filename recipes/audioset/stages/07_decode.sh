#!/usr/bin/env bash
# Turn scores into tags and events: 1 s segments.
# Options: those of run.sh.
set -euo pipefail
. "$(dirname -- "${BASH_SOURCE[0]}")/../path.sh"

logged "07_decode_eval.$system" decode --mode segment -- "$model/eval/scores.h5" "$model/operating_point.yaml" "$model/eval/segment"
