#!/usr/bin/env bash
# Evaluate the model on DCASE 2017 task 4, on all clips and on the clips of unseen videos.
# This script takes the options of run.sh.
set -euo pipefail
. "$(dirname -- "${BASH_SOURCE[0]}")/../path.sh"

# A model of this experiment was trained on the training set of the experiment. Any other model may
# have been trained on all training lists in the folder of the metadata.
seen=()
if [ "$model" = "$exp/$system" ]; then
    seen=(--model "$model" --feats "$feats/train.h5" --data "$data/fit" --data "$data/valid")
fi
logged_program "10_overlap.$system" overlap.py ${seen[@]+"${seen[@]}"} \
    --output "$target/overlap.tsv" -- "$metadata" "$dcase/data"
for set in valid $dcase_sets; do
    logged_on_gpus "$((gpus > 0))" "10_predict_$set.$system" predict \
        --classes "$target/classes.tsv" -- "$model" "$dcase/feats/$set.h5" "$target/$set/scores.h5"
done
guarded bash "$root/recipes/dcase2017/run.sh" --stage 6 --stop-stage 8 --exp "$dcase" \
    --system "$system" --bootstrap "$bootstrap" --dispatcher "$dispatcher"
for set in $dcase_sets; do # use the same thresholds on the clips of unseen videos
    unseen=${set}_unseen
    rm -rf -- "${target:?}/$unseen"
    if [ ! -f "$target/data/$unseen/clips.tsv" ]; then continue; fi
    logged_on_gpus "$((gpus > 0))" "10_predict_$unseen.$system" predict \
        --classes "$target/classes.tsv" --data "$target/data/$unseen" \
        -- "$model" "$dcase/feats/$set.h5" "$target/$unseen/scores.h5"
    logged "10_decode_${unseen}_segment.$system" decode --mode segment -- \
        "$target/$unseen/scores.h5" "$target/operating_point.yaml" "$target/$unseen/segment"
    logged "10_decode_${unseen}_frame.$system" decode --mode frame -- \
        "$target/$unseen/scores.h5" "$target/test/operating_point.yaml" "$target/$unseen/frame"
    for mode in segment frame; do
        logged "10_score_${unseen}_$mode.$system" score \
            --scores "$target/$unseen/scores.h5" --bootstrap "$bootstrap" -- \
            "$target/data/$unseen" "$target/$unseen/$mode"
    done
done
