"""The record that a stage leaves: its options, what it ran on, and the fingerprints of its inputs."""

import datetime
import hashlib
import platform
import subprocess
import sys
from pathlib import Path

from wsedtk import __version__, config
from wsedtk.atomic import write_text

_TABLES = (".tsv", ".txt", ".yaml", ".safetensors")
_LARGE = 64 << 20  # bytes; of larger files the head, the tail and the size make the fingerprint


def commit():
    """The commit of the checkout that this code runs from, with + where it is changed; None outside a checkout."""
    here = Path(__file__).parent
    try:
        found = subprocess.run(["git", "-C", str(here), "describe", "--always", "--dirty=+", "--abbrev=12"],
                               capture_output=True, text=True, timeout=10, check=False)
    except (OSError, subprocess.TimeoutExpired):
        return None
    return found.stdout.strip() or None


def fingerprint_file(path):
    """16 hexadecimal digits that name a file's content."""
    digest, size = hashlib.sha256(), path.stat().st_size
    with open(path, "rb") as file:
        if size <= _LARGE:
            digest.update(file.read())
        else:
            digest.update(f"{size} ".encode() + file.read(_LARGE // 2))
            file.seek(-_LARGE // 2, 2)
            digest.update(file.read())
    return digest.hexdigest()[:16]


def fingerprints(path):
    """{file: fingerprint} of a file, or of the tables of a data or model directory."""
    files = [path] if path.is_file() else sorted(p for p in path.glob("*") if p.is_file() and p.suffix in _TABLES)
    return {str(file): fingerprint_file(file) for file in files}


def write(path, command, options):
    """Write the record of a command: its options and the fingerprints of those paths among them that exist."""
    inputs, plain = {}, {}
    for name, value in options.items():
        values = value if isinstance(value, (tuple, list)) else [value]
        for item in values:
            if isinstance(item, Path) and item.exists():
                inputs.update(fingerprints(item))
        plain[name] = [str(v) if isinstance(v, Path) else v for v in values] if values is value else (
            str(value) if isinstance(value, Path) else value)
    write_text(path, config.to_yaml({
        "command": command, "options": plain, "inputs": inputs, "wsedtk": __version__, "commit": commit(),
        "python": platform.python_version(), "host": platform.node(), "arguments": sys.argv[1:],
        "started": datetime.datetime.now().astimezone().isoformat(timespec="seconds")}))
