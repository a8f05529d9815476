"""The page of ``espnet-ser demo`` as a program serves it, a Chromium, and recordings to give to it."""

import os
import re
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
import soundfile
from chromium import Page, chromium
from model_maker import make_model

from espnet_ser.demo.examples import speak_examples
from espnet_ser.inference.speech_emotion import SpeechEmotion

ROOT = Path(__file__).parents[2]
# Python runs it as it starts: every address that the program looks up or connects to, one a line; where it hangs, when asked.
WATCH = """
import faulthandler, os, signal, sys
faulthandler.register(signal.SIGUSR1)
def watch(event, arguments):
    if event == "socket.getaddrinfo":
        place = arguments[0]
    elif event in ("socket.connect", "socket.sendto"):
        place = arguments[1][0] if isinstance(arguments[1], tuple) else None  # else a socket of the file system
    else:
        return
    if place is not None:
        with open(os.environ["WATCHED"], "a") as file:
            file.write(f"{place}\\n")
sys.addaudithook(watch)
"""


def pytest_addoption(parser):
    parser.addoption("--models", default="", help="trained models for the page, separated by spaces; default tiny random ones")
    parser.addoption("--screenshots", type=Path, default=None, help="folder for screenshots")
    parser.addoption("--chromium", default="chromium", help="the browser's program")


class Served:
    """The program.

    Attributes:
        address: Of the page.
        temporary: The folder of its temporary files.
        watched: The file of the addresses that it asked for.
    """

    def __init__(self, models, folder):
        self.temporary, self.watched = folder / "tmp", folder / "watched"
        for name in ("tmp", "site"):
            (folder / name).mkdir()
        (folder / "site" / "sitecustomize.py").write_text(WATCH)
        path = os.pathsep.join(filter(None, (str(folder / "site"), str(ROOT), os.environ.get("PYTHONPATH"))))
        environment = {**os.environ, "PYTHONPATH": path, "TMPDIR": str(self.temporary), "WATCHED": str(self.watched)}
        command = [sys.executable, "-m", "espnet_ser", "demo", "--max_seconds", "60"]
        command += [word for model in models for word in ("--model", str(model))]
        self.log = folder / "log"
        with open(self.log, "w") as log:
            self.process = subprocess.Popen(command, env=environment, stdout=log, stderr=subprocess.STDOUT)
        end_s = time.monotonic() + 240
        while not (found := re.search(r"http://\S+", self.log.read_text())):
            is_starting = self.process.poll() is None and time.monotonic() < end_s
            assert is_starting, self.log.read_text()
            time.sleep(0.2)
        self.address = found[0]

    def end(self):
        self.process.terminate()
        try:
            return self.process.wait(60)
        except subprocess.TimeoutExpired:
            self.process.send_signal(signal.SIGUSR1)
            time.sleep(5)
            self.process.kill()
            self.process.wait()
            raise AssertionError(f"it does not end: {self.log.read_text()}") from None


@pytest.fixture(scope="session")
def models(request, tmp_path_factory):
    if given := request.config.getoption("--models").split():
        return given
    root = tmp_path_factory.mktemp("models")
    emotions = ["angry", "happy", "neutral", "sad"]
    heard = {"speakers": ["A", "B"], "sessions": ["1"], "num_utts": 100}
    make_model(root / "ser", tasks=["emotion"], labels={"emotion": emotions}, trained_on=heard)
    make_model(root / "stage1", tasks=["asr", "gender"], labels={"gender": ["f", "m"]}, trained_on=heard)
    return [root / "ser", root / "stage1"]


@pytest.fixture(scope="session")
def speech_emotion(models):
    return SpeechEmotion.from_pretrained(list(map(str, models)))


@pytest.fixture(scope="session")
def recordings(tmp_path_factory):
    """Name -> file: two of some seconds, one that is long enough for a timeline, and bad ones."""
    folder = tmp_path_factory.mktemp("recordings")
    spoken = list(speak_examples(folder).values())
    named = {"one": spoken[1], "two": spoken[2], "long": spoken[-1]}
    soundfile.write(folder / "two.mp3", soundfile.read(spoken[2])[0], 16000)
    (folder / "text.wav").write_text("this is text, whatever its name says")
    soundfile.write(folder / "longer.wav", np.zeros(61 * 16000), 16000)
    soundfile.write(folder / "huge.flac", np.random.default_rng(0).uniform(-1, 1, (64 * 96000, 2)), 96000, subtype="PCM_24")
    return {**named, "mp3": folder / "two.mp3", **{name.stem: name for name in folder.glob("[tlh][eou]*.*")}}


@pytest.fixture(scope="session")
def served(models, tmp_path_factory):
    served = Served(models, tmp_path_factory.mktemp("served"))
    yield served
    if served.process.poll() is None:
        served.end()


@pytest.fixture(scope="session")
def browser(request, recordings, tmp_path_factory):
    with chromium(request.config.getoption("--chromium"), tmp_path_factory.mktemp("profile"), recordings["one"]) as browser:
        yield browser


@pytest.fixture
def open_page(browser, served):
    """Opens the page in a tab of its own. At the end: it asked for nothing from elsewhere, and reported no error."""
    pages = []

    def open_page(width=1180, height=900, mobile=False):
        page = Page(browser, width, height, mobile)
        pages.append(page)
        page.open(served.address)
        page.wait_for("!!document.querySelector('#ser-answer .ser-empty') && !!document.querySelector('.upload-container')")
        return page

    yield open_page
    for page in pages:
        away = [url for url in page.requested if not url.startswith((served.address, f"blob:{served.address}", "data:"))]
        assert len(page.requested) > 10
        assert away == []
        assert page.problems == []
        page.close()


@pytest.fixture
def screenshot(request, tmp_path):
    """Writes a page's screenshot where they are wanted, in 256 colours, and returns its file."""
    folder = request.config.getoption("--screenshots") or tmp_path

    def write(page, name):
        from PIL import Image

        page.screenshot(tmp_path / "whole.png")
        folder.mkdir(parents=True, exist_ok=True)
        image = Image.open(tmp_path / "whole.png").convert("RGB")
        image.quantize(256, dither=Image.Dither.NONE).save(folder / name, optimize=True)
        return folder / name

    return write
