"""Names of clips, classes and folders have no effect in paths, shells, HTML, figures, terminals."""

import html.parser
import json
import os
import shlex
import socket
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from helpers import RECIPES, make_point, write_by_pyav, write_score_file, write_set, write_sound

import wsedtk
from wsedtk.audio import audio_files
from wsedtk.audio.av_file import AvFile
from wsedtk.audio.containers.layout import Part, Window
from wsedtk.core.errors import InputError
from wsedtk.core.progress import printable
from wsedtk.corpora import youtube_download
from wsedtk.data import datadir, score_folders
from wsedtk.decoding import operating_point
from wsedtk.report import plots
from wsedtk.report.page import Page
from wsedtk.stages import download

LONG = 64 * "音é"  # 320 bytes
EVIL = [
    "<script>alert(1)</script>",
    '"><img src=x onerror=alert(1)>',
    "' onmouseover='alert(1)",
    "&lt;script&gt; & </td></table>",
    r"$\frac{$ $",
    r"\$x$ _a^",
    "_hidden",
    "$(touch pwned)",
    "`touch pwned`; touch pwned",
    "\x1b[2J\x1b]0;owned\x07red",
    "a\x9b31m",
]
SHELL = [
    "$(touch pwned) `touch pwned`",
    "a; touch pwned #' \"b",
    "a\ntouch pwned\n",
    "-n",
    "* ? ${IFS} \\ SHARD JOB",
]


# ---- file names ----


@pytest.mark.parametrize(
    "name",
    [
        "../x",
        "/etc/x",
        "a/../../x",
        "a\0b",
        "",
        ".",
        "..",
        "..\\x",
        LONG,
        "a\x1b[2J",
        "a\nb",
        "._x",
        "a/",
    ],
)
def test_impossible_file_names_make_no_table(tmp_path, name):
    frames = [(np.zeros((3, 1)), 0.3)] * 2
    folder = tmp_path / "here" / "scores"
    score_folders.write(folder, ["fine.wav", f"{name}.wav"], ["Car"], 0.1, frames)
    there = [path for path in tmp_path.rglob("*") if not path.is_dir()]
    assert there == [folder / "fine.tsv"]
    with pytest.raises(InputError, match="scores: no clip can have a table: "):
        score_folders.write(folder, [f"{name}.wav"], ["Car"], 0.1, frames)


@pytest.mark.parametrize(
    "name",
    [
        "-rf",
        "--",
        "...",
        ".hidden",
        "a b",
        'it\'s "x"',
        "$(x)",
        80 * "音",
        "Y-abcdefghij_0.000_1.000",
    ],
)
def test_all_other_names_make_a_table_in_the_folder(tmp_path, name):
    score_folders.write(
        tmp_path / "scores", [f"{name}.wav"], ["Car"], 0.1, [(np.zeros((3, 1)), 0.3)]
    )
    assert [p.parent for p in tmp_path.rglob("*.tsv")] == [tmp_path / "scores"]
    assert len(score_folders.ScoreFolder(tmp_path / "scores")) == 1


def test_two_names_that_are_one_to_the_file_system(tmp_path, monkeypatch):
    """On many systems, a.tsv and A.tsv are one file: the second does not overwrite the first."""
    usual = open
    monkeypatch.setattr(
        "builtins.open",
        lambda path, *rest, **more: usual(
            Path(path).with_name(Path(path).name.lower()) if str(path).endswith(".tsv") else path,
            *rest,
            **more,
        ),
    )
    with pytest.raises(InputError, match="scores: can't be written: File exists"):
        score_folders.write(
            tmp_path / "scores", ["a.wav", "A.wav"], ["Car"], 0.1, [(np.zeros((3, 1)), 0.3)] * 2
        )
    assert not (tmp_path / "scores").exists()


def test_a_name_with_line_ends_adds_no_rows_to_a_decoded_table(run, tmp_path):
    for names, labels in ((["a.wav\t1\nb.wav"], ["Car"]), (["a.wav"], ["Car\nb.wav\tCar"])):
        scores = write_score_file(tmp_path / "s.h5", names, labels, [[0.9]])
        operating_point.write(tmp_path / "p.yaml", make_point(1, labels))
        result = run("decode", scores, tmp_path / "p.yaml", tmp_path / "out")
        assert (
            result.exit_code == 1
            and "no clip or class can have this name" in result.stderr
            and not (tmp_path / "out").exists()
        )
        (tmp_path / "s.h5").unlink()


# ---- HTML and figures ----


class Elements(html.parser.HTMLParser):
    """Return the names of the elements and attributes of a page, and its text."""

    def __init__(self, page):
        super().__init__()
        self.elements, self.attributes, self.text = set(), set(), []
        self.feed(page)

    def handle_starttag(self, tag, attrs):
        self.elements.add(tag)
        self.attributes |= {name for name, _ in attrs}

    def handle_data(self, data):
        self.text.append(data)


@pytest.fixture
def system(tmp_path, run):
    """An evaluated system whose classes, clips and folders have all dangerous names."""
    labels = EVIL
    clips = [(f"{label}.wav", "", 2) for label in labels]
    events = [(f"{label}.wav", 0, 1 + k % 2, label) for k, label in enumerate(labels)]
    data = write_set(tmp_path / "data", clips, labels, [(e[0], e[3]) for e in events], events)
    model = tmp_path / "exp" / EVIL[0].replace("/", "") / EVIL[1]
    found = datadir.read(data)
    frame = np.zeros((len(labels), 20, len(labels)), np.float32)
    frame[np.arange(len(labels)), :, np.arange(len(labels))] = 0.9
    order = np.argsort([f"{label}.wav" for label in labels])
    scores = write_score_file(
        model / "<b>test" / "scores.h5",
        found.filenames.tolist(),
        labels,
        frame.max(axis=1)[order],
        frame[order],
        durations=np.full(len(labels), 2.0),
    )
    operating_point.write(tmp_path / "p.yaml", make_point(len(labels), labels))
    folder = model / "<b>test" / "frame"
    assert run("decode", "--mode", "frame", scores, tmp_path / "p.yaml", folder).exit_code == 0
    assert run("score", "--scores", scores, data, folder).exit_code == 0
    (model / "history.tsv").write_text("\t".join(plots.HISTORY) + "\n5\t0.7\t0.7\t0.1\t0.2\n")
    return model


def test_no_name_becomes_html(system, tmp_path, run):
    result = run("report", system, tmp_path / "r.html", "--figures", tmp_path / "figures")
    assert result.exit_code == 0, result.stderr
    page = Elements((tmp_path / "r.html").read_text())
    assert page.elements == set(
        "html head meta title style body h1 h2 h3 p nav ul li a div table thead tbody tr th td wbr b figure "
        "figcaption img".split()
    )
    assert page.attributes == {
        "lang",
        "charset",
        "name",
        "content",
        "http-equiv",
        "class",
        "id",
        "href",
        "scope",
        "tabindex",
        "alt",
        "src",
    }
    assert set(EVIL[:4]) <= set(page.text)


def test_figures_stay_in_their_folder(system, tmp_path, run):
    assert (
        run("report", system, tmp_path / "r.html", "--figures", tmp_path / "figures").exit_code == 0
    )
    names = [path.name for path in (tmp_path / "figures").iterdir()]
    assert len(names) > 4 and len(list(tmp_path.rglob("*.png"))) == len(names)
    assert all(set(name).isdisjoint("/\\<>$`\"' \x1b") for name in names)


@pytest.mark.filterwarnings("ignore:Glyph")
def test_a_figure_of_a_long_name(tmp_path):
    page = Page(tmp_path / "figures")
    page.figure(
        LONG + ": " + "../../x",
        plots.training_curves({name: [1.0] for name in plots.HISTORY}, LONG),
    )
    (path,) = (tmp_path / "figures").iterdir()
    assert (
        path.name.startswith("01_音é")
        and path.name.endswith(".png")
        and len(os.fsencode(path.name)) <= 255
    )


@pytest.mark.parametrize(
    "change, value",
    [
        (("clips", "scored"), "<script>alert(1)</script>"),
        (("tagging", "f1"), "<script>"),
        (("segment", "f1_ci"), ["<script>", "</script>"]),
        (("baselines",), {"<script>": {"tagging": {}, "segment": {}}}),
        (("classes",), ["<script>"]),
        (("segment",), None),
        (("made_from",), "<script>"),
        (("classes", "<script>"), []),
    ],
)
def test_files_that_are_not_reports_are_refused(system, tmp_path, run, change, value):
    path = system / "<b>test" / "frame" / "report.json"
    content = json.loads(path.read_text())
    place = content
    for key in change[:-1]:
        place = place[key]
    place[change[-1]] = value
    path.write_text(json.dumps(content))
    result = run("report", system, tmp_path / "r.html")
    assert (
        result.exit_code == 1
        and "report.json: can't be read as a report" in result.stderr
        and not (tmp_path / "r.html").exists()
    )


@pytest.mark.parametrize("text", ["", "step\n1\n", "\xff", "<script>\t1\n"])
def test_a_file_that_is_not_a_history(system, tmp_path, run, text):
    (system / "history.tsv").write_text(text, encoding="latin-1")
    result = run("report", system, tmp_path / "r.html")
    assert result.exit_code == 1 and "history.tsv: is not a training history" in result.stderr


@pytest.mark.filterwarnings("ignore:Glyph")
@pytest.mark.parametrize(
    "label",
    [
        *EVIL,
        "$",
        "$$",
        "\\",
        r"\frac",
        "$x$",
        "^",
        "{",
        "%s %(x)s {0}",
        "\n",
        "\t",
        LONG,
        "𝒳\u202e",
    ],
)
def test_any_label_can_be_drawn_and_is_in_the_legend(label):
    track = plots.Track("found", np.full((20, 2), 0.5), 0.1, np.full(2, 0.5), [(0, 1, 0)])
    figure = plots.timelines(label, 2.0, [label, "b"], [track], truth=[(0, 1, 1)])
    assert len(plots.png(figure)) > 5000
    assert len(figure.legends[0].get_texts()) == 2
    plots.png(plots.training_curves({name: [1.0] for name in plots.HISTORY}, label))


# ---- sound files ----

PLAYLISTS = {
    "hls": "#EXTM3U\n#EXT-X-TARGETDURATION:9\n#EXTINF:9,\n{}\n#EXT-X-ENDLIST\n",
    "concat": "ffconcat version 1.0\nfile '{}'\n",
    "dash": '<?xml version="1.0"?><MPD type="static" mediaPresentationDuration="PT6S"><Period>'
    '<AdaptationSet mimeType="audio/mp4"><Representation id="1" bandwidth="9"><BaseURL>{}'
    "</BaseURL></Representation></AdaptationSet></Period></MPD>",
    "sdp": "v=0\no=- 0 0 IN IP4 127.0.0.1\ns={}\nc=IN IP4 127.0.0.1\nt=0 0\nm=audio 9 RTP/AVP 0\n",
}


@pytest.mark.parametrize("kind", PLAYLISTS)
@pytest.mark.parametrize("name", ["x.mp4", "x.m3u8", "x.wav"])
def test_a_playlist_opens_no_other_file_and_no_connection(tmp_path, monkeypatch, kind, name):
    """A playlist opens no connection even if FFmpeg is told that it is a playlist."""
    monkeypatch.chdir(tmp_path)
    write_by_pyav("other.ts", np.zeros(16000), 16000, "mpegts", "aac")
    with socket.create_server(("127.0.0.1", 0)) as server:
        server.setblocking(False)
        http = f"http://127.0.0.1:{server.getsockname()[1]}/a.ts"
        for target in ("other.ts", f"file:{tmp_path}/other.ts", f"{tmp_path}/other.ts", http):
            Path(name).write_text(PLAYLISTS[kind].format(target))
            with pytest.raises(InputError, match=f"{name}: can't be read as sound"):
                audio_files.read(name)
            with open(name, "rb", buffering=0) as file, pytest.raises(InputError):
                AvFile(name, Window(file, Part(), os.path.getsize(name)), kind)
        with pytest.raises(BlockingIOError):
            server.accept()


# ---- the terminal ----


@pytest.mark.parametrize("name", ["labels.txt", "clips.tsv", "tags.tsv", "events.tsv"])
def test_a_table_with_nul_is_refused(system, tmp_path, name):
    path = tmp_path / "data" / name
    path.write_bytes(path.read_bytes() + b"x\0y\n")
    with pytest.raises(
        InputError,
        match=rf"{name}:{len(path.read_bytes().splitlines())}: contains the control character '.x00'",
    ):
        datadir.read(tmp_path / "data")


def test_messages_and_tables_hold_no_control_characters(system, tmp_path, run):
    data = tmp_path / "data"
    outputs = [
        run("score", data, system / "<b>test" / "frame"),
        run("validate", data),
        run("tune", system / "<b>test" / "scores.h5", data, tmp_path / "p2.yaml"),
        run("balance", data, tmp_path / "fit", tmp_path / "valid", "--num-valid", "3"),
    ]
    for result in outputs:
        assert set(result.stdout + result.stderr).isdisjoint("\x1b\x07\x00\x9b")
    assert any("\\x1b[2J" in result.stdout for result in outputs)


def test_a_path_in_an_error_is_spelt_out(tmp_path):
    process = wsedtk_command("decode", "\x1b[2Jx\x9b", "p.yaml", "out", cwd=tmp_path)
    assert (
        process.returncode == 1
        and "\\x1b[2Jx\\x9b: no such file" in process.stderr
        and "\x1b" not in process.stderr
    )
    assert printable("a\tb\nc é \x7f\r") == "a\tb\nc é \\x7f\\r"


# ---- the shell ----


def wsedtk_command(*arguments, cwd):
    """Run the command line in a separate process."""
    return subprocess.run(
        [sys.executable, "-m", "wsedtk", *map(str, arguments)],
        capture_output=True,
        text=True,
        timeout=120,
        cwd=cwd,
        env={**os.environ, "PYTHONPATH": str(Path(wsedtk.__file__).parents[1])},
    )


STAND_IN = """#!/usr/bin/env python3
import json, os, sys
with open(os.environ["SEEN"], "a") as file:
    file.write(json.dumps(sys.argv[1:]) + "\\n")
"""


@pytest.fixture
def commands(tmp_path):
    """A folder with a `wsedtk` that only records its arguments; a function that returns them."""
    (tmp_path / "bin").mkdir()
    (tmp_path / "bin" / "wsedtk").write_text(STAND_IN)
    (tmp_path / "bin" / "wsedtk").chmod(0o755)
    seen = tmp_path / "seen"

    def told():
        lines = seen.read_text().splitlines() if seen.exists() else []
        seen.unlink(missing_ok=True)
        return [json.loads(line) for line in lines]

    return {"PATH": f"{tmp_path / 'bin'}{os.pathsep}{os.environ['PATH']}", "SEEN": str(seen)}, told


@pytest.mark.parametrize("name", SHELL)
def test_names_reach_commands_as_they_are(tmp_path, commands, name):
    environment, told = commands
    here = tmp_path / "here"
    here.mkdir()
    exp, bank, system = f"./{name}/exp", f"./bank {name}", name.replace("/", "")
    options = [
        "--exp",
        exp,
        "--bank",
        bank,
        "--background",
        name,
        "--config",
        f"./{name}.yaml",
        "--system",
        system,
        "--frontend",
        name,
    ]
    process = subprocess.run(
        ["bash", str(RECIPES / "mini" / "run.sh"), "--stop-stage", "8", *options],
        capture_output=True,
        text=True,
        timeout=60,
        cwd=here,
        env={**os.environ, **environment},
    )
    assert process.returncode == 0, process.stderr
    arguments = {command[2]: command for command in told()}
    assert (
        list(arguments)
        == "prepare validate extract balance train predict tune decode score".split()
    )
    assert not list(tmp_path.rglob("pwned"))
    for command in arguments.values():
        paths = [argument for argument in command if "exp/" in argument]
        assert paths and all(path.startswith(f"{exp}/") for path in paths)
    assert (
        bank in arguments["prepare"]
        and arguments["prepare"][arguments["prepare"].index("--background") + 1] == name
    )
    assert (
        f"./{name}.yaml" in arguments["train"]
        and f"{exp}/{system}" in arguments["train"]
        and name in arguments["extract"]
    )
    assert {path.name for path in here.iterdir()} == {name}


@pytest.mark.parametrize("name", SHELL)
def test_the_sharded_extraction_of_the_audioset_recipe(tmp_path, commands, name):
    environment, told = commands
    exp = tmp_path / name / "exp"
    process = subprocess.run(
        [
            "bash",
            str(RECIPES / "audioset" / "run.sh"),
            "--stage",
            "2",
            "--stop-stage",
            "2",
            "--exp",
            str(exp),
        ],
        capture_output=True,
        text=True,
        timeout=60,
        cwd=tmp_path,
        env={**os.environ, **environment},
    )
    assert process.returncode == 0, process.stderr
    found = told()
    assert sorted(
        command[command.index("--shard") + 1] for command in found if "--shard" in command
    ) == ["1/2", "1/2", "2/2", "2/2"]
    assert all(
        command[-1].startswith(f"{exp}/feats/") and command[-2].startswith(f"{exp}/data/")
        for command in found
    )
    assert len({command[1] for command in found}) == 4 and not list(tmp_path.rglob("pwned"))


def test_dry_run_prints_the_commands_of_download(tmp_path, run):
    clips = [f"{video}_0.000_10.000.wav" for video in ("-abcdefghij", "--abcdefghi", "abcdefghijk")]
    data = write_set(
        tmp_path / "$(touch pwned)" / "set",
        [(clip, "", 10) for clip in clips],
        ["$(touch pwned)"],
        [],
    )
    program = tmp_path / "a 'b' $(touch pwned);" / "yt-dlp"
    program.parent.mkdir()
    program.write_text(STAND_IN)
    program.chmod(0o755)
    result = run(
        "download",
        "--dry-run",
        "--program",
        program,
        "--limit-rate",
        "$(touch pwned)",
        data,
        tmp_path / "audio `touch pwned`",
    )
    assert result.exit_code == 0, result.stderr
    process = subprocess.run(
        ["bash", "-c", result.stdout],
        cwd=tmp_path,
        env={**os.environ, "SEEN": str(tmp_path / "seen")},
    )
    assert process.returncode == 0 and not list(tmp_path.rglob("pwned"))
    expected = [
        youtube_download.command_line(str(program), clip, "$(touch pwned)")
        for clip in sorted(clips)
    ]
    assert sorted(
        shlex.split(line) for line in result.stdout.splitlines() if not line.startswith("#")
    ) == sorted(expected)
    assert sorted(
        json.loads(line) for line in (tmp_path / "seen").read_text().splitlines()
    ) == sorted(command[1:] for command in expected)


@pytest.mark.parametrize(
    "name",
    [
        "$(touch pwned)_0.000_10.000.wav",
        "../bcdefghi_0.000_10.000.wav",
        "abcdefghijk_0_1;touch.wav",
        "abcdefghij\n_0.000_10.000.wav",
        "abcdefghijk_0.000_10.000.wav; x",
        "abc%(id)sdef_0.000_10.000.wav",
    ],
)
def test_a_clip_that_is_no_youtube_id_is_not_downloaded(tmp_path, name):
    with pytest.raises(
        InputError, match="is not an excerpt of a YouTube video|expected 3 tab-separated fields"
    ):
        download.read_clips([write_set(tmp_path / "set", [(name, "", 10)], ["a"], [])])


def test_a_bank_with_dangerous_names(tmp_path, run):
    for k, label in enumerate([label.replace("/", "") for label in EVIL]):
        for number in range(5):
            write_sound(
                tmp_path / "bank" / label / f"{1 + number // 4}-{k}{number}-A.wav",
                1.0,
                frequency=300 * (k + 1) + number,
            )
    result = run(
        "prepare",
        "soundscapes",
        "--background",
        "_hidden",
        "--test-folds",
        "2",
        "--num-train",
        "4",
        "--num-test",
        "2",
        tmp_path / "bank",
        tmp_path / "data",
    )
    assert result.exit_code == 0, result.stderr
    assert {path.parent.name for path in (tmp_path / "data").rglob("*.flac")} == {"train", "test"}
    assert len(datadir.read(tmp_path / "data/test").labels) == len(EVIL) - 1
