"""A headless Chromium on loopback, driven by the DevTools protocol over one WebSocket."""

from __future__ import annotations

import base64
import itertools
import json
import shutil
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from websockets.sync.client import ClientConnection, connect

from tests.support.needs import CHROMIUM

__all__ = ["Browser", "Page", "running"]

FLAGS = (
    "--headless=new",
    "--no-sandbox",
    "--no-first-run",
    "--disable-gpu",
    "--disable-dev-shm-usage",
    "--disable-extensions",
    "--disable-background-networking",
    "--disable-component-update",
    "--force-color-profile=srgb",
    "--hide-scrollbars",
    "--remote-debugging-port=0",
    "--remote-debugging-address=127.0.0.1",
)
"""The sandbox needs privileges that containers lack; the pages are the project's own files."""

PATIENCE = 30.0


@contextmanager
def running(profile: Path) -> Iterator[Browser]:
    """Run a Chromium with a profile of its own; end it in the end."""
    program = next(found for name in CHROMIUM if (found := shutil.which(name)))
    command = [program, *FLAGS, f"--user-data-dir={profile}", "about:blank"]
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        with connect(_endpoint(process, profile), max_size=None, proxy=None) as socket:
            yield Browser(socket)
    finally:
        process.terminate()
        process.wait(timeout=PATIENCE)


def _endpoint(process: subprocess.Popen[bytes], profile: Path) -> str:
    """Wait until Chromium has written where it listens."""
    port_file = profile / "DevToolsActivePort"
    end = time.monotonic() + PATIENCE
    while time.monotonic() < end and process.poll() is None:
        lines = port_file.read_text().split() if port_file.exists() else []
        if len(lines) == 2:
            return f"ws://127.0.0.1:{lines[0]}{lines[1]}"
        time.sleep(0.02)
    message = f"Chromium did not start (exit code {process.poll()})"
    raise RuntimeError(message)


class Browser:
    """The connection to a Chromium: commands, and events as they come."""

    def __init__(self, socket: ClientConnection) -> None:
        self._socket = socket
        self._numbers = itertools.count(1)
        self.events: list[dict[str, Any]] = []

    def send(self, method: str, session: str | None = None, **parameters: Any) -> dict[str, Any]:
        """Send a command and return its result."""
        number = next(self._numbers)
        message: dict[str, Any] = {"id": number, "method": method, "params": parameters}
        if session is not None:
            message["sessionId"] = session
        self._socket.send(json.dumps(message))
        while True:
            answer = json.loads(self._socket.recv(timeout=PATIENCE))
            if answer.get("id") == number:
                assert "error" not in answer, (method, answer["error"])
                result = answer["result"]
                assert isinstance(result, dict)
                return result
            self.events.append(answer)

    def open(self, file: Path, **settings: Any) -> Page:
        """Open a file in a new tab; settings as for `Page.show`."""
        page = self.tab()
        page.show(file, **settings)
        return page

    def tab(self) -> Page:
        """Open an empty tab."""
        target = self.send("Target.createTarget", url="about:blank")["targetId"]
        attached = self.send("Target.attachToTarget", targetId=target, flatten=True)
        return Page(self, attached["sessionId"])


class Page:
    """One tab."""

    def __init__(self, browser: Browser, session: str) -> None:
        self._browser = browser
        self._session = session
        for domain in ("Page", "Runtime", "Log", "Network"):
            self.send(f"{domain}.enable")

    def send(self, method: str, **parameters: Any) -> dict[str, Any]:
        """Send a command to this tab."""
        return self._browser.send(method, self._session, **parameters)

    def show(
        self,
        file: Path,
        *,
        width: int = 1440,
        height: int = 900,
        dark: bool = False,
        scale: int = 1,
    ) -> None:
        """Load a file at a size in CSS pixels, and wait until its figures are drawn."""
        self.resize(width, height, scale)
        scheme = {"name": "prefers-color-scheme", "value": "dark" if dark else "light"}
        self.send("Emulation.setEmulatedMedia", features=[scheme])
        self.send("Page.navigate", url=file.resolve().as_uri())
        self.wait_for("document.documentElement?.dataset.ready === 'yes'")
        self.settle()

    def resize(self, width: int, height: int, scale: int = 1) -> None:
        """Set the size of the window."""
        self.send(
            "Emulation.setDeviceMetricsOverride",
            width=width,
            height=height,
            deviceScaleFactor=scale,
            mobile=width < 600,
        )

    def settle(self) -> None:
        """Wait for two frames, in which everything that is due has been drawn."""
        frames = "new Promise(f => requestAnimationFrame(() => requestAnimationFrame(() => f(1))))"
        self.evaluate(frames)

    def evaluate(self, expression: str) -> Any:
        """Return the value of a JavaScript expression, awaited."""
        found = self.send(
            "Runtime.evaluate", expression=expression, returnByValue=True, awaitPromise=True
        )
        assert "exceptionDetails" not in found, found["exceptionDetails"]
        return found["result"].get("value")

    def wait_for(self, condition: str) -> None:
        """Wait until an expression is true."""
        end = time.monotonic() + PATIENCE
        while not self.evaluate(condition):
            assert time.monotonic() < end, (condition, self.complaints())
            time.sleep(0.02)

    def screenshot(self, file: Path, height: int | None = None) -> None:
        """Write a picture of the page, whole or from the top."""
        size = self.send("Page.getLayoutMetrics")["cssContentSize"]
        tall = height or size["height"]
        clip = {"x": 0, "y": 0, "width": size["width"], "height": tall, "scale": 1}
        taken = self.send("Page.captureScreenshot", captureBeyondViewport=True, clip=clip)
        file.write_bytes(base64.b64decode(taken["data"]))

    def pdf(self, file: Path) -> None:
        """Print the page."""
        printed = self.send("Page.printToPDF", printBackground=True, preferCSSPageSize=True)
        file.write_bytes(base64.b64decode(printed["data"]))

    def events(self, method: str) -> list[dict[str, Any]]:
        """Return what this tab has told of, by the name of the event."""
        self.evaluate("1")
        return [
            event["params"]
            for event in self._browser.events
            if event.get("sessionId") == self._session and event["method"] == method
        ]

    def complaints(self) -> list[str]:
        """Return warnings and errors of the console, and exceptions."""
        logged = [e["entry"]["text"] for e in self.events("Log.entryAdded")]
        thrown = [
            e["exceptionDetails"].get("exception", {}).get("description", "exception")
            for e in self.events("Runtime.exceptionThrown")
        ]
        called = [
            str([a.get("value") for a in e["args"]])
            for e in self.events("Runtime.consoleAPICalled")
            if e["type"] in ("error", "warning", "assert")
        ]
        return logged + thrown + called

    def requests(self) -> list[str]:
        """Return the addresses that were asked for, but for what is inside the page."""
        asked = [e["request"]["url"] for e in self.events("Network.requestWillBeSent")]
        return [url for url in asked if not url.startswith(("data:", "blob:"))]
