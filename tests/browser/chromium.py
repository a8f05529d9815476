"""A headless Chromium, driven over the DevTools protocol through two pipes: no driver, no package, no port."""

import base64
import json
import os
import subprocess
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

_OPTIONS = (
    "--headless",
    "--no-sandbox",  # for root, in a container; the page is our own
    "--disable-gpu",
    "--disable-dev-shm-usage",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--hide-scrollbars",
    "--mute-audio",
    "--use-fake-ui-for-media-stream",  # says yes to the microphone
    "--use-fake-device-for-media-stream",
)


class Page:
    """One tab.

    Args:
        browser: Its browser.
        width: Of the screen, in CSS pixels.
        height: Likewise.

    Attributes:
        requested: Every address that it has asked for.
        problems: Errors that it wrote to its console.
    """

    def __init__(self, browser: "Browser", width: int, height: int, mobile: bool = False):
        self._browser = browser
        self.requested: list[str] = []
        self.problems: list[str] = []
        self._target = browser.call("Target.createTarget", url="about:blank")["targetId"]
        self._session = browser.call("Target.attachToTarget", targetId=self._target, flatten=True)["sessionId"]
        browser.listeners[self._session] = self._hear
        for domain in ("Page", "Runtime", "Network", "DOM", "Log"):
            self.call(f"{domain}.enable")
        metrics = {"width": width, "height": height, "deviceScaleFactor": 1, "mobile": mobile}
        self.call("Emulation.setDeviceMetricsOverride", **metrics)

    def call(self, method: str, **parameters) -> dict:
        """A command of the protocol."""
        return self._browser.call(method, self._session, **parameters)

    def evaluate(self, script: str) -> object:
        """The value of a JavaScript expression."""
        done = self.call("Runtime.evaluate", expression=script, returnByValue=True, awaitPromise=True)
        assert "exceptionDetails" not in done, done
        return done["result"].get("value")

    def wait_for(self, script: str, seconds: float = 60) -> object:
        """The value of an expression as soon as there is one that is true."""
        end_s = time.monotonic() + seconds
        while time.monotonic() < end_s:
            if value := self.evaluate(script):
                return value
            time.sleep(0.1)
        raise AssertionError(f"not within {seconds} s: {script}\n{self.evaluate('document.body.innerText')}\n{self.problems}")

    def open(self, address: str) -> None:
        """Goes there."""
        self.call("Page.navigate", url=address)

    def choose_file(self, selector: str, path: Path) -> None:
        """Clicks what opens the file chooser, and chooses a file there."""
        self.call("Page.setInterceptFileChooserDialog", enabled=True)
        self._chooser = None
        self.click(selector)
        end_s = time.monotonic() + 20
        while self._chooser is None and time.monotonic() < end_s:
            time.sleep(0.05)
        assert self._chooser, "no file chooser was opened"
        self.call("DOM.setFileInputFiles", files=[str(path)], backendNodeId=self._chooser)

    def click(self, selector: str) -> None:
        """Clicks with the mouse, where the element is."""
        script = f"""(() => {{ const e = document.querySelector({json.dumps(selector)}); if (!e) return null;
            e.scrollIntoView({{block: "center"}}); const r = e.getBoundingClientRect();
            return [r.x + r.width / 2, r.y + r.height / 2]; }})()"""
        x, y = self.wait_for(script)
        for kind in ("mousePressed", "mouseReleased"):
            self.call("Input.dispatchMouseEvent", type=kind, x=x, y=y, button="left", clickCount=1)

    def close(self) -> None:
        """Closes the tab."""
        self._browser.call("Target.closeTarget", targetId=self._target)

    def screenshot(self, path: Path) -> None:
        """A PNG of the page, not only of what the screen shows."""
        height = self.evaluate("document.documentElement.scrollHeight")
        width = self.evaluate("window.innerWidth")
        clip = {"x": 0, "y": 0, "width": width, "height": height, "scale": 1}
        image = self.call("Page.captureScreenshot", format="png", captureBeyondViewport=True, clip=clip)
        path.write_bytes(base64.b64decode(image["data"]))

    def _hear(self, method: str, parameters: dict) -> None:
        if method == "Network.requestWillBeSent":
            self.requested.append(parameters["request"]["url"])
        elif method == "Network.webSocketCreated":
            self.requested.append(parameters["url"])
        elif method == "Page.fileChooserOpened":
            self._chooser = parameters["backendNodeId"]
        elif method == "Runtime.exceptionThrown":
            self.problems.append(json.dumps(parameters["exceptionDetails"])[:500])
        elif method == "Log.entryAdded" and parameters["entry"]["level"] == "error":
            self.problems.append(f"{parameters['entry']['text']} {parameters['entry'].get('url', '')}")


class Browser:
    """The program; see :func:`chromium`."""

    def __init__(self, process: subprocess.Popen, to_it: int, from_it: int):
        self.process = process
        self.listeners: dict[str, object] = {}
        self._to_it = to_it
        self._answers: dict[int, dict] = {}
        self._arrived = threading.Condition()
        self._number = 0
        threading.Thread(target=self._read, args=(from_it,), daemon=True).start()

    def call(self, method: str, session: str | None = None, **parameters) -> dict:
        """A command of the protocol, and what it returns."""
        self._number += 1
        number = self._number
        message = {"id": number, "method": method, "params": parameters, **({"sessionId": session} if session else {})}
        os.write(self._to_it, json.dumps(message).encode() + b"\0")
        with self._arrived:
            assert self._arrived.wait_for(lambda: number in self._answers, 60), f"Chromium does not answer {method}"
            answer = self._answers.pop(number)
        assert "error" not in answer, (method, answer["error"])
        return answer["result"]

    def _read(self, from_it: int) -> None:
        rest = b""
        while block := os.read(from_it, 1 << 16):
            *whole, rest = (rest + block).split(b"\0")
            for text in whole:
                message = json.loads(text)
                if "id" in message:
                    with self._arrived:
                        self._answers[message["id"]] = message
                        self._arrived.notify_all()
                elif listener := self.listeners.get(message.get("sessionId")):
                    listener(message["method"], message["params"])


@contextmanager
def chromium(program: str, profile: Path, microphone: Path) -> Iterator[Browser]:
    """A Chromium of its own while the body runs.

    Args:
        program: Its name or path.
        profile: A folder for what it writes.
        microphone: A WAV that its microphone hears, again and again.
    """
    hear, to_it = os.pipe()
    from_it, say = os.pipe()

    options = [f"--user-data-dir={profile}", f"--use-file-for-fake-audio-capture={microphone}", "--remote-debugging-pipe"]
    environment = {**os.environ, "HOME": str(profile)}
    # It wants them as its descriptors 3 and 4.
    as_it_wants = ["bash", "-c", f'exec "$@" 3<&{hear} 4>&{say}', "bash"]
    process = subprocess.Popen(
        [*as_it_wants, program, *_OPTIONS, *options, "about:blank"],
        pass_fds=(hear, say),
        env=environment,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    for descriptor in (hear, say):
        os.close(descriptor)
    try:
        browser = Browser(process, to_it, from_it)
        yield browser
    finally:
        with suppress(AssertionError, OSError):
            browser.call("Browser.close")
        try:
            process.wait(20)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
        os.close(to_it)
