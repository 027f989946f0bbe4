"""A Chromium driven over the DevTools protocol by two pipes: no port, no package."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

CHROMIUM = next(
    filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None
)
_PATIENCE = 60.0
_CODES = {" ": "Space", "Tab": "Tab", "Escape": "Escape", "ArrowRight": "ArrowRight"}
_NUMBERS = {"Tab": 9, "Escape": 27, "ArrowRight": 39, "ArrowLeft": 37, "Backspace": 8}

# The protocol's pipes are descriptors 3 and 4; first out of the way, as one may be the other's.
_PLACE = """
import os, sys
high = [os.dup2(int(sys.argv[1]), 50), os.dup2(int(sys.argv[2]), 51)]
os.dup2(high[0], 3), os.dup2(high[1], 4)
os.execv(sys.argv[3], sys.argv[3:])
"""


class Page:
    """One page; what it asked for and what it complained of is kept."""

    def __init__(self, to: int, back: int) -> None:
        self._to, self._back = to, back
        self._buffer = b""
        self._number = 0
        self._session: str | None = None
        self.requests: list[str] = []
        self.problems: list[str] = []
        target = self._send("Target.createTarget", url="about:blank")["targetId"]
        attached = self._send("Target.attachToTarget", targetId=target, flatten=True)
        self._session = attached["sessionId"]
        for domain in ("Page", "Runtime", "Network", "Log"):
            self._send(f"{domain}.enable")

    def open(self, url: str) -> None:
        self._send("Page.navigate", url=url)
        self.until(
            "document.readyState === 'complete' && !!document.querySelector('#models input')"
        )

    def value(self, expression: str) -> Any:
        """What an expression, or the promise that it is, comes to."""
        found = self._send(
            "Runtime.evaluate", expression=expression, returnByValue=True, awaitPromise=True
        )
        assert "exceptionDetails" not in found, found
        return found["result"].get("value")

    def until(self, expression: str) -> None:
        """Wait until an expression holds."""
        ends = time.monotonic() + _PATIENCE
        while not self.value(expression):
            assert time.monotonic() < ends, f"never so: {expression}"

    def type(self, text: str) -> None:
        for letter in text:
            self.press(letter)

    def press(self, key: str, alt: bool = False) -> None:
        """One key down and up."""
        code = f"Digit{key}" if key.isdigit() else _CODES.get(key, key)
        common = {"key": key, "code": code, "modifiers": int(alt)}
        common |= {"windowsVirtualKeyCode": _NUMBERS.get(key, ord(key[0].upper()))}
        text = {"text": key} if len(key) == 1 and not alt else {}
        self._send("Input.dispatchKeyEvent", type="keyDown", **common, **text)
        self._send("Input.dispatchKeyEvent", type="keyUp", **common)

    def size(self, width: int, height: int, dark: bool = False) -> None:
        metrics = {"width": width, "height": height, "deviceScaleFactor": 1, "mobile": False}
        self._send("Emulation.setDeviceMetricsOverride", **metrics)
        scheme = {"name": "prefers-color-scheme", "value": "dark" if dark else "light"}
        self._send("Emulation.setEmulatedMedia", features=[scheme])

    def picture(self) -> str:
        """A PNG of what is seen, in base64."""
        return str(self._send("Page.captureScreenshot")["data"])

    def _send(self, method: str, **parameters: Any) -> dict[str, Any]:
        self._number += 1
        message: dict[str, Any] = {"id": self._number, "method": method, "params": parameters}
        if self._session:
            message["sessionId"] = self._session
        os.write(self._to, json.dumps(message).encode() + b"\0")
        while True:
            found = self._next()
            if found.get("id") == self._number:
                assert "error" not in found, found
                return dict(found["result"])
            self._note(found)

    def _next(self) -> dict[str, Any]:
        while b"\0" not in self._buffer:
            part = os.read(self._back, 1 << 16)
            assert part, "the browser has gone"
            self._buffer += part
        line, _, self._buffer = self._buffer.partition(b"\0")
        return dict(json.loads(line))

    def _note(self, event: dict[str, Any]) -> None:
        if event["method"] == "Network.requestWillBeSent":
            self.requests.append(event["params"]["request"]["url"])
        elif event["method"] == "Runtime.exceptionThrown":
            self.problems.append(str(event["params"]["exceptionDetails"]))
        elif event["method"] == "Log.entryAdded":
            self.problems.append(str(event["params"]["entry"]["text"]))


@contextmanager
def browser(profile: Path) -> Iterator[Callable[[], Page]]:
    """Starts Chromium with a fresh profile; gives what opens pages in it."""
    assert CHROMIUM
    to_read, to = os.pipe()
    back, back_write = os.pipe()
    flags = ["--headless", "--no-sandbox", "--disable-gpu", "--no-first-run", "--hide-scrollbars"]
    flags += ["--disable-background-networking", "--disable-dev-shm-usage"]

    command = [CHROMIUM, *flags, "--remote-debugging-pipe", f"--user-data-dir={profile}"]
    child = subprocess.Popen(
        [sys.executable, "-c", _PLACE, str(to_read), str(back_write), *command, "about:blank"],
        pass_fds=(to_read, back_write),
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    os.close(to_read)
    os.close(back_write)
    try:
        yield lambda: Page(to, back)
    finally:
        os.close(to)  # the browser ends when its pipe does
        try:
            child.wait(20)
        except subprocess.TimeoutExpired:
            child.kill()
            child.wait()
        os.close(back)
