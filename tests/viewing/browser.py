"""Chromium without a window, driven by the DevTools protocol over two pipes; no other package."""

import base64
import contextlib
import fcntl
import io
import json
import os
import select
import shutil
import subprocess
import sys
import time

import matplotlib.image

PROGRAM = shutil.which("chromium") or shutil.which("chromium-browser")
_FLAGS = (
    "--headless=new",
    "--use-angle=swiftshader",
    "--enable-unsafe-swiftshader",
    "--no-sandbox",
    "--no-first-run",
    "--remote-debugging-pipe",
)
# Chromium reads commands from file 3 and writes answers to file 4.
_START = """
import os, sys
os.dup2(int(sys.argv[1]), 3)
os.dup2(int(sys.argv[2]), 4)
os.execv(sys.argv[3], sys.argv[3:])
"""


class Browser:
    """One page. Attributes: requests, the addresses asked for; complaints, of the console."""

    def __init__(self, process, commands, answers):
        self._process, self._commands, self._answers = process, commands, answers
        self._rest, self._number, self._session = b"", 0, None
        self.requests, self.complaints = [], []

    def open(self, path, width, height):
        """Opens a file; returns once it says in `data-state` how it went."""
        target = self.send("Target.createTarget", url="about:blank")["targetId"]
        found = self.send("Target.attachToTarget", targetId=target, flatten=True)
        self._session = found["sessionId"]
        for domain in ("Page", "Runtime", "Log", "Network"):
            self.send(f"{domain}.enable")
        size = {"width": width, "height": height, "deviceScaleFactor": 1, "mobile": False}
        self.send("Emulation.setDeviceMetricsOverride", **size)
        self.send("Page.navigate", url=path.as_uri())
        return self.wait("document.documentElement?.dataset.state")

    def wait(self, expression, seconds=120):
        """Returns the value of an expression once it is true."""
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            value = self.run(expression)
            if value:
                return value
            time.sleep(0.1)
        raise TimeoutError(expression)

    def run(self, expression):
        """Returns the value of an expression in the page."""
        answer = self.send("Runtime.evaluate", expression=expression, returnByValue=True)
        assert "exceptionDetails" not in answer, answer
        return answer["result"].get("value")

    def press(self, key):
        """Presses a key."""
        self.send(
            "Input.dispatchKeyEvent", type="keyDown", key=key, text=key if len(key) == 1 else ""
        )
        self.send("Input.dispatchKeyEvent", type="keyUp", key=key)

    def wheel(self, x, y, amount):
        """Turns the wheel over a point."""
        self.send("Input.dispatchMouseEvent", type="mouseMoved", x=x, y=y)
        turn = {"deltaX": 0, "deltaY": amount}
        self.send("Input.dispatchMouseEvent", type="mouseWheel", x=x, y=y, **turn)

    def picture(self):
        """Returns what is seen, [row, column, red green blue], 0..1."""
        data = self.send("Page.captureScreenshot", format="png")["data"]
        return matplotlib.image.imread(io.BytesIO(base64.b64decode(data)))[..., :3]

    def send(self, method, **parameters):
        """Sends a command; returns its answer."""
        self._number += 1
        message = {"id": self._number, "method": method, "params": parameters}
        if self._session:
            message["sessionId"] = self._session
        os.write(self._commands, json.dumps(message).encode() + b"\0")
        while True:
            answer = self._next()
            if answer.get("id") == self._number:
                assert "error" not in answer, answer
                return answer["result"]
            self._note(answer.get("method"), answer.get("params"))

    def _next(self):
        while b"\0" not in self._rest:
            ready, _, _ = select.select([self._answers], [], [], 120)
            piece = os.read(self._answers, 1 << 20) if ready else b""
            assert piece, "the browser has ended or hangs"
            self._rest += piece
        message, self._rest = self._rest.split(b"\0", 1)
        return json.loads(message)

    def _note(self, method, found):
        if method == "Network.requestWillBeSent":
            if not found["request"]["url"].startswith("data:"):  # in the page itself
                self.requests.append(found["request"]["url"])
        elif method == "Runtime.exceptionThrown":
            self.complaints.append(found["exceptionDetails"])
        elif method == "Runtime.consoleAPICalled" and found["type"] in ("error", "warning"):
            self.complaints.append(found["args"])
        elif method == "Log.entryAdded" and found["entry"]["level"] in ("error", "warning"):
            self.complaints.append(found["entry"])


@contextlib.contextmanager
def browser(folder):
    """Yields a Browser whose files lie in a folder; it is ended by its process id."""
    pipes = [*os.pipe(), *os.pipe()]
    # Away from 3 and 4, to which two of them go.
    theirs_in, commands, answers, theirs_out = (fcntl.fcntl(p, fcntl.F_DUPFD, 10) for p in pipes)
    for pipe in pipes:
        os.close(pipe)
    flags = [*_FLAGS, f"--user-data-dir={folder}"]
    process = subprocess.Popen(
        [sys.executable, "-c", _START, str(theirs_in), str(theirs_out), PROGRAM, *flags],
        pass_fds=(theirs_in, theirs_out),
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    os.close(theirs_in)
    os.close(theirs_out)
    try:
        yield Browser(process, commands, answers)
    finally:
        os.close(commands)
        os.close(answers)
        process.terminate()
        process.wait(30)
