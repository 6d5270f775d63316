"""Find the shards of feature files.

Each shard contains some of the clips. All shards of a file are read as one file.
"""

import os
import re
from pathlib import Path

from wsedtk.core.errors import InputError
from wsedtk.core.paths import PathLike
from wsedtk.data.folders import look


def shard_path(path: PathLike, shard: int, num_shards: int) -> Path:
    """Return the path of a shard, `<set>.<shard>-of-<num_shards>.h5`. Shards are counted from 1."""
    path = Path(path)
    return path.with_name(f"{path.stem}.{shard}-of-{num_shards}{path.suffix}")


def find_shards(path: PathLike) -> list[Path]:
    """Return [path] if the file exists. Otherwise return the paths of all shards of the file.

    Raises
    ------
    InputError
        If neither the file nor its shards exist, if a shard is missing, or if the names of the
        shards contain different numbers of shards.
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
            f"{path}: the file names of its shards contain different numbers of shards: "
            f"{' and '.join(map(str, counts))}; remove the old shards"
        )
    shards = [shard_path(path, k, counts[0]) for k in range(1, counts[0] + 1)]
    missing = [shard.name for shard in shards if not shard.exists()]
    if missing:
        are = "is" if len(missing) == 1 else "are"
        raise InputError(
            f"{path}: {len(missing)} of {counts[0]} shards {are} missing, the first {missing[0]}; "
            "extract the missing shards"
        )
    return shards
