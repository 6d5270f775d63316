#!/usr/bin/env bash
# Compare pooling functions over several seeds, on AudioSet and, with --dcase-metadata, on DCASE
# 2017 task 4. The default systems are those of table 3 of Wang, Li & Metze.
#
#     bash recipes/audioset/local/compare_pooling.sh [--systems 'NAME ...'] \
#         [--seeds 'N ...'] [--option value ...]
#
# Run stages 1 to 3 of the recipe before this script. The script runs stages 4 to 8 for each system
# and seed. The model directories are <system>.seed<N> in the experiment directory. A finished
# training is not repeated. The script then writes and prints exp/compare.md, and writes the same
# values to exp/compare.tsv. With --dcase-metadata, it also runs stage 10 for each system and seed,
# and writes and prints exp/dcase/compare.md.
#
# The values in parentheses are the defaults.
#
#   --systems 'NAME ...'   configurations in conf/, or files (talnet_* with each of five poolings)
#   --seeds 'N ...'        seeds of the training (0 1 2)
#   --max-jobs-run N       jobs that run at the same time, each with one training; 0: all (1)
#   other options          the options of run.sh: --exp, --audio, --metadata, --dcase-metadata,
#                          --dcase-audio, --jobs, --bootstrap, ...
# shellcheck disable=SC2034,SC2154  # bin/compare_pooling.sh reads and sets variables
set -euo pipefail
recipe=$(cd -- "$(dirname -- "${BASH_SOURCE[0]}")/.." && pwd)
systems='talnet_max talnet_average talnet_linear talnet_exp talnet_attention'
seeds='0 1 2'
. "$recipe/../../bin/compare_pooling.sh" "$@"

if [ -n "$only" ]; then
    guarded bash "$recipe/run.sh" "${options[@]}" --stage 4 --stop-stage 8
    if [ -n "$dcase_metadata" ]; then
        guarded bash "$recipe/stages/10_classes.sh" "${options[@]}"
        guarded bash "$recipe/stages/10_transfer.sh" "${options[@]}"
    fi
    exit 0
fi
if [ -n "$dcase_metadata" ]; then
    guarded bash "$recipe/stages/10_data.sh" ${rest[@]+"${rest[@]}"} > /dev/null
fi
run_all
compare "$exp" "eval/segment=AudioSet's evaluation list"
if [ -n "$dcase_metadata" ]; then
    compare "$dcase" 'test/segment=DCASE 2017 task 4, development set' \
        'eval/segment=DCASE 2017 task 4, evaluation set' \
        'test_unseen/segment=DCASE 2017 task 4, development set, without the videos in the training' \
        'eval_unseen/segment=DCASE 2017 task 4, evaluation set, without the videos in the training'
fi
