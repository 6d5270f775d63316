#!/usr/bin/env bash
# Check results on a GPU against the CPU, and measure speed on the GPU; see tests/benchmarks/gpu.py.
#
#     bash tests/gpu.sh OUT
#
# Writes OUT/table.md and OUT/log.txt. The exit status is 0 if all checks hold. python3 needs the
# packages that wsedtk requires. wsedtk itself need not be installed. The time is limited to eight
# minutes. Without a GPU, the sizes are small, and this takes about a minute on two cores.
set -euo pipefail
help() { sed -n '2,/^set /{/^#/s/^# \{0,1\}//p;}' "$0"; }
case ${1:-} in
    --help | -h) help; exit 0 ;;
    "") help >&2; exit 2 ;;
esac
tests=$(cd -- "$(dirname -- "${BASH_SOURCE[0]}")" && pwd)
mkdir -p -- "$1"
export PYTHONPATH="$tests/..${PYTHONPATH:+:$PYTHONPATH}" # this checkout, whatever else is installed
python3 "$tests/benchmarks/gpu.py" "$1" 2>&1 | tee -- "$1/log.txt"
