#!/usr/bin/env bash
# DCASE 2017 task 4: train, decode and evaluate as in both papers, from lists and audio.
#
#     bash recipes/dcase2017/run.sh --metadata DIR --audio DIR \
#         [--stage N] [--stop-stage M] [--option value ...]
#
# Stages: 0 download (only with --stage 0), 1 prepare, 2 extract, 3 balance, 4 train, 5 predict,
# 6 tune, 7 decode, 8 score, 9 report.
#
# The values in parentheses at the end of each description are the defaults.
#
#   --stage N, --stop-stage M   run stages N to M (1, 9)
#   --metadata DIR              lists of the challenge (exp/download/metadata, written by stage 0)
#   --audio DIR                 files named Y<ID>_<start>_<end>.wav, in any subfolder; repeatable
#                               (exp/download/audio)
#   --exp DIR                   experiment directory (recipes/dcase2017/exp)
#   --config FILE|NAME          system, such as dcase2017/gated_crnn_linear; conf/ has all systems
#                               (conf/crnn_linear.yaml)
#   --system NAME               name of the model directory in the experiment directory
#                               (name of the configuration)
#   --frontend FILE|NAME        front end (conf/frontend_he.yaml for configurations named gated_*,
#                               otherwise conf/frontend_wang.yaml)
#   --num-valid N               clips of the training set that are held out for validation (1142, as
#                               in Wang, Li & Metze)
#   --jobs N                    jobs of the feature extraction, and feature files per set; N
#                               processes, but at most 8, check the audio (2)
#   --gpus N                    GPUs of the training, one process per GPU; with 0, the jobs request
#                               no GPU (1)
#   --dispatcher FILE           script that runs the jobs: bin/local.sh, bin/slurm.sh or your own
#                               (the dispatcher in cmd.sh)
#   --bootstrap N               resamples for the intervals of the results; 0: no intervals (1000)
#   --seed N                    seed of the split and of the training (0)
#   --published                 tune clip thresholds with the procedure of Wang, Li & Metze; the F1
#                               of this procedure can be below the maximum
#   --download-jobs N           stage 0: downloads at the same time (4)
#   --dry-run                   stage 0: print the download commands, but download nothing
#   --metadata-url URL          stage 0: URL of the lists
#
# The scores of each system are decoded in three modes. `segment` is the method of Wang, Li & Metze:
# clip thresholds are tuned on the tags of the validation set and applied to the scores of 1 s
# segments. `frame` is the method of He, Shen & Zhang: for each class, the frame threshold and the
# filters are tuned on the events of the development set. `frame_common` is the same method with one
# threshold and one set of filters for all classes, as the text of their paper describes. All modes
# are evaluated on the development set (`test`) and the evaluation set (`eval`). The tables mark
# results on a set that was used for tuning.
#
# Example:
#   bash recipes/dcase2017/run.sh --metadata metadata --audio audio \
#       --config recipes/dcase2017/conf/gated_crnn_linear.yaml
set -euo pipefail
. "$(dirname -- "${BASH_SOURCE[0]}")/path.sh"

if [ "$dry_run" = true ]; then # the later stages have no dry run
    if [ "$stage" != 0 ]; then
        echo "run.sh: --dry-run is for stage 0; add --stage 0" >&2
        exit 2
    fi
    stop_stage=0
fi
run_stages 9 "$@"
if [ "$stop_stage" -ge 9 ]; then echo "everything is in $exp; open $exp/report.html"; fi
