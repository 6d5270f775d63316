#!/usr/bin/env bash
# The whole chain in minutes on two cores: mix soundscapes, train on their tags, find the events, score them.
#
#     bash recipes/mini/run.sh [--stage N] [--stop-stage M] [--option value ...]
#
# Stages: 1 prepare, 2 extract, 3 balance, 4 train, 5 predict, 6 tune, 7 decode, 8 score, 9 report.
#
#   --stage N, --stop-stage M   run stages N to M (1, 9)
#   --exp DIR                   experiment directory (recipes/mini/exp)
#   --bank DIR                  recordings to mix: one folder a class, files fold-id-take.ext; `builtin` synthesises some (builtin)
#   --background CLASS          a folder of the bank that is background; repeat it
#   --test-folds F,F            folds that only the test set draws on (4)
#   --num-train N, --num-test N, --num-valid N    soundscapes of 10 s; the validation set comes out of the training set (600, 120, 100)
#   --frontend FILE|NAME        front end (conf/frontend_wang.yaml)
#   --config FILE|NAME          system, such as mini/crnn_attention (conf/crnn_linear.yaml)
#   --system NAME               name of its model directory in the experiment directory (the configuration's)
#   --jobs N                    jobs of the feature extraction, and files that it makes of a set (2)
#   --gpus N                    GPUs of the training, a process on each; 0: none asked for (0)
#   --dispatcher FILE           where the jobs run: bin/local.sh, bin/slurm.sh or your own (what cmd.sh says)
#   --bootstrap N               resamples for the intervals of the scores, 0: none (1000)
#   --seed N                    seed of the mix, the split and the training (0)
#
# Example, with real recordings:
#   bash recipes/mini/run.sh --exp exp_esc10 --bank ESC-10 --background '002 - Rain' --background '003 - Sea waves'
set -euo pipefail
. "$(dirname -- "${BASH_SOURCE[0]}")/path.sh"

run_stages 9 "$@"
if [ "$stop_stage" -ge 9 ]; then echo "everything is in $exp; open $exp/report.html"; fi
