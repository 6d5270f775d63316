#!/usr/bin/env bash
# Run the benchmarks of the stages and write one table.
#
#     bash tests/benchmarks/run.sh [TABLE.md]
#
# The default is table.md in the working directory. The run takes less than one hour on two cores;
# other programs on the machine affect it. Each script also runs alone, and --help describes it.
# growth.py is not included, because it needs 7 GB of disk.
set -euo pipefail
here=$(cd -- "$(dirname -- "${BASH_SOURCE[0]}")" && pwd)
case ${1:-} in
    --help | -h) sed -n '2,/^set /{/^#/s/^# \{0,1\}//p;}' "$0"; exit 0 ;;
esac
. "$here/../../bin/env.sh"
wsedtk_environment test || exit 1
table=$(realpath -m -- "${1:-table.md}")
cd -- "$here"
export PYTHONPATH="$here/../..${PYTHONPATH:+:$PYTHONPATH}" # measure this checkout, whatever else is installed

python3 - > "$table" <<'PYTHON'
import platform

import common
import torch
from wsedtk.core import provenance

card = f", {torch.cuda.get_device_name()}" if torch.cuda.is_available() else ", no GPU"
print(f"commit {provenance.commit()}, torch {torch.__version__}, Python {platform.python_version()}, "
      f"{torch.get_num_threads()} threads{card}\n")
print("| " + " | ".join(common.HEADER) + " |")
print("|" + "---|" * len(common.HEADER))
PYTHON
measure() { # SCRIPT ARGUMENT...
    echo "== $*" >&2
    python3 "$@" --rows "$table"
}
measure startup.py
measure read.py
measure extract.py
measure store.py --clips 10000
measure train.py
measure predict.py
measure scoring.py
measure detect.py
measure detect_jobs.py
measure detect_yamnet.py
measure shared.py
if python3 -c 'import sys, torch; sys.exit(not torch.cuda.is_available())'; then
    measure train.py --device cuda --networks talnet --batch 250
fi
echo "the table is in $table" >&2
