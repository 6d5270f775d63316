#!/usr/bin/env bash
# Train the ready model `example` on recordings of ESC-10, and evaluate it fold by fold.
#
#     bash recipes/example/run.sh --esc10 DIR [--stage N] [--stop-stage M] [--option value ...]
#
# For each fold, stages 1 to 8 train a network on mixtures of the recordings of the other folds, and
# evaluate it on mixtures of the recordings of this fold. Stage 10 trains a network in the same way
# on the recordings of all folds. Stage 11 writes the model directory with its card and its credits.
#
# Stages: 1 prepare, 2 extract, 3 balance, 4 train, 5 predict, 6 tune, 7 decode, 8 score, 9 report,
# 10 final, 11 release.
#
# The values in parentheses at the end of each description are the defaults.
#
#   --esc10 DIR                 the corpus ESC-10: class folders, and the credits in README.md
#   --stage N, --stop-stage M   run stages N to M (1, 11)
#   --exp DIR                   experiment directory (recipes/example/exp)
#   --release DIR               model directory that stage 11 writes (EXP/SYSTEM/example)
#   --folds F,F                 folds whose recordings are used (1,2,3,4)
#   --test-folds F,F            folds that are held out in turn for the evaluation (all of --folds)
#   --num-train N, --num-test N, --num-valid N
#                               mixtures of 10 s for each training and for each test, and how many
#                               training mixtures are held out for validation (1400, 360, 280)
#   --empty-every N             one of N training mixtures has no events (8)
#   --target KEY=VALUE          what the thresholds of each class must reach on the validation set
#                               (precision=0.98)
#   --frontend FILE|NAME        front end (mini/frontend_wang)
#   --config FILE|NAME          system (conf/crnn.yaml)
#   --system NAME               folder of the models in the experiment directory (name of the
#                               configuration)
#   --jobs N                    jobs of the feature extraction, and feature files per set (2)
#   --gpus N                    GPUs of the training, one process per GPU; with 0, the jobs request
#                               no GPU (0)
#   --dispatcher FILE           script that runs the jobs: bin/local.sh, bin/slurm.sh or your own
#                               (the dispatcher in cmd.sh)
#   --bootstrap N               resamples for the intervals of the results; 0: no intervals (1000)
#   --seed N                    seed of the mixing, the split and the training (0)
set -euo pipefail
. "$(dirname -- "${BASH_SOURCE[0]}")/path.sh"

run_stages 11 "$@"
if [ "$stop_stage" -ge 11 ]; then echo "the model directory is $release"; fi
