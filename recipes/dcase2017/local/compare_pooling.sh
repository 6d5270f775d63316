#!/usr/bin/env bash
# Compare pooling functions and hierarchies over several seeds: Wang, Li & Metze's table 2 and He, Shen & Zhang's table 2, as measured.
#
#     bash recipes/dcase2017/local/compare_pooling.sh [--systems 'NAME ...'] [--seeds 'N ...'] [--option value ...]
#
# Trains, decodes and scores every system with every seed (stages 4 to 8, as <system>.seed<N> in the experiment directory; what is
# trained already stays), then writes and prints exp/compare.md, and the same as exp/compare.tsv. Run stages 1 to 3 before.
#
#   --systems 'NAME ...'   configurations of conf/, or files (the five poolings of crnn_*; gated_crnn_* single and with every hierarchy)
#   --seeds 'N ...'        seeds of the training (0 1 2)
#   --max-jobs-run N       how many of them at once, each a job of its own; 0: all (1)
#   other options          those of run.sh: --exp, --audio, --metadata, --jobs, --bootstrap, ...
# shellcheck disable=SC2034,SC2154  # bin/compare_pooling.sh uses and sets the variables
set -euo pipefail
recipe=$(cd -- "$(dirname -- "${BASH_SOURCE[0]}")/.." && pwd)
systems='crnn_max crnn_average crnn_linear crnn_exp crnn_attention'
for pooling in linear exp attention; do
    system=gated_crnn_$pooling # single pooling; He's hierarchical pooling in two readings; its null; ours
    systems+=" $system ${system}_hierarchical ${system}_published_all ${system}_plain ${system}_nested"
done
seeds='0 1 2'
. "$recipe/../../bin/compare_pooling.sh" "$@"

if [ -n "$only" ]; then
    exec bash "$recipe/run.sh" "${options[@]}" --stage 4 --stop-stage 8
fi
run_all
compare "$exp" 'test/segment=Segment mode on the development set (as Wang, Li & Metze, table 2)' \
    'eval/segment=Segment mode on the evaluation set' \
    'test/frame=Frame mode with a threshold for each class on the development set, which it is tuned on' \
    'eval/frame=Frame mode with a threshold for each class on the evaluation set' \
    'test/frame_common=Frame mode with one threshold on the development set, which it is tuned on (as He, Shen & Zhang, table 2)' \
    'eval/frame_common=Frame mode with one threshold on the evaluation set (as He, Shen & Zhang, table 2)'
