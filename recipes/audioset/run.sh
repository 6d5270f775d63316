#!/usr/bin/env bash
# AudioSet: from the published lists and audio to TALNet, scored by MAP, MAUC and d', and on DCASE 2017 task 4 without training on it.
#
#     bash recipes/audioset/run.sh --metadata DIR --audio DIR [--stage N] [--stop-stage M] [--option value ...]
#
# Stages: 0 download (not unless you say --stage 0), 1 prepare, 2 extract, 3 balance, 4 train, 5 predict, 6 tune, 7 decode, 8 score,
# 9 report, 10 transfer to DCASE 2017 task 4 (where --dcase-metadata is given).
#
#   --stage N, --stop-stage M   run stages N to M (1, and 9, or 10 with --dcase-metadata)
#   --metadata DIR              the published lists of segments and classes (exp/download/metadata, where stage 0 puts them)
#   --audio DIR                 files named Y<ID>_<start>_<end>.wav, at any depth; repeat it (exp/download/audio)
#   --subset NAME               training list: balanced (22,160 clips), unbalanced (2,041,789), or all (balanced)
#   --exp DIR                   experiment directory (recipes/audioset/exp)
#   --config FILE|NAME          system, such as audioset/talnet_small for trials on a CPU (conf/talnet_linear.yaml)
#   --system NAME               name of its model directory in the experiment directory (the configuration's)
#   --frontend FILE|NAME        front end (conf/frontend_wang.yaml)
#   --num-valid N               clips to hold out of the training set (2000)
#   --shards N                  feature files of a set, each made by a job (2)
#   --jobs N                    how many of these at once; processes for listening to the audio (2)
#   --gpus N                    GPUs of the training, a process on each; 0: none asked for (1)
#   --dispatcher FILE           where the jobs run: bin/local.sh, bin/slurm.sh or your own (what cmd.sh says)
#   --bootstrap N               resamples for the intervals of the scores, 0: none (100)
#   --seed N                    seed of the splits and of the training (0)
#   --dcase-metadata DIR        DCASE 2017 task 4's lists: the training leaves out the videos of its two test sets, and stage 10 runs
#   --dcase-audio DIR           its audio; repeat it (exp/download/dcase_audio)
#   --dcase-num-valid N         clips of its training set that the thresholds are tuned on (1142)
#   --model DIR                 stage 10 alone: another model directory, one that `wsedtk import` made of TALNet.pt, say
#   --download-jobs N, --dry-run, --lists-url URL, --ontology-url URL    stage 0: downloads at once (4); only print; whence
#
# Features are kept as float16, 51 KB a clip. Frame scores are not kept: they would take 4 GB for the evaluation set.
#
# Example: bash recipes/audioset/run.sh --metadata lists --audio audio --dcase-metadata dcase/lists --dcase-audio dcase/audio
# Example: bash recipes/audioset/run.sh --stage 10 --model talnet --metadata lists --dcase-metadata dcase/lists --dcase-audio dcase/audio
set -euo pipefail
. "$(dirname -- "${BASH_SOURCE[0]}")/path.sh"

if [ "$dry_run" = true ]; then # the stages after 0 have no dry run
    if [ "$stage" != 0 ]; then echo "run.sh: --dry-run is for stage 0; add --stage 0" >&2; exit 2; fi
    stop_stage=0
fi
if [ "$model" != "$exp/$system" ] && [ "$stage" != 10 ]; then
    echo "run.sh: --model is for stage 10, which scores a model as it is; add --stage 10" >&2
    exit 2
fi
if [ "$stop_stage" = 10 ] && [ -n "$dcase_metadata" ]; then # before hours of training
    for folder in "${dcase_audio[@]}"; do
        if [ ! -d "$folder" ]; then echo "run.sh: $folder: no such folder; --dcase-audio names the challenge's audio, for stage 10" >&2; exit 1; fi
    done
fi
run_stages 10 "$@"
if [ "$stage" -le 9 ] && [ "$stop_stage" -ge 9 ]; then echo "everything is in $exp; open $exp/report.html"; fi
