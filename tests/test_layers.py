"""The layers of the house, over the syntax trees: imports go downward only, stages never import each other."""

import ast
from pathlib import Path

import wsedtk

PACKAGE = Path(wsedtk.__file__).parent
LAYERS = {"cli": 0, "commands": 0, "__main__": 0, "stages": 1,
          "artefacts": 2, "chain": 2, "clip_pages": 2, "comparing": 2, "corpora": 2, "dataset": 2,
          "difference_tables": 2, "detection": 2, "distributed": 2,
          "inference": 2, "model_card": 2, "onnx_graph": 2, "page": 2, "plots": 2, "scalars": 2, "scored": 2, "scoring": 2,
          "seeds": 2, "training": 2,
          "console": 3,
          "atomic": 3, "tables": 3, "progress": 3, "parallel": 3, "ranks": 3, "parts": 3, "signals": 3, "audio": 3, "recordings": 3,
          "sound_file": 3, "sndfile": 3, "av_file": 3, "containers": 3,
          "datadir": 3, "event_formats": 3, "event_lists": 3, "class_lists": 3, "store": 3, "score_folder": 3, "checkpoint": 3,
          "operating_point": 3, "provenance": 3, "folders": 3, "set_tables": 3,
          "clip_names": 4, "frontend": 4, "pooling": 4, "models": 4, "thresholds": 4, "events": 4, "metrics": 4,
          "intervals": 4, "ranking": 4,
          "caches": 5, "config": 5, "errors": 5, "__init__": 5}
WITHOUT_TORCH = {"metrics", "ranking", "events", "thresholds", "datadir", "operating_point",
                 "config", "errors", "audio", "sound_file", "sndfile", "av_file", "containers",
                 "caches", "console",
                 "store", "parts", "clip_names", "event_lists", "event_formats", "recordings", "score_folder", "scoring",
                 "chain", "scored", "comparing", "page", "clip_pages", "folders", "set_tables",
                 "difference_tables", "intervals", "seeds"}


def imports():
    """(room, file, imported module) of every import in the package, also inside functions."""
    for path in sorted(PACKAGE.rglob("*.py")):
        room = path.relative_to(PACKAGE).parts[0].removesuffix(".py")
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Import):
                yield from ((room, path, alias.name) for alias in node.names)
            elif isinstance(node, ast.ImportFrom):
                assert node.level == 0, f"{path}: relative import"
                if node.module == "wsedtk":
                    yield from ((room, path, f"wsedtk.{alias.name}") for alias in node.names)
                else:
                    yield room, path, node.module


def test_every_module_has_a_layer():
    assert {room for room, _, _ in imports()} | {p.stem for p in PACKAGE.glob("*.py")} <= set(LAYERS)


def test_imports_go_downward():
    for room, path, name in imports():
        target = name.split(".")[1] if name.startswith("wsedtk.") else None
        if target in LAYERS and target != room:
            assert LAYERS[target] >= LAYERS[room], f"{path}: {room} imports {target}"
        if room == "stages":
            assert target != "stages", f"{path}: a stage imports a stage"
        if LAYERS[room] == 4 and target:
            assert LAYERS[target] >= 4, f"{path}: pure code imports {target}"


def test_torch_h5py_and_pickle_stay_in_their_rooms():
    for room, path, name in imports():
        package = name.split(".")[0]
        assert package != "h5py" or room == "store", f"{path}: h5py"
        assert package != "torch" or room not in WITHOUT_TORCH, f"{path}: torch"
        assert package not in ("pickle", "dill", "joblib"), f"{path}: {package}"
