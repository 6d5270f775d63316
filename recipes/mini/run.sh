#!/usr/bin/env bash
# Mix soundscapes, train on their tags, detect events and evaluate them, in minutes on two cores.
#
#     bash recipes/mini/run.sh [--stage N] [--stop-stage M] [--option value ...]
#
# Stages: 1 prepare, 2 extract, 3 balance, 4 train, 5 predict, 6 tune, 7 decode, 8 score, 9 report.
#
# The values in parentheses at the end of each description are the defaults.
#
#   --stage N, --stop-stage M   run stages N to M (1, 9)
#   --exp DIR                   experiment directory (recipes/mini/exp)
#   --bank DIR                  recordings to mix, with one folder per class and files that have
#                               names fold-id-take.ext; `builtin` synthesises recordings (builtin)
#   --background CLASS          folder of the bank with background sounds; repeatable
#   --test-folds F,F            folds that are used only in the test set (4)
#   --num-train N, --num-test N, --num-valid N
#                               soundscapes of 10 s for training and for testing, and how many
#                               training soundscapes are held out for validation (600, 120, 100)
#   --frontend FILE|NAME        front end (conf/frontend_wang.yaml)
#   --config FILE|NAME          system, such as mini/crnn_attention (conf/crnn_linear.yaml)
#   --init MODEL_DIR|NAME       initial model, such as the ready model yamnet, whose front end then
#                               replaces --frontend
#   --system NAME               name of the model directory in the experiment directory
#                               (name of the configuration)
#   --jobs N                    jobs of the feature extraction, and feature files per set (2)
#   --gpus N                    GPUs of the training, one process per GPU; with 0, the jobs request
#                               no GPU (0)
#   --dispatcher FILE           script that runs the jobs: bin/local.sh, bin/slurm.sh or your own
#                               (the dispatcher in cmd.sh)
#   --bootstrap N               resamples for the intervals of the results; 0: no intervals (1000)
#   --seed N                    seed of the mixing, the split and the training (0)
#
# Example with real recordings:
#   bash recipes/mini/run.sh --exp exp_esc10 --bank ESC-10 \
#       --background '002 - Rain' --background '003 - Sea waves'
#
# Then a second system, which starts from a ready model:
#   bash recipes/mini/run.sh --exp exp_esc10 --stage 2 --init yamnet --config yamnet/bigru
set -euo pipefail
. "$(dirname -- "${BASH_SOURCE[0]}")/path.sh"

run_stages 9 "$@"
if [ "$stop_stage" -ge 9 ]; then echo "everything is in $exp; open $exp/report.html"; fi
