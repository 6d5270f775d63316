#!/usr/bin/env bash
# Run the tests, in an environment that this makes where there is none.
#
#     bash tests/run.sh [--full] [PYTEST_ARGUMENT...]
#
#   --full    the long trials at their full counts
#
# WSEDTK_TEST_DATA names a folder of real data (esc10/, dcase2017/, ...); tests that need it are skipped elsewhere.
set -euo pipefail
tests=$(cd -- "$(dirname -- "${BASH_SOURCE[0]}")" && pwd)
case ${1:-} in
    --help | -h) sed -n '2,/^set /{/^#/s/^# \{0,1\}//p;}' "$0"; exit 0 ;;
    --full) export WSEDTK_TEST_FULL=1; shift ;;
esac
. "$tests/../bin/env.sh"
wsedtk_environment test || exit 1
cd -- "$tests/.."
export PYTHONPATH="$PWD${PYTHONPATH:+:$PYTHONPATH}" # test this checkout, whatever else is installed
python3 -m ruff check --quiet .
python3 -m ruff format --check --quiet .
python3 -m mypy --no-error-summary
exec python3 -m pytest "$@"
