#!/usr/bin/env bash
# DCASE 2017 task 4: from the challenge's lists and audio to scored events, as in both papers.
#
#     bash recipes/dcase2017/run.sh --metadata DIR --audio DIR [--stage N] [--stop-stage M] [--option value ...]
#
# Stages: 0 download (not unless you say --stage 0), 1 prepare, 2 extract, 3 balance, 4 train, 5 predict, 6 tune, 7 decode, 8 score,
# 9 report.
#
#   --stage N, --stop-stage M   run stages N to M (1, 9)
#   --metadata DIR              the challenge's lists (exp/download/metadata, where stage 0 puts them)
#   --audio DIR                 files named Y<ID>_<start>_<end>.wav, at any depth; repeat it (exp/download/audio)
#   --exp DIR                   experiment directory (recipes/dcase2017/exp)
#   --config FILE|NAME          system, such as dcase2017/gated_crnn_linear (conf/crnn_linear.yaml)
#   --system NAME               name of its model directory in the experiment directory (the configuration's)
#   --frontend FILE|NAME        front end (conf/frontend_he.yaml for a configuration named gated_*, else conf/frontend_wang.yaml)
#   --num-valid N               clips to hold out of the training set (1142, as Wang, Li & Metze)
#   --jobs N                    processes for listening to the audio; jobs of the feature extraction, and files that it makes of a set (2)
#   --gpus N                    GPUs of the training, a process on each; 0: none asked for (1)
#   --dispatcher FILE           where the jobs run: bin/local.sh, bin/slurm.sh or your own (what cmd.sh says)
#   --bootstrap N               resamples for the intervals of the scores, 0: none (1000)
#   --seed N                    seed of the split and of the training (0)
#   --published                 clip thresholds by Wang, Li & Metze's own procedure, which can miss the optimum
#   --download-jobs N, --dry-run, --metadata-url URL    stage 0: downloads at once (4); only print what would be done; whence
#
# Each system is decoded in three ways. `segment` is Wang, Li & Metze's: clip thresholds tuned on the held-out
# set's tags, applied to the scores of 1 s segments. `frame` is He, Shen & Zhang's: frame thresholds, a median
# filter and a shortest event a class, tuned on the development set's events. `frame_common` is the same with one
# threshold and one set of filters for all classes, as their text has it. All are scored on both sets, `test`
# (development) and `eval`; where a set was tuned on, its row says so.
#
# Example: bash recipes/dcase2017/run.sh --metadata metadata --audio audio --config recipes/dcase2017/conf/gated_crnn_linear.yaml
set -euo pipefail
. "$(dirname -- "${BASH_SOURCE[0]}")/path.sh"

if [ "$dry_run" = true ]; then # the stages after 0 have no dry run
    if [ "$stage" != 0 ]; then echo "run.sh: --dry-run is for stage 0; add --stage 0" >&2; exit 2; fi
    stop_stage=0
fi
run_stages 9 "$@"
if [ "$stop_stage" -ge 9 ]; then echo "everything is in $exp; open $exp/report.html"; fi
