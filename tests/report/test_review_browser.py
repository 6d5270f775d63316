"""The page of review in headless Chromium, with real keys, mouse and touch, narrow and wide."""

import json

import pytest
from browser import Browser, needs_browser
from helpers import write_sound

from wsedtk.data import datadir

pytestmark = needs_browser
NAME, SCRIPT = "site <b>&\"1\"/é 'x'.wav", "<script>throw 1</script>"
# The order is "uncertain", grouped by class: the events 1, 2, 0, 3. Event 4 is not on the page.
EVENTS = [
    (NAME, 2.0, 3.0, "Dog", 0.9),
    (NAME, 5.0, 6.5, SCRIPT, 0.55),
    ("b.wav", 1.0, 2.0, "Dog", 0.7),
    ("b.wav", 8.0, 8.5, "Owl, tawny", 0.8),
    ("b.wav", 4.0, 4.5, "Dog", 0.99),
]
COUNT = "document.getElementById('count').textContent"
HEADER = "filename\tonset\toffset\tevent_label\tscore\tstatus\n"


@pytest.fixture(scope="module")
def page(tmp_path_factory):
    """A page of four of five events, and a browser."""
    root = tmp_path_factory.mktemp("review")
    write_sound(root / "rec" / NAME, 12.0, 8000, frequency=900)
    write_sound(root / "rec" / "b.wav", 10.0, 8000, frequency=2000)
    rows = (dict(zip(("filename", "onset", "offset", "event_label", "score"), e)) for e in EVENTS)
    (root / "events.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    return root / "review.html"


@pytest.fixture(scope="module")
def chromium(tmp_path_factory):
    browser = Browser(tmp_path_factory.mktemp("browser"))
    yield browser
    browser.close()


@pytest.fixture(params=[400, 1200])
def browser(request, chromium, page, run, tmp_path):
    """The page in a narrow window with touch, or in a wide one. Nothing was decided yet."""
    if not page.exists():
        words = (page.parent / "events.jsonl", page.parent / "rec", page)
        assert run("review", *words, "--max-events", 4, "--margin", 1.5).exit_code == 0
    chromium.messages.clear()
    chromium.downloads(tmp_path)
    touch = request.param == 400
    chromium.open(page, request.param, 800, touch=touch)
    chromium.js("localStorage.clear()")
    chromium.open(page, request.param, 800, touch=touch)
    yield chromium
    assert chromium.messages == []


def current(browser):
    """Return the index in EVENTS, the class, onset, offset and status of the current event."""
    # The table lists the events of b.wav first.
    index, *others = browser.js(
        "(() => { const one = target(); return [currentIndex(), one.label, one.onset, one.offset,"
        "one.status] })()"
    )
    return ([2, 4, 3, 0, 1][index], *others)


def saved(browser, folder):
    """Save the table, and return its rows without the header."""
    path = folder / "review.tsv"
    path.unlink(missing_ok=True)
    browser.press("s")
    browser.wait("document.getElementById('status').textContent.startsWith('Saved review.tsv')")
    while not path.exists() or not path.read_text(encoding="utf-8").endswith("\n"):
        browser.js("1")
    text = path.read_text(encoding="utf-8")
    assert text.startswith(HEADER)
    return [line.split("\t") for line in text.splitlines()[1:]]


def test_the_page_shows_and_plays(browser, page):
    shown = browser.js(
        "[document.documentElement.scrollWidth, innerWidth, document.body.innerText,"
        "performance.getEntriesByType('resource').filter(e => !e.name.startsWith('data:')).length,"
        "document.getElementById('picture').naturalWidth,"
        "document.getElementById('spectrogram').clientHeight,"
        "Math.min(...[...document.querySelectorAll('button, select')].filter(e => e.offsetParent)"
        ".map(e => Math.min(e.offsetHeight, e.offsetWidth)))]"
    )
    scroll, width, text, requests, pixels, height, smallest = shown
    assert scroll <= width and requests == 0 and smallest >= 44
    assert pixels == 540 and height > (400 if width == 1200 else 250)
    for part in (SCRIPT, NAME, "Owl, tawny", "0 of 4 reviewed", "1 more events are not on this"):
        assert part in text, part
    assert [tick for tick in ("0.5", "1", "2 kHz") if tick in text.split("\n")] == ["0.5", "1"] or (
        "2 kHz" in text
    )
    assert current(browser) == (1, SCRIPT, 5, 6.5, "unreviewed")
    browser.press(" ")
    browser.wait("document.getElementById('sound').currentTime > 0.2")
    browser.press(" ")
    paused, seconds = browser.js("(s => [s.paused, s.duration])(document.getElementById('sound'))")
    assert paused and seconds == pytest.approx(4.5, abs=0.15)


def test_keys_decide_and_the_saved_table_makes_a_set(browser, page, run, tmp_path):
    browser.press("a")
    assert current(browser)[0] == 2  # the next event
    browser.press("x")
    assert current(browser)[0] == 0
    assert browser.js(COUNT).startswith("2 of 4 reviewed: 1 accepted, 1 rejected")
    browser.press("ArrowRight", "ArrowRight", "ArrowLeft", "ArrowRight")
    browser.press("ArrowLeft", shift=True)
    assert current(browser) == (0, "Dog", 2.1, 2.95, "accepted")
    browser.press("n", "3")  # a missed event of the third class, in the middle of the excerpt
    assert current(browser)[1:] == ("Owl, tawny", 2.0, 3.0, "accepted")
    browser.press("ArrowRight", "Escape", "a")
    assert current(browser)[0] == 3
    browser.press("l")
    browser.type("Fox <i>")
    browser.press("Enter")
    rows = saved(browser, tmp_path)
    assert rows == [
        ["b.wav", "1.000", "2.000", "Dog", "0.7", "rejected"],
        ["b.wav", "4.000", "4.500", "Dog", "0.99", "unreviewed"],
        ["b.wav", "8.000", "8.500", "Fox <i>", "0.8", "accepted"],
        [NAME, "2.050", "3.000", "Owl, tawny", "", "accepted"],
        [NAME, "2.100", "2.950", "Dog", "0.9", "accepted"],
        [NAME, "5.000", "6.500", SCRIPT, "0.55", "accepted"],
    ]
    words = ("prepare", "annotations", tmp_path / "review.tsv", page.parent / "rec")
    result = run(*words, tmp_path / "set", "--clip-seconds", 2.5)
    assert result.exit_code == 0, result.stderr
    dataset = datadir.read(tmp_path / "set")
    unknown = dataset.has_unknown_tags()
    clips = {
        str(name).rpartition("/")[2].split("_")[1]: [
            dataset.labels[k] for k in dataset.tags_of(index)
        ]
        for index, name in enumerate(dataset.filenames)
        if str(name).startswith("site") and not unknown[index]
    }
    assert clips["5.000"] == [SCRIPT] and "Dog" in clips["0.000"] and "10.000" not in clips
    known = [str(n) for n, is_unknown in zip(dataset.filenames, unknown) if not is_unknown]
    assert [n for n in known if n.startswith("b_")] == ["b_0.000_2.500.flac", "b_7.500_10.000.flac"]


def test_decisions_survive_a_reload_and_are_undone(browser, page, tmp_path):
    browser.press("Enter", "r")
    browser.open(page, browser.js("innerWidth"), 800)
    assert browser.js(COUNT).startswith("2 of 4 reviewed: 1 accepted, 1 rejected")
    assert current(browser)[0] == 0  # the first that is not reviewed
    browser.press("l")
    browser.type("Owl")
    browser.press("Enter")  # chooses a class, and does not accept the next event
    assert current(browser) == (3, "Owl, tawny", 8, 8.5, "unreviewed")
    browser.press("u")
    assert current(browser)[:2] == (0, "Dog")
    browser.press("k", "ArrowUp", "j")
    assert current(browser)[0] == 2
    browser.press("l", "Escape")
    assert current(browser)[4] == "rejected"
    browser.press("a", "l", "2", "ArrowLeft")
    number = browser.js("undone.length")
    browser.press("n", "1")
    assert browser.js("added.length") == 1
    browser.press("r")  # removes the added event, not the event of the page
    assert browser.js("added.length") == 0
    for _ in range(number + 2):
        browser.press("u")
    assert browser.js(COUNT).startswith("2 of 4 reviewed: 1 accepted, 1 rejected")
    browser.press("u")
    assert "nothing to undo" in browser.js("document.getElementById('status').textContent")


def test_a_saved_table_is_loaded_on_another_computer(browser, page, tmp_path):
    browser.press("a", "r", "l", "1", "ArrowRight", "n", "1", "Escape")
    rows = saved(browser, tmp_path)
    browser.js("localStorage.clear()")
    browser.open(page, browser.js("innerWidth"), 800)
    assert browser.js(COUNT).startswith("0 of 4")
    browser.choose_file("#file", tmp_path / "review.tsv")
    browser.wait(f"{COUNT}.startsWith('4 of 4')")
    assert saved(browser, tmp_path) == rows
    (tmp_path / "other.tsv").write_text("filename\tonset\n")
    browser.choose_file("#file", tmp_path / "other.tsv")
    browser.wait("document.getElementById('status').textContent.includes('not a review table')")
    assert browser.js(COUNT).startswith("4 of 4")


def test_dragging_moves_edges_and_adds_events(browser):
    browser.js("scrollTo(0, 0)")
    left, width = browser.js(
        "(r => [r.x, r.width])(document.getElementById('spectrogram').getBoundingClientRect())"
    )
    _, y = browser.middle("#spectrogram")

    def place(seconds):
        """Return the place of a time in the excerpt from 3.5 to 8 s."""
        return [left + width * (seconds - 3.5) / 4.5, y]

    browser.drag(place(5), place(5.5))
    found = current(browser)
    assert found[2] == pytest.approx(5.5, abs=0.03) and found[3:] == (6.5, "accepted")
    browser.drag(place(6.5), place(7))
    assert current(browser)[3] == pytest.approx(7, abs=0.03)
    browser.drag(place(3.9), place(4.4))
    browser.type("New")
    browser.press("ArrowDown", "ArrowUp", "Enter")
    added = browser.js("[target().onset, target().offset, target().label]")
    assert added == [pytest.approx(3.9, abs=0.03), pytest.approx(4.4, abs=0.03), "New"]
    browser.press("u", "u", "u")
    assert current(browser) == (1, SCRIPT, 5, 6.5, "unreviewed")


def test_buttons_do_what_the_keys_do(browser):
    press = browser.tap if browser.js("innerWidth") == 400 else browser.click
    press("#accept")
    browser.wait(f"{COUNT}.startsWith('1 of 4')")
    press("#reject")
    browser.wait(f"{COUNT}.startsWith('2 of 4')")
    assert current(browser)[0] == 0
    press("#relabel")
    browser.wait("document.getElementById('picker').open")
    press("#classes li:nth-child(1)")
    browser.wait(f"{COUNT}.startsWith('3 of 4')")
    press("#previous")
    browser.wait("position === 2")
    press("#undo")
    browser.wait(f"{COUNT}.startsWith('2 of 4')")
    # The keys belong to the page again, not to the button.
    browser.press("Enter")
    assert browser.js(COUNT).startswith("3 of 4 reviewed: 2 accepted")
    press("#copy")
    browser.wait("document.getElementById('copying').open")
    assert browser.js("document.getElementById('table').value").startswith(HEADER)


def test_groups_and_filters(browser):
    browser.press("a")
    names = "[...document.querySelectorAll('#groups h3')].map(e => e.textContent)"
    assert browser.js(names) == [f"{SCRIPT} (1)", "Dog (2)", "Owl, tawny (1)"]
    choose = "(e => { e.value = '%s'; e.dispatchEvent(new Event('change')) })($('%s'))"
    browser.js(choose % ("recording", "group"))
    assert browser.js(names) == [f"{NAME} (2)", "b.wav (2)"]
    browser.js(choose % ("accepted", "filter"))
    assert browser.js(names) == [f"{NAME} (1)"] and current(browser)[0] == 1


def test_without_storage_in_the_dark(chromium, page, run):
    """The page says that decisions are not kept."""
    script = chromium(
        "Page.addScriptToEvaluateOnNewDocument",
        source="Object.defineProperty(window, 'localStorage', { get() { throw Error('no') } })",
    )
    chromium.open(page, 400, 800, dark=True)
    chromium("Page.removeScriptToEvaluateOnNewDocument", **script)
    notice, color = chromium.js(
        "[document.getElementById('notice').innerText, getComputedStyle(document.body).background]"
    )
    assert "does not keep your decisions" in notice and color.startswith("rgb(20, 23, 26)")
