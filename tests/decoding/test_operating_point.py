"""operating_point.yaml: an exact round trip, and all errors in a hand-edited file."""

import numpy as np
import pytest
import yaml

from wsedtk.core.errors import InputError
from wsedtk.decoding import operating_point

LABELS = ["Air horn, truck horn", "no", "Fire engine, fire truck (siren)", "1", 'Täxi: "x"']


def point(**changes):
    values = {
        "mode": "frame",
        "labels": LABELS,
        "clip_thresholds": np.array([0.1 + 0.2, 1 / 3, np.inf, -np.inf, 1e-7]),
        "frame_thresholds": np.array([5e-324, 0, 0.5 - 2**-54, 1 - 2**-53, 1]),
        "median_seconds": np.array([0, 0.5, 0.3, 1, 2.0]),
        "min_seconds": np.array([0, 0.1, 0.2, 0.3, 0.7]),
        "max_gap_seconds": np.full(5, 0.24),
        "gate_by_tags": True,
        "tuned_on": "abc tags, 3 clips",
    }
    return operating_point.OperatingPoint(**{**values, **changes})


def test_round_trip_is_exact(tmp_path):
    path = tmp_path / "operating point.yaml"
    operating_point.write(path, point())
    found, expected = operating_point.read(path), point()
    for name in ("mode", "labels", "gate_by_tags", "tuned_on"):
        assert getattr(found, name) == getattr(expected, name)
    for name in operating_point.PER_CLASS:
        assert getattr(found, name).dtype == np.float64
        assert getattr(found, name).tolist() == getattr(expected, name).tolist()


def test_round_trip_of_random_numbers(tmp_path):
    rng = np.random.default_rng(0)
    labels = [f"class {i}" for i in range(200)]
    values = rng.random(200) * 10.0 ** rng.integers(-12, 1, 200)
    operating_point.write(
        tmp_path / "p.yaml",
        point(labels=labels, **dict.fromkeys(operating_point.PER_CLASS, values)),
    )
    assert operating_point.read(tmp_path / "p.yaml").frame_thresholds.tolist() == values.tolist()


def test_a_file_can_list_its_classes_in_any_order(tmp_path):
    operating_point.write(tmp_path / "p.yaml", point())
    content = yaml.safe_load((tmp_path / "p.yaml").read_text(encoding="utf-8"))
    content["clip_thresholds"] = dict(reversed(content["clip_thresholds"].items()))
    (tmp_path / "p.yaml").write_text(yaml.safe_dump(content, allow_unicode=True), encoding="utf-8")
    assert (
        operating_point.read(tmp_path / "p.yaml").clip_thresholds.tolist()
        == point().clip_thresholds.tolist()
    )


def _without(key):
    return lambda content: content.pop(key)


def _with(key, value):
    return lambda content: content.__setitem__(key, value)


def _number(key, value):
    return lambda content: content[key].__setitem__("no", value)


@pytest.mark.parametrize(
    "change, message",
    [
        (_without("mode"), "missing key 'mode'"),
        (_without("max_gap_seconds"), "missing key 'max_gap_seconds'"),
        (
            _with("clip_threshold", 1),
            "unknown key 'clip_threshold'; did you mean 'clip_thresholds'",
        ),
        (_with("mode", "frames"), "mode: expected segment, frame or box, found 'frames'"),
        (_with("gate_by_tags", "yes please"), "gate_by_tags: expected true or false"),
        (_with("gate_by_tags", 1), "gate_by_tags: expected true or false, found 1"),
        (_with("labels", "Car"), "labels: expected a list of class names"),
        (_with("labels", []), "labels: expected a list of class names"),
        (_with("labels", ["a", "a"]), "labels: expected a list of class names"),
        (_with("labels", ["a", 1]), "labels: expected a list of class names"),
        (
            _with("clip_thresholds", 0.5),
            "clip_thresholds: expected `class: number` lines, found 0.5",
        ),
        (
            _with("clip_thresholds", {"no": 1}),
            "clip_thresholds: expected one number for each class in `labels`; missing, unknown or repeated: .*truck horn",
        ),
        (
            lambda content: content["min_seconds"].pop("no"),
            r"min_seconds: .*missing, unknown or repeated: \['no'\]",
        ),
        (
            _number("frame_thresholds", "high"),
            "frame_thresholds: no: expected a number, found 'high'",
        ),
        (_number("frame_thresholds", True), "frame_thresholds: no: expected a number, found True"),
        (
            _number("frame_thresholds", float("nan")),
            "frame_thresholds: no: expected a number, found nan",
        ),
        (
            _number("frame_thresholds", 50),
            "frame_thresholds: no: expected a number from 0 to 1, or inf "
            r"to never detect the class, found 50; did you mean 0.5\?",
        ),
        (
            _number("clip_thresholds", -0.5),
            "no: expected .* inf to never detect the class, found -0.5$",
        ),
        (_number("median_seconds", None), "median_seconds: no: expected a number, found None"),
        (
            _number("median_seconds", float("inf")),
            "median_seconds: no: expected seconds from 0 to 86400, found inf",
        ),
        (
            _number("min_seconds", float("inf")),
            "min_seconds: no: expected seconds from 0 to 86400, found inf",
        ),
        (
            _number("max_gap_seconds", float("inf")),
            "max_gap_seconds: no: expected seconds from 0 to 86400, found inf",
        ),
        (
            _number("max_gap_seconds", -0.1),
            "max_gap_seconds: no: expected seconds from 0 to 86400, found -0.1",
        ),
    ],
)
def test_wrong_files_are_refused(tmp_path, change, message):
    path = tmp_path / "p.yaml"
    operating_point.write(path, point())
    content = yaml.safe_load(path.read_text(encoding="utf-8"))
    change(content)
    path.write_text(yaml.safe_dump(content, allow_unicode=True), encoding="utf-8")
    with pytest.raises(InputError, match=message) as error:
        operating_point.read(path)
    assert str(path) in str(error.value)


@pytest.mark.parametrize(
    "text, message",
    [
        ("- a\n- b\n", "is not an operating point; create one with wsedtk tune"),
        ("", "not an operating point"),
        ("mode: [", "not valid YAML"),
        ("mode: frame\nmode: segment\n", "'mode' is repeated"),
    ],
)
def test_files_that_are_something_else(tmp_path, text, message):
    (tmp_path / "p.yaml").write_text(text)
    with pytest.raises(InputError, match=message):
        operating_point.read(tmp_path / "p.yaml")


def test_no_file(tmp_path):
    with pytest.raises(InputError, match="p.yaml: no such file"):
        operating_point.read(tmp_path / "p.yaml")
