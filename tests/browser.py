"""A headless Chromium that tests steer by its DevTools protocol: what a page asked for, said, and looks like."""

import base64
import json
import shutil
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any
from urllib.request import urlopen

from websockets.sync.client import ClientConnection, connect

NAMES = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")
START, ANSWER = 20.0, 30.0  # seconds
FLAGS = (
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--disable-dev-shm-usage",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--hide-scrollbars",
    "--host-resolver-rules=MAP * ~NOTFOUND, EXCLUDE 127.0.0.1",
    "--remote-debugging-port=0",
)


def chromium() -> str | None:
    """The browser of this machine, if there is one."""
    return next((path for name in NAMES if (path := shutil.which(name))), None)


class Page:
    """A tab.

    Attributes:
        requested: addresses that the page asked for, `data:` shortened to its kind.
        complaints: what it wrote to the console as an error or warning, and exceptions.
    """

    def __init__(self, socket: ClientConnection) -> None:
        self.requested: list[str] = []
        self.complaints: list[str] = []
        self._socket = socket
        self._last = 0
        for domain in ("Page", "Runtime", "Network", "Log"):
            self.call(f"{domain}.enable")

    def open(self, page: Path | str, width: int, height: int, *, dark: bool = False, phone: bool = False) -> None:
        """Load a file, or an address, as a window of this many CSS pixels shows it."""
        scale = 2 if phone else 1
        metrics = {"width": width, "height": height, "deviceScaleFactor": scale, "mobile": phone}
        self.call("Emulation.setDeviceMetricsOverride", **metrics)
        scheme = {"name": "prefers-color-scheme", "value": "dark" if dark else "light"}
        self.call("Emulation.setEmulatedMedia", features=[scheme])
        self.call("Page.navigate", url=page if isinstance(page, str) else page.as_uri())
        self._receive(until=lambda message: message.get("method") == "Page.loadEventFired")

    def wait_for(self, *texts: str, seconds: float = ANSWER) -> str:
        """The text that is visible once it holds all of these; of a page that makes itself after it was loaded."""
        end = time.monotonic() + seconds
        while True:
            seen = str(self.evaluate("document.body.innerText"))
            missing = [text for text in texts if text not in seen]
            if not missing:
                return seen
            assert time.monotonic() < end, f"{missing} did not appear in:\n{seen}"
            time.sleep(0.1)

    def click(self, selector: str, text: str) -> None:
        """Click the first element that a CSS selector finds and that shows exactly this text."""
        found = f"[...document.querySelectorAll({selector!r})].find(e => e.innerText.trim() === {text!r})"
        end = time.monotonic() + ANSWER
        while not self.evaluate(f"Boolean({found})"):
            assert time.monotonic() < end, f"no {selector} says {text}"
            time.sleep(0.1)
        self.evaluate(f"{found}.click()")

    def evaluate(self, script: str) -> Any:
        """The value of a JavaScript expression in the page."""
        found = self.call("Runtime.evaluate", expression=script, returnByValue=True)
        if "exceptionDetails" in found:
            raise AssertionError(f"{script}: {found['exceptionDetails']}")
        return found["result"].get("value")

    def screenshot(self, path: Path, top: int = 0, height: int | None = None) -> None:
        """A part of the page, or all of it, as a PNG file."""
        size = self.call("Page.getLayoutMetrics")["cssContentSize"]
        tall = min(height or size["height"], size["height"] - top)
        clip = {"x": 0, "y": top, "width": size["width"], "height": tall, "scale": 1}
        shot = self.call("Page.captureScreenshot", format="png", captureBeyondViewport=True, clip=clip)
        path.write_bytes(base64.b64decode(shot["data"]))

    def call(self, method: str, **params: Any) -> dict[str, Any]:
        """One command of the protocol, and its answer."""
        self._last += 1
        self._socket.send(json.dumps({"id": self._last, "method": method, "params": params}))
        answer = self._receive(until=lambda message: message.get("id") == self._last)
        assert "error" not in answer, f"{method}: {answer['error']}"
        return answer["result"]

    def _receive(self, until: Any) -> dict[str, Any]:
        while True:
            message = json.loads(self._socket.recv(timeout=ANSWER))
            self._note(message.get("method"), message.get("params", {}))
            if until(message):
                return message

    def _note(self, method: str | None, params: dict[str, Any]) -> None:
        if method == "Network.requestWillBeSent":
            url = params["request"]["url"]
            self.requested.append(url.partition(",")[0] if url.startswith("data:") else url)
        elif method == "Runtime.exceptionThrown":
            self.complaints.append(str(params["exceptionDetails"]))
        elif method == "Runtime.consoleAPICalled" and params["type"] in ("error", "warning", "assert"):
            self.complaints.append(str(params["args"]))
        elif method == "Log.entryAdded" and params["entry"]["level"] in ("error", "warning"):
            self.complaints.append(params["entry"]["text"])


@contextmanager
def browser(folder: Path) -> Iterator[Page]:
    """A tab of a browser of its own, which knows no host but this machine.

    Args:
        folder: not there yet; for what the browser keeps.
    """
    program = chromium()
    assert program, "there is no Chromium"
    folder.mkdir()
    with (folder / "log.txt").open("wb") as log:
        command = [program, *FLAGS, f"--user-data-dir={folder / 'profile'}", "about:blank"]
        process = subprocess.Popen(command, stdout=log, stderr=subprocess.STDOUT)
    try:
        with connect(_tab(folder), max_size=None, compression=None) as socket:
            yield Page(socket)
    finally:
        process.terminate()
        process.wait()


def _tab(folder: Path) -> str:
    """The address of the browser's one tab, once it is there."""
    said = folder / "profile" / "DevToolsActivePort"
    end = time.monotonic() + START
    while time.monotonic() < end:
        with suppress(OSError, IndexError):
            port = said.read_text().splitlines()[0]
            with urlopen(f"http://127.0.0.1:{port}/json/list") as answer:
                return next(tab["webSocketDebuggerUrl"] for tab in json.load(answer) if tab["type"] == "page")
        time.sleep(0.05)
    raise AssertionError(f"the browser did not start:\n{(folder / 'log.txt').read_text()}")
