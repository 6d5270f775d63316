# Recipes and tests source this file. `wsedtk_environment` puts a working `python3` and `wsedtk` on
# the PATH.
#
#     . bin/env.sh; wsedtk_environment [EXTRA]
#
# EXTRA is an extra of the package, such as `test`. If the active environment contains wsedtk and
# its packages (and, for `test`, the packages of the extra), the function uses this environment.
# Otherwise it uses the .venv of the checkout. It creates the .venv on first use, with the versions
# of constraints.txt, and updates it when setup.cfg or constraints.txt change. The function returns
# a non-zero status on failure. It never exits the caller's shell. It needs bash and Python >= 3.10.
# To use another interpreter than python3, set PYTHON to its path.
# shellcheck shell=bash

_wsedtk_root=$(cd -- "$(dirname -- "${BASH_SOURCE[0]}")/.." && pwd)

# PYTHON MODULE...: test whether PYTHON finds all modules. Modules in the working directory do not
# count: `cd /` leaves it.
_wsedtk_importable() {
    local python=$1
    shift
    (cd / && "$python" -c 'import importlib.util, sys
sys.exit(any(importlib.util.find_spec(m) is None for m in sys.argv[1:]))' "$@") 2> /dev/null
}

_wsedtk_make() { # VENV STAMP EXTRA: create or update the environment of the checkout
    local venv=$1 stamp=$2 extra=$3 python=${PYTHON:-python3}
    if ! "$python" -c 'import sys; sys.exit(sys.version_info < (3, 10))' 2> /dev/null; then
        echo "env.sh: wsedtk needs Python >= 3.10, but '$python' is older or missing;" \
            "set PYTHON=/path/to/python3" >&2
        return 1
    fi
    echo "env.sh: installing wsedtk and its packages in $venv; this takes some minutes" >&2
    [ -x "$venv/bin/python3" ] || "$python" -m venv "$venv" || return 1
    "$venv/bin/python3" -m pip install --quiet --disable-pip-version-check \
        -c "$_wsedtk_root/constraints.txt" -e "$_wsedtk_root${extra:+[$extra]}" >&2 || {
        echo "env.sh: the installation failed; see above" >&2
        return 1
    }
    printf '%s\n' "$stamp" > "$venv/.wsedtk-$extra"
}

wsedtk_environment() { # EXTRA, or '' for none
    local extra=$1 venv=$_wsedtk_root/.venv modules=(wsedtk torch sed_eval sed_scores_eval av) stamp
    if [ "$extra" = test ]; then modules+=(pytest sklearn hypothesis); fi
    if command -v wsedtk > /dev/null && command -v python3 > /dev/null \
        && _wsedtk_importable python3 "${modules[@]}"; then
        return 0
    fi
    stamp=$(cat -- "$_wsedtk_root/setup.cfg" "$_wsedtk_root/constraints.txt" | cksum) || return 1
    if [ "$(cat -- "$venv/.wsedtk-$extra" 2> /dev/null)" != "$stamp" ]; then
        _wsedtk_make "$venv" "$stamp" "$extra" || return 1
    fi
    export PATH="$venv/bin:$PATH"
}
