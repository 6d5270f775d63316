#!/usr/bin/env bash
# Mix soundscapes: data/train with tags, data/test with tags and events.
# This script takes the options of run.sh.
set -euo pipefail
. "$(dirname -- "${BASH_SOURCE[0]}")/../path.sh"

options=(--test-folds "$test_folds" --num-train "$num_train" --num-test "$num_test" --seed "$seed")
for name in ${background[@]+"${background[@]}"}; do options+=(--background "$name"); done
logged 01_prepare prepare soundscapes "${options[@]}" -- "$bank" "$data"
logged 01_validate validate -- "$data/train" "$data/test"
