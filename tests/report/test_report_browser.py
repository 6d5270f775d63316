"""The report page in headless Chromium: what it loads, shows and plays, narrow and on paper."""

import html
import json
import re
import shutil
import subprocess

import numpy as np
import pytest
from click.testing import CliRunner
from helpers import make_point, write_score_file, write_set, write_sound

from wsedtk.cli import main as cli
from wsedtk.decoding import operating_point
from wsedtk.report import plots

LABELS = [
    "<b>Bell</b> & $x$",
    "Dog \"bark\" 'n'",
    "a very long name of a class, with commas, that has to go somewhere",
]
BROWSER = next(
    filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None
)
pytestmark = pytest.mark.skipif(
    BROWSER is None, reason="no Chromium on the PATH; apt-get install chromium"
)
LOOK = """<script>
addEventListener("load", async () => {
  const loaded = a => a.readyState > 0 ? a.duration : new Promise(done => {
    a.onloadedmetadata = () => done(a.duration); a.onerror = () => done("error: " + a.error.message) });
  const spread = image => {
    const canvas = document.createElement("canvas"), context = canvas.getContext("2d");
    [canvas.width, canvas.height] = [image.naturalWidth, image.naturalHeight];
    context.drawImage(image, 0, 0);
    return new Set(new Uint32Array(context.getImageData(0, 0, canvas.width, canvas.height).data.buffer)).size };
  parent.postMessage(JSON.stringify({
    window: innerWidth, client: document.documentElement.clientWidth, scroll: document.documentElement.scrollWidth,
    images: [...document.images].map(i => [i.naturalWidth, i.alt, spread(i)]),
    sounds: await Promise.all([...document.querySelectorAll("audio")].map(loaded)),
    asked: performance.getEntriesByType("resource").map(e => e.name).filter(name => !name.startsWith("data:")),
    text: document.body.innerText}), "*") });
</script>"""
FRAME = """<!DOCTYPE html><pre id="found"></pre><iframe src="copy.html" style="width: %dpx; height: 700px; border: 0"></iframe>
<script>onmessage = e => { document.getElementById("found").textContent = e.data }</script>"""


@pytest.fixture(scope="module")
def page(tmp_path_factory):
    """A page about two systems, one with attention, on four clips with sound and unusual names."""
    root, rng = tmp_path_factory.mktemp("page"), np.random.default_rng(0)
    names = [f'<i>clip & "{i}".wav' for i in range(4)]
    for i in range(len(names)):
        write_sound(root / "audio" / f"{i}.wav", 2 if i else 3, frequency=500 * (i + 1))
    events = [(names[i], 0.5, 1.5, LABELS[i % 3]) for i in range(3)]
    data = write_set(
        root / "data",
        [(n, f"../audio/{i}.wav", 2 if i else 3) for i, n in enumerate(names)],
        LABELS,
        [(e[0], e[3]) for e in events],
        events,
    )
    operating_point.write(root / "point.yaml", make_point(3, LABELS))

    def run(*arguments):
        assert (
            CliRunner()
            .invoke(cli.cli, [str(a) for a in arguments], catch_exceptions=False)
            .exit_code
            == 0
        )

    for system in ("a <system>", 'another & "one"'):
        frame = rng.random((4, 30, 3), np.float32)
        scores = write_score_file(
            root / "exp" / system / "test" / "scores.h5",
            names,
            LABELS,
            frame.max(axis=1),
            frame,
            frame.reshape(4, 3, 10, 3).mean(axis=2),
            durations=np.array([3.0, 2, 2, 2]),
        )
        run("decode", "--mode", "frame", scores, root / "point.yaml", scores.parent / "frame")
        run("score", "--scores", scores, "--bootstrap", "20", data, scores.parent / "frame")
    (root / "exp" / system / "history.tsv").write_text(
        "\t".join(plots.HISTORY) + "\n5\t0.7\t0.7\t0.1\t0.2\n"
    )
    run("report", root / "exp", root / "report.html")
    return root / "report.html"


def browse(folder, address, *options):
    """Run Chromium on a file: (the final document, the messages of its console)."""
    command = [
        BROWSER,
        "--headless",
        "--no-sandbox",
        "--disable-gpu",
        f"--user-data-dir={folder / 'profile'}",
        "--enable-logging=stderr",
        "--virtual-time-budget=20000",
        *options,
        address.as_uri(),
    ]
    process = subprocess.run(command, capture_output=True, text=True, timeout=120)
    assert process.returncode == 0, process.stderr
    return process.stdout, [line for line in process.stderr.splitlines() if "CONSOLE" in line]


def look(folder, page, width):
    """Return measurements of a browser in a copy of the page, in a window of this many pixels."""
    copy = re.sub(
        '<meta http-equiv="Content-Security-Policy"[^>]*>', "", page.read_text()
    )  # the page forbids the measuring script
    (folder / "copy.html").write_text(copy.replace("</head>", f"{LOOK}</head>", 1))
    (folder / "frame.html").write_text(FRAME % width)
    document, console = browse(folder, folder / "frame.html", "--dump-dom")
    assert console == []
    return json.loads(
        html.unescape(re.search('<pre id="found">(.*?)</pre>', document, re.DOTALL).group(1))
    )


@pytest.mark.parametrize("width", [360, 1200])
def test_the_page_is_whole_in_a_window(page, tmp_path, width):
    found = look(tmp_path, page, width)
    assert found["window"] == width and found["scroll"] <= found["client"]
    assert len(found["images"]) == page.read_text().count("<img") > 8
    assert all(pixels > 300 and alt and colors > 10 for pixels, alt, colors in found["images"])
    assert sorted(found["sounds"]) == pytest.approx([2, 2, 2, 3], abs=0.15)
    assert found["asked"] == []
    for text in (
        *LABELS,
        "a <system>",
        'another & "one"',
        '<i>clip & "0".wav',
        "Differences",
        "evaluated on all 4 clips in the set",
    ):
        assert text in found["text"], text


def test_the_page_loads_without_messages_or_requests(page, tmp_path):
    assert browse(tmp_path, page, "--dump-dom")[1] == []
    bad = tmp_path / "bad.html"  # a page with faults gives messages
    bad.write_text(
        page.read_text().replace(
            "</body>", '<script>throw 1</script><img src="http://127.0.0.1:9/x.png"></body>'
        )
    )
    assert (
        len(
            [
                line
                for line in browse(tmp_path, bad, "--dump-dom")[1]
                if "Content Security Policy" in line
            ]
        )
        == 2
    )


def test_the_page_is_printed(page, tmp_path):
    browse(tmp_path, page, f"--print-to-pdf={tmp_path / 'page.pdf'}")
    pdf = (tmp_path / "page.pdf").read_bytes()
    assert pdf.startswith(b"%PDF") and len(re.findall(rb"/Type\s*/Page\b", pdf)) > 2
