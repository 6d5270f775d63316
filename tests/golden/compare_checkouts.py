"""Run the mini recipe of two checkouts on this machine, and compare the results bit by bit.

    python tests/golden/compare_checkouts.py BEFORE AFTER [--exp DIR] [OPTION VALUE ...]

BEFORE and AFTER are checkouts of the project. OPTION VALUE is given to recipes/mini/run.sh of both,
for example `--seed 1` or `--num-train 200`. The script compares features, weights, scores, tables
of tags and events, operating points, and the figures of report.json. The exit status is 1 if any
differ. Both checkouts use the environment of this Python. Results are bit-identical only on the same
machine.
"""

import argparse
import json
import os
import shlex
import subprocess
import sys
import tempfile
from pathlib import Path

import h5py
import numpy as np
import safetensors.numpy
import yaml

# These keys name the program, the time or the place, and differ for equal content.
MADE = {"made_from", "made_by", "wsedtk", "commit", "tuned_on"}


def make_program(folder):
    """Write a `wsedtk` that runs the package on PYTHONPATH, even if another one is installed."""
    folder.mkdir(parents=True, exist_ok=True)
    program = folder / "wsedtk"
    command = f"exec {shlex.quote(sys.executable)} -m wsedtk"
    program.write_text(f'#!/usr/bin/env bash\n{command} "$@"\n')
    program.chmod(0o755)


def run_recipe(checkout, exp, options, bin_dir):
    """Run the mini recipe of a checkout into an experiment directory."""
    places = [str(bin_dir), str(Path(sys.executable).parent), os.environ["PATH"]]
    environment = {**os.environ, "PYTHONPATH": str(checkout), "PATH": os.pathsep.join(places)}
    script = checkout / "recipes" / "mini" / "run.sh"
    command = ["bash", str(script), "--exp", str(exp), "--jobs", "1", *options]
    subprocess.run(command, env=environment, check=True, stdout=subprocess.DEVNULL)


def hdf5_content(path):
    """Return the arrays of an HDF5 file."""
    with h5py.File(path) as file:
        return {name: file[name][()] for name in file if isinstance(file[name], h5py.Dataset)}


def without_origin(value):
    """Return a mapping without the keys in MADE, at any depth."""
    if isinstance(value, dict):
        return {key: without_origin(inner) for key, inner in value.items() if key not in MADE}
    return value


READERS = {
    ".h5": hdf5_content,
    ".safetensors": lambda path: safetensors.numpy.load_file(path),
    ".tsv": lambda path: {"text": path.read_text(encoding="utf-8")},
    "report.json": lambda path: without_origin(json.loads(path.read_text(encoding="utf-8"))),
    "operating_point.yaml": lambda path: without_origin(yaml.safe_load(path.read_text())),
}


def contents(exp):
    """Return {path: content} of the files of an experiment that are compared."""
    found = {}
    for path in sorted(exp.rglob("*")):
        read = READERS.get(path.name) or READERS.get(path.suffix)
        if read is not None and path.is_file() and path.name != "history.tsv":
            content = read(path)
            # the paths of sound files may start with that of the experiment
            if path.suffix == ".tsv":
                content = {"text": content["text"].replace(str(exp), "EXP")}
            found[str(path.relative_to(exp))] = content
    return found


def differs(one, other):
    """Return whether two contents differ; NaN equals NaN."""
    if isinstance(one, dict) and isinstance(other, dict):
        return one.keys() != other.keys() or any(differs(one[key], other[key]) for key in one)
    if isinstance(one, np.ndarray):
        is_number = one.dtype.kind == "f"
        return not (one.dtype == other.dtype and np.array_equal(one, other, equal_nan=is_number))
    return one != other


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("before", type=Path)
    parser.add_argument("after", type=Path)
    parser.add_argument("--exp", type=Path, help="keep the two experiments in this folder")
    options, rest = parser.parse_known_args()
    with tempfile.TemporaryDirectory() as temporary:
        folder = (options.exp or Path(temporary)).resolve()
        make_program(folder / "bin")
        found = []
        for name in ("before", "after"):
            run_recipe(getattr(options, name).resolve(), folder / name, rest, folder / "bin")
            found.append(contents(folder / name))
    before, after = found
    odd = sorted(before.keys() ^ after.keys())
    odd += [path for path in before if path in after and differs(before[path], after[path])]
    for path in odd:
        print(f"differs: {path}")
    print(f"{len(before.keys() | after.keys())} files compared, {len(odd)} differ")
    sys.exit(bool(odd))


if __name__ == "__main__":
    main()
