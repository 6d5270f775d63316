#!/usr/bin/env bash
# Compare pooling functions and hierarchies over several seeds. The default systems include those of
# table 2 of Wang, Li & Metze and those of table 2 of He, Shen & Zhang.
#
#     bash recipes/dcase2017/local/compare_pooling.sh [--systems 'NAME ...'] \
#         [--seeds 'N ...'] [--option value ...]
#
# Run stages 1 to 3 of the recipe before this script. For the systems gated_crnn_*, also run stage 2
# with --config dcase2017/gated_crnn_linear, because they have another front end. The script runs
# stages 4 to 8 for each system and seed. The model directories are <system>.seed<N> in the
# experiment directory. A finished training is not repeated. The script then writes and prints
# exp/compare.md, and writes the same values to exp/compare.tsv.
#
# The values in parentheses are the defaults.
#
#   --systems 'NAME ...'   configurations in conf/, or files (crnn_* with each of the five poolings;
#                          gated_crnn_* without a hierarchy and with each hierarchy)
#   --seeds 'N ...'        seeds of the training (0 1 2)
#   --max-jobs-run N       jobs that run at the same time, each with one training; 0: all (1)
#   other options          the options of run.sh: --exp, --audio, --metadata, --jobs, ...
# shellcheck disable=SC2034,SC2154  # bin/compare_pooling.sh reads and sets variables
set -euo pipefail
recipe=$(cd -- "$(dirname -- "${BASH_SOURCE[0]}")/.." && pwd)
systems='crnn_max crnn_average crnn_linear crnn_exp crnn_attention'
for pooling in linear exp attention; do
    # In this order: no hierarchy, the two readings of hierarchical pooling, and two hierarchies for
    # comparison.
    system=gated_crnn_$pooling
    systems+=" $system ${system}_hierarchical ${system}_published_all"
    systems+=" ${system}_plain ${system}_nested"
done
seeds='0 1 2'
. "$recipe/../../bin/compare_pooling.sh" "$@"

if [ -n "$only" ]; then
    exec bash "$recipe/run.sh" "${options[@]}" --stage 4 --stop-stage 8
fi
run_all
compare "$exp" 'test/segment=Segment mode on the development set (as Wang, Li & Metze, table 2)' \
    'eval/segment=Segment mode on the evaluation set' \
    'test/frame=Frame mode with a threshold for each class, tuned and evaluated on the development set' \
    'eval/frame=Frame mode on the evaluation set, with a threshold for each class' \
    'test/frame_common=Frame mode with one threshold, tuned and evaluated on the development set (as He, Shen & Zhang, table 2)' \
    'eval/frame_common=Frame mode on the evaluation set, with one threshold (as He, Shen & Zhang, table 2)'
