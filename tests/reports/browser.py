"""A headless Chromium that tells what a page asked for, and what it complained about; spoken to through two pipes."""

from __future__ import annotations

import base64
import fcntl
import itertools
import json
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

CHROMIUM = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)

_FLAGS = ("--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-sync",
          "--disable-background-networking", "--disable-component-update", "--disable-dev-shm-usage",
          "--hide-scrollbars", "--remote-debugging-pipe")
# Chromium reads commands from file 3 and answers on file 4; Python's own fork may not give files other numbers
_LAUNCHER = "import os, sys; os.dup2(int(sys.argv[1]), 3); os.dup2(int(sys.argv[2]), 4); os.execv(sys.argv[3], sys.argv[3:])"


class Page:
    """One tab. requests: addresses asked for, `data:` ones apart. complaints: errors, warnings and console messages.

    Source: https://chromedevtools.github.io/devtools-protocol; messages end with a zero byte.
    """

    def __init__(self, commands: int, answers: int) -> None:
        self._commands, self._answers = os.fdopen(commands, "wb"), os.fdopen(answers, "rb")
        self._numbers, self._unread, self._loaded = itertools.count(1), b"", False
        self.requests: list[str] = []
        self.complaints: list[str] = []
        self._session: str | None = None
        target = self.call("Target.createTarget", url="about:blank")["targetId"]
        self._session = self.call("Target.attachToTarget", targetId=target, flatten=True)["sessionId"]
        for domain in ("Page", "Network", "Log", "Runtime"):
            self.call(f"{domain}.enable")

    def close(self) -> None:
        """Let go of both pipes, which ends the browser."""
        self._commands.close()
        self._answers.close()

    def call(self, method: str, **parameters: Any) -> dict[str, Any]:
        """The answer to one command of the protocol."""
        number = next(self._numbers)
        message = {"id": number, "method": method, "params": parameters}
        message |= {"sessionId": self._session} if self._session else {}
        self._commands.write(json.dumps(message).encode() + b"\0")
        self._commands.flush()
        while (answer := self._read()).get("id") != number:
            pass
        assert "error" not in answer, answer
        return answer["result"]

    def show(self, path: Path, width: int, height: int = 900, scheme: str = "light") -> None:
        """Load a file in a window of so many pixels, in a light or a dark colour scheme."""
        self.call("Emulation.setDeviceMetricsOverride", width=width, height=height, deviceScaleFactor=1, mobile=False)
        self.call("Emulation.setEmulatedMedia", features=[{"name": "prefers-color-scheme", "value": scheme}])
        self._loaded = False
        self.call("Page.navigate", url=path.resolve().as_uri())
        while not self._loaded:
            self._read()

    def value(self, expression: str) -> Any:
        """What a JavaScript expression gives in the page; None where it gives nothing."""
        return self.call("Runtime.evaluate", expression=expression, returnByValue=True)["result"].get("value")

    def screenshot(self) -> bytes:
        """The whole page, as PNG."""
        return base64.b64decode(self.call("Page.captureScreenshot", captureBeyondViewport=True)["data"])

    def _read(self) -> dict[str, Any]:
        while b"\0" not in self._unread:
            data = os.read(self._answers.fileno(), 1 << 16)
            assert data, "the browser ended"
            self._unread += data
        raw, _, self._unread = self._unread.partition(b"\0")
        message = json.loads(raw)
        self._note(message.get("method"), message.get("params", {}))
        return message

    def _note(self, event: str | None, facts: dict[str, Any]) -> None:
        match event:
            case "Page.loadEventFired":
                self._loaded = True
            case "Network.requestWillBeSent" if not facts["request"]["url"].startswith("data:"):
                self.requests.append(facts["request"]["url"])
            case "Log.entryAdded":
                self.complaints.append(facts["entry"]["text"])
            case "Runtime.consoleAPICalled" | "Runtime.exceptionThrown":
                self.complaints.append(json.dumps(facts))


@contextmanager
def browser_page(profile: Path) -> Iterator[Page]:
    """A tab of a browser of its own, whose user data lie in `profile`."""
    (their_in, our_out), (our_in, their_out) = os.pipe(), os.pipe()
    theirs = [fcntl.fcntl(end, fcntl.F_DUPFD, 10) for end in (their_in, their_out)]
    os.close(their_in)
    os.close(their_out)
    with subprocess.Popen([sys.executable, "-c", _LAUNCHER, *map(str, theirs), CHROMIUM, *_FLAGS, f"--user-data-dir={profile}"],
                          pass_fds=theirs, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL,
                          stderr=subprocess.DEVNULL) as browser:
        for end in theirs:
            os.close(end)
        try:
            page = Page(our_out, our_in)
            yield page
            page.close()
            browser.wait(timeout=20)
        finally:
            browser.kill()
