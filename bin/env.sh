# Sourced by recipes and tests: leaves a `python3` and a `wsedtk` on PATH that work.
#
#     . bin/env.sh; wsedtk_environment [EXTRA]
#
# An environment that already holds wsedtk (and what EXTRA adds: `test`) is used as it is. Else the checkout's own .venv is,
# made on first use with the versions of constraints.txt, and brought up to date when setup.cfg or constraints.txt change.
# Returns non-zero, and never exits the caller's shell. Needs bash and Python >= 3.10 (PYTHON names another than python3).
# shellcheck shell=bash

_wsedtk_root=$(cd -- "$(dirname -- "${BASH_SOURCE[0]}")/.." && pwd)

_wsedtk_importable() { # PYTHON MODULE...: all can be imported from elsewhere than the checkout
    local python=$1
    shift
    (cd / && "$python" -c 'import importlib.util, sys
sys.exit(any(importlib.util.find_spec(m) is None for m in sys.argv[1:]))' "$@") 2> /dev/null
}

_wsedtk_make() { # VENV STAMP EXTRA: make or update the checkout's environment
    local venv=$1 stamp=$2 extra=$3 python=${PYTHON:-python3}
    if ! "$python" -c 'import sys; sys.exit(sys.version_info < (3, 10))' 2> /dev/null; then
        echo "env.sh: needs Python >= 3.10 as '$python' (set PYTHON=/path/to/python3)" >&2
        return 1
    fi
    echo "env.sh: setting up $venv (once, some minutes)" >&2
    [ -x "$venv/bin/python3" ] || "$python" -m venv "$venv" || return 1
    "$venv/bin/python3" -m pip install --quiet --disable-pip-version-check -c "$_wsedtk_root/constraints.txt" \
        -e "$_wsedtk_root${extra:+[$extra]}" >&2 || { echo "env.sh: the installation failed; see above" >&2; return 1; }
    printf '%s\n' "$stamp" > "$venv/.wsedtk-$extra"
}

wsedtk_environment() { # EXTRA, or '' for none
    local extra=$1 venv=$_wsedtk_root/.venv modules=(wsedtk torch sed_eval sed_scores_eval av) stamp
    if [ "$extra" = test ]; then modules+=(pytest sklearn hypothesis); fi
    if command -v wsedtk > /dev/null && command -v python3 > /dev/null && _wsedtk_importable python3 "${modules[@]}"; then
        return 0
    fi
    stamp=$(cat -- "$_wsedtk_root/setup.cfg" "$_wsedtk_root/constraints.txt" | cksum) || return 1
    if [ "$(cat -- "$venv/.wsedtk-$extra" 2> /dev/null)" != "$stamp" ]; then
        _wsedtk_make "$venv" "$stamp" "$extra" || return 1
    fi
    export PATH="$venv/bin:$PATH"
}
