#!/usr/bin/env bash
# AudioSet: train TALNet on the published lists and audio, and evaluate it by MAP, MAUC and d'.
# With --dcase-metadata, also evaluate it on DCASE 2017 task 4, without training on that corpus.
#
#     bash recipes/audioset/run.sh --metadata DIR --audio DIR \
#         [--stage N] [--stop-stage M] [--option value ...]
#
# Stages: 0 download (only with --stage 0), 1 prepare, 2 extract, 3 balance, 4 train, 5 predict,
# 6 tune, 7 decode, 8 score, 9 report, 10 transfer to DCASE 2017 task 4 (with --dcase-metadata).
#
# The values in parentheses at the end of each description are the defaults.
#
#   --stage N, --stop-stage M   run stages N to M (1, and 9, or 10 with --dcase-metadata)
#   --metadata DIR              published lists of segments and classes (exp/download/metadata,
#                               written by stage 0)
#   --audio DIR                 files named Y<ID>_<start>_<end>.wav, in any subfolder; repeatable
#                               (exp/download/audio)
#   --subset NAME               training list: balanced with 22,160 clips, unbalanced with 2,041,789
#                               clips, or all for both lists (balanced)
#   --exp DIR                   experiment directory (recipes/audioset/exp)
#   --config FILE|NAME          system, such as audioset/talnet_small for trials on a CPU; conf/ has
#                               all systems (conf/talnet_linear.yaml)
#   --system NAME               name of the model directory in the experiment directory
#                               (name of the configuration)
#   --frontend FILE|NAME        front end (conf/frontend_wang.yaml)
#   --num-valid N               clips of the training set that are held out for validation (2000)
#   --shards N                  feature files per set; each file is written by one job (2)
#   --jobs N                    jobs that run at the same time; N processes, but at most 8, check
#                               the audio (2)
#   --gpus N                    GPUs of the training, one process per GPU; with 0, the jobs request
#                               no GPU (1)
#   --dispatcher FILE           script that runs the jobs: bin/local.sh, bin/slurm.sh or your own
#                               (the dispatcher in cmd.sh)
#   --bootstrap N               resamples for the intervals of the results; 0: no intervals (100)
#   --seed N                    seed of the splits and of the training (0)
#   --dcase-metadata DIR        lists of DCASE 2017 task 4; with this option, the videos of the
#                               development and evaluation sets of the challenge are excluded from
#                               the training, and stage 10 runs
#   --dcase-audio DIR           audio of DCASE 2017 task 4; repeatable (exp/download/dcase_audio)
#   --dcase-num-valid N         clips of the DCASE training set that are used to tune clip
#                               thresholds (1142)
#   --model DIR                 only with --stage 10: another model directory, for example one that
#                               `wsedtk import` made from TALNet.pt
#   --download-jobs N           stage 0: downloads at the same time (4)
#   --dry-run                   stage 0: print the download commands, but download nothing
#   --lists-url URL             stage 0: URL of the lists
#   --ontology-url URL          stage 0: URL of the ontology
#
# The features of AudioSet are stored as float16 and take 51 KB per clip. The frame scores of
# AudioSet are not stored, because those of the evaluation set would take 4 GB.
#
# Examples:
#   bash recipes/audioset/run.sh --metadata lists --audio audio \
#       --dcase-metadata dcase/lists --dcase-audio dcase/audio
#   bash recipes/audioset/run.sh --stage 10 --model talnet --metadata lists \
#       --dcase-metadata dcase/lists --dcase-audio dcase/audio
set -euo pipefail
. "$(dirname -- "${BASH_SOURCE[0]}")/path.sh"

if [ "$dry_run" = true ]; then # the later stages have no dry run
    if [ "$stage" != 0 ]; then
        echo "run.sh: --dry-run is for stage 0; add --stage 0" >&2
        exit 2
    fi
    stop_stage=0
fi
if [ "$model" != "$exp/$system" ] && [ "$stage" != 10 ]; then
    echo "run.sh: --model is for stage 10, which evaluates a trained model; add --stage 10" >&2
    exit 2
fi
if [ "$stop_stage" = 10 ] && [ -n "$dcase_metadata" ]; then # report missing audio at once
    for folder in "${dcase_audio[@]}"; do
        if [ ! -d "$folder" ]; then
            echo "run.sh: $folder: no such folder; give the DCASE audio as --dcase-audio" >&2
            exit 1
        fi
    done
fi
run_stages 10 "$@"
if [ "$stage" -le 9 ] && [ "$stop_stage" -ge 9 ]; then
    echo "everything is in $exp; open $exp/report.html"
fi
