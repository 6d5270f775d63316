"""Headless Chromium with real keys, mouse and touch, by the Chrome DevTools Protocol over a pipe."""

import base64
import contextlib
import json
import os
import shutil
import subprocess
import time

import pytest

PATH = next(
    filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None
)
needs_browser = pytest.mark.skipif(
    PATH is None, reason="no Chromium on the PATH; apt-get install chromium"
)
CODES = {
    "Enter": ("Enter", 13, "\r"),
    " ": ("Space", 32, " "),
    "Escape": ("Escape", 27, ""),
    "Tab": ("Tab", 9, ""),
    "ArrowLeft": ("ArrowLeft", 37, ""),
    "ArrowUp": ("ArrowUp", 38, ""),
    "ArrowRight": ("ArrowRight", 39, ""),
    "ArrowDown": ("ArrowDown", 40, ""),
}
SHIFT = 8


class Browser:
    """A page in headless Chromium.

    messages: the messages of the console and the exceptions of the page.
    """

    def __init__(self, folder, options=()):
        (read, self._commands), (self._answers, write) = os.pipe(), os.pipe()
        command = [
            PATH,
            "--headless",
            "--no-sandbox",
            "--disable-gpu",
            "--remote-debugging-pipe",
            "--autoplay-policy=no-user-gesture-required",
            f"--user-data-dir={folder / 'profile'}",
            *options,
            "about:blank",
        ]
        with open(folder / "browser.log", "wb") as log:
            self._process = subprocess.Popen(
                ["bash", "-c", f'exec "$@" 3<&{read} 4>&{write}', "bash", *command],
                pass_fds=(read, write),
                stdout=log,
                stderr=log,
            )
        os.close(read)
        os.close(write)
        self._number, self._rest, self._session, self.messages = 0, b"", None, []
        try:
            self._attach()
        except BaseException:
            self._process.kill()
            self._end()
            raise

    def _attach(self):
        targets = self("Target.getTargets")["targetInfos"]
        target = next(one["targetId"] for one in targets if one["type"] == "page")
        found = self("Target.attachToTarget", targetId=target, flatten=True)
        self._session = found["sessionId"]
        for domain in ("Page", "Runtime", "Log"):
            self(f"{domain}.enable")

    def close(self):
        with contextlib.suppress(OSError, AssertionError):
            self("Browser.close")
        self._end()

    def _end(self):
        self._process.wait(60)
        os.close(self._commands)
        os.close(self._answers)

    def __call__(self, method, **parameters):
        """Send a command, and return its result."""
        self._number += 1
        message = {"id": self._number, "method": method, "params": parameters}
        if self._session:
            message["sessionId"] = self._session
        data = json.dumps(message).encode() + b"\0"
        while data:
            data = data[os.write(self._commands, data) :]
        while True:
            answer = self._next()
            if answer.get("id") == self._number:
                assert "error" not in answer, (method, answer)
                return answer["result"]

    def _next(self):
        while b"\0" not in self._rest:
            data = os.read(self._answers, 1 << 16)
            assert data, "the browser has ended"
            self._rest += data
        message, _, self._rest = self._rest.partition(b"\0")
        answer = json.loads(message)
        if answer.get("method") in ("Runtime.exceptionThrown", "Log.entryAdded"):
            self.messages.append(json.dumps(answer["params"]))
        if answer.get("method") == "Page.javascriptDialogOpening":
            self.messages.append("dialog")
        return answer

    def open(self, path, width=1200, height=900, *, dark=False, touch=False):
        """Open a file in a window of this size."""
        self(
            "Emulation.setDeviceMetricsOverride",
            width=width,
            height=height,
            deviceScaleFactor=1,
            mobile=touch,
        )
        self("Emulation.setTouchEmulationEnabled", enabled=touch)
        scheme = {"name": "prefers-color-scheme", "value": "dark" if dark else "light"}
        self("Emulation.setEmulatedMedia", features=[scheme])
        self("Page.navigate", url=path.as_uri())
        self.wait("document.readyState === 'complete'")

    def js(self, code):
        """Return the value of an expression, or of a promise."""
        found = self(
            "Runtime.evaluate",
            expression=code,
            returnByValue=True,
            awaitPromise=True,
        )
        assert "exceptionDetails" not in found, found
        return found["result"].get("value")

    def wait(self, code):
        """Wait until an expression is true."""
        end = time.monotonic() + 30
        while not self.js(code):
            assert time.monotonic() < end, f"still false: {code}; {self.messages}"
            time.sleep(0.02)

    def press(self, *keys, shift=False):
        """Press keys. A key is a character, or a name such as "ArrowLeft"."""
        for key in keys:
            code, number, text = CODES.get(key, ("", ord(key[0].upper()), key))
            event = {
                "key": key,
                "code": code or f"Key{key.upper()}",
                "windowsVirtualKeyCode": number,
                "modifiers": SHIFT if shift else 0,
            }
            self("Input.dispatchKeyEvent", type="keyDown", text=text, **event)
            self("Input.dispatchKeyEvent", type="keyUp", **event)

    def type(self, text):
        for character in text:
            self.press(character)

    def middle(self, selector):
        """Return the middle of an element."""
        return self.js(
            f"(() => {{ const r = document.querySelector({json.dumps(selector)})"
            ".getBoundingClientRect(); return [r.x + r.width / 2, r.y + r.height / 2] })()"
        )

    def drag(self, start, end):
        """Press the mouse at a place, move it, and release it."""
        steps = [("mousePressed", start), ("mouseMoved", start)]
        between = [(start[0] + end[0]) / 2, (start[1] + end[1]) / 2]
        steps += [("mouseMoved", between), ("mouseMoved", end), ("mouseReleased", end)]
        for kind, (x, y) in steps:
            self(
                "Input.dispatchMouseEvent",
                type=kind,
                x=x,
                y=y,
                button="left",
                buttons=int(kind != "mouseReleased"),
                clickCount=1,
            )

    def click(self, selector):
        place = self.middle(selector)
        self.drag(place, place)

    def tap(self, selector):
        x, y = self.middle(selector)
        self("Input.dispatchTouchEvent", type="touchStart", touchPoints=[{"x": x, "y": y}])
        self("Input.dispatchTouchEvent", type="touchEnd", touchPoints=[])

    def choose_file(self, selector, path):
        """Choose a file in a file input."""
        found = self("Runtime.evaluate", expression=f"document.querySelector({selector!r})")
        self("DOM.setFileInputFiles", files=[str(path)], objectId=found["result"]["objectId"])

    def downloads(self, folder):
        """Save downloads in a folder."""
        self("Browser.setDownloadBehavior", behavior="allow", downloadPath=str(folder))

    def picture(self, path):
        """Write a picture of the window."""
        path.write_bytes(base64.b64decode(self("Page.captureScreenshot")["data"]))
