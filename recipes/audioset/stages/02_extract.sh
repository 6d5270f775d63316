#!/usr/bin/env bash
# Compute the log-mel features of both sets, those of the training set in shards.
# Options: those of run.sh.
set -euo pipefail
. "$(dirname -- "${BASH_SOURCE[0]}")/../path.sh"

for old in "$feats"/train.h5 "$feats"/train.*-of-*.h5; do # of an earlier run with another number of shards
    case $old in
        *-of-"$shards".h5) ;;
        *) rm -f -- "$old" ;;
    esac
done
options=(--crop --dtype float16 --config "$frontend")
# The number takes the place of its name in every argument: no folder should have that name in its own.
guarded "${cmd[@]}" --max-jobs-run "$jobs" WSEDTK_SHARD=1:"$shards" "$exp/log/02_extract_train.WSEDTK_SHARD.log" \
    wsedtk --record "$exp/log/02_extract_train.WSEDTK_SHARD.yaml" extract "${options[@]}" --shard "WSEDTK_SHARD/$shards" -- "$data/train" "$feats/train.h5"
logged 02_extract_eval extract "${options[@]}" --jobs "$jobs" -- "$data/eval" "$feats/eval.h5"
