"""Find the shards of feature files. The shards of a file are read as one file."""

import os
import re
from pathlib import Path

from wsedtk.core.errors import InputError
from wsedtk.core.paths import PathLike
from wsedtk.data.folders import look


def shard_path(path: PathLike, shard: int, num_shards: int) -> Path:
    """Return the path of shard K of N, `<set>.K-of-N.h5`. Shards are counted from 1."""
    path = Path(path)
    return path.with_name(f"{path.stem}.{shard}-of-{num_shards}{path.suffix}")


def find_shards(path: PathLike) -> list[Path]:
    """Return the path itself if it exists, or else the paths of all of its shards.

    Raises
    ------
    InputError
        If neither the file nor its shards exist, or if a shard is missing.
    """
    path = Path(path)
    if path.exists():
        return [path]
    pattern = re.compile(re.escape(path.stem) + r"\.(\d+)-of-(\d+)" + re.escape(path.suffix))
    names = look(path.parent).files if os.path.isdir(path.parent) else []
    counts = sorted({int(match.group(2)) for match in map(pattern.fullmatch, names) if match})
    if not counts:
        raise InputError(f"{path}: no such file or shards; create it with wsedtk extract")
    if len(counts) > 1:
        raise InputError(
            f"{path}: found shards of {' and of '.join(map(str, counts))}; remove the old ones"
        )
    shards = [shard_path(path, k, counts[0]) for k in range(1, counts[0] + 1)]
    missing = [shard.name for shard in shards if not shard.exists()]
    if missing:
        raise InputError(
            f"{path}: shard {missing[0]} is missing ({len(missing)} of {counts[0]} are)"
        )
    return shards
