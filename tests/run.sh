#!/usr/bin/env bash
# Run the linters, the type checker and the tests. If no environment is installed, create one first.
#
#     bash tests/run.sh [--full] [PYTEST_ARGUMENT...]
#
#   --full    run the statistical and random tests with all their trials
#
# Without arguments for pytest, all tests run, in two processes. A process runs all tests of a file.
# The files keep their order: if they were sorted by their numbers of tests, files with few long
# tests would run last, in one process.
#
# Set WSEDTK_TEST_DATA to the path of a folder with real data (esc10/, dcase2017/, ...). Without it,
# the tests that need real data are skipped.
set -euo pipefail
tests=$(cd -- "$(dirname -- "${BASH_SOURCE[0]}")" && pwd)
case ${1:-} in
    --help | -h) sed -n '2,/^set /{/^#/s/^# \{0,1\}//p;}' "$0"; exit 0 ;;
    --full) export WSEDTK_TEST_FULL=1; shift ;;
esac
. "$tests/../bin/env.sh"
wsedtk_environment test || exit 1
cd -- "$tests/.."
export PYTHONPATH="$PWD${PYTHONPATH:+:$PYTHONPATH}" # test this checkout, not an installed wsedtk
python3 -m ruff check --quiet .
python3 -m ruff format --check --quiet .
python3 -m mypy --no-error-summary
if [ $# = 0 ]; then set -- --numprocesses 2 --dist loadfile --no-loadscope-reorder; fi
exec python3 -m pytest "$@"
