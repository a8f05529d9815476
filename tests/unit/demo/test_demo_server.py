"""The page as a program serves it, on this machine alone; and the folder of a Space, whose program does."""

import json
import os
import re
import runpy
import shutil
import signal
import subprocess
import sys
import threading
import time
import urllib.error
import urllib.request
from pathlib import Path

import pytest
import yaml
from model_maker import make_model
from release_maker import edit
from tiny_recipe import refused, run

import espnet_ser
from espnet_ser.demo.examples import LONG
from espnet_ser.demo.ports import find_port

ROOT = Path(espnet_ser.__file__).parents[1]
EMOTIONS = ["angry", "happy", "sad"]


class Served:
    """A program that serves the page, and what it printed."""

    def __init__(self, command, temporary, **environment):
        temporary.mkdir(exist_ok=True)
        path = os.pathsep.join(filter(None, (str(ROOT), os.environ.get("PYTHONPATH"))))
        environment = {**os.environ, "PYTHONPATH": path, "TMPDIR": str(temporary), "OMP_NUM_THREADS": "1", **environment}
        self.temporary = temporary
        self.process = subprocess.Popen(
            command,
            env=environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),  # ignored by what a shell runs in the background
        )
        self.lines = []
        self._reader = threading.Thread(target=lambda: self.lines.extend(self.process.stdout), daemon=True)
        self._reader.start()
        end_s = time.monotonic() + 180
        while not (found := re.search(r"http://\S+", "".join(self.lines))):
            is_starting = self.process.poll() is None and time.monotonic() < end_s
            assert is_starting, "".join(self.lines)
            time.sleep(0.1)
        self.address = found[0]

    def get(self, path="", **headers):
        with urllib.request.urlopen(urllib.request.Request(self.address + path, headers=headers), timeout=60) as answer:
            return answer.read()

    def ask(self, recording):
        """What becomes of a recording that is asked about without the page."""
        changes = [each for each in json.loads(self.get("config"))["dependencies"] if each["targets"][0][1] == "change"]
        data = {"path": recording, "meta": {"_type": "gradio.FileData"}}
        asked = {"data": [data], "fn_index": changes[0]["id"], "session_hash": "ours"}
        headers = {"Content-Type": "application/json"}
        request = urllib.request.Request(f"{self.address}gradio_api/queue/join", json.dumps(asked).encode(), headers)
        urllib.request.urlopen(request, timeout=60).close()
        with urllib.request.urlopen(f"{self.address}gradio_api/queue/data?session_hash=ours", timeout=60) as events:
            for line in events:
                if line.startswith(b"data:") and (event := json.loads(line[5:]))["msg"] == "process_completed":
                    return event

    def end(self, signum=signal.SIGTERM):
        self.process.send_signal(signum)
        self.process.wait(30)
        self._reader.join(10)
        return self.process.returncode


@pytest.fixture
def serve(tmp_path):
    """Starts a program; it is ended with the test."""
    started = []

    def start(*command, **environment):
        started.append(Served(list(map(str, command)), tmp_path / "tmp", **environment))
        return started[-1]

    yield start
    for served in started:
        if served.process.poll() is None:
            served.process.kill()
        served.process.wait()
        served.process.stdout.close()


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    labels = {"emotion": EMOTIONS, "gender": ["f", "m"]}
    return make_model(tmp_path_factory.mktemp("model") / "fold1", tasks=["emotion", "asr", "gender"], labels=labels)


def test_the_page_is_served_here_alone_and_ends_in_order(model, serve, tmp_path):
    served = serve(sys.executable, "-m", "espnet_ser", "demo", "--model", model)
    assert re.fullmatch(r"http://127\.0\.0\.1:79\d\d/|http://127\.0\.0\.1:78[6-9]\d/", served.address)
    config = json.loads(served.get("config"))
    texts = " ".join(part["props"].get("value", "") for part in config["components"] if part["type"] == "html")
    assert "Tells emotion (angry, happy, sad), gender and words" in texts
    assert "made by a program (espeak-ng), <b>not by people</b>" in texts
    assert LONG in [part["props"]["value"] for part in config["components"] if part["type"] == "button"]
    assert config["footer_links"] == []
    assert config["analytics_enabled"] is False
    # The examples, and nothing else that lies on this machine.
    (long,) = tmp_path.rglob("long.wav")
    assert served.get(f"gradio_api/file={long}") == long.read_bytes()
    for path in (model / "config.yaml", "/etc/passwd"):
        with pytest.raises(urllib.error.HTTPError, match="403"):
            served.get(f"gradio_api/file={path}")
    # Nor is anything fetched from elsewhere for whom it may please.
    answer = served.ask(long.as_posix())
    assert answer["success"]
    assert "Length" in answer["output"]["data"][0]
    for place in ("http://example.invalid/a.wav", long.parent.parent / "recordings"):
        assert served.ask(str(place))["output"]["error"] == "there is no such recording here: send it again"
    # Whoever names an example in another way is answered, and it stays.
    assert served.ask(f"{long.parent}/../examples/long.wav")["success"]
    with pytest.raises(urllib.error.HTTPError, match="403"):
        served.get("config", Host="attacker.example")
    assert served.end() == 128 + signal.SIGTERM
    assert len(served.lines) == 1, "".join(served.lines)
    assert list(served.temporary.iterdir()) == []


def files_below(folder, part=""):
    return {path.relative_to(folder).as_posix() for path in (folder / part).rglob("*") if path.is_file()}


def space(capsys, folder, *models):
    run("demo", "--space", folder, *(word for model in models for word in ("--model", model)))
    assert f"hf upload OWNER/NAME {folder} --repo-type space" in capsys.readouterr().out
    return yaml.safe_load((folder / "README.md").read_text().split("---\n")[1])


def test_a_space_of_a_model_of_the_hub_pins_what_it_needs(tmp_path, capsys, monkeypatch):
    header = space(capsys, tmp_path / "space", "me/my-model")
    pins = dict(line.split("==") for line in (tmp_path / "space" / "requirements.txt").read_text().splitlines())
    constraints = (ROOT / "constraints.txt").read_text().splitlines()
    assert header["sdk"] == "gradio"
    assert header["models"] == ["me/my-model"]
    assert f"gradio=={header['sdk_version']}" in constraints
    assert header["app_file"] == "app.py"
    assert header["python_version"] == ".".join(map(str, sys.version_info[:2]))
    assert all(any(line.split(";")[0].strip() == f"{name}=={pin}" for line in constraints) for name, pin in pins.items())
    assert {"torch", "transformers", "espnet", "gradio", "espeakng-loader", "uvicorn"} <= pins.keys()
    assert not {"pytest", "ruff", "uv", "pip", "onnx"} & pins.keys()
    asked = []
    monkeypatch.setattr("espnet_ser.bin.main.main", asked.append)
    hub = {"GRADIO_SERVER_NAME": "0.0.0.0", "GRADIO_SERVER_PORT": "7860", "SPACE_HOST": "me-page.hf.space,page.example"}
    for name, value in hub.items():
        monkeypatch.setenv(name, value)
    runpy.run_path(tmp_path / "space" / "app.py")
    options = ["--model=me/my-model", "--max_seconds=300", "--host=0.0.0.0", "--port=7860"]
    assert sorted(asked[0]) == sorted(["demo", *options, "--allow_host=me-page.hf.space", "--allow_host=page.example"])
    assert not list((tmp_path / "space").rglob("__pycache__"))
    assert os.listdir(tmp_path) == ["space"]


@pytest.mark.long
def test_a_space_holds_a_packed_model_and_its_program_serves_it(packed, tmp_path, serve, capsys, monkeypatch):
    header = space(capsys, tmp_path / "space", packed.folder)
    assert header["models"] == []
    assert files_below(tmp_path / "space" / "models" / "1") == files_below(packed.folder, "espnet")

    shutil.move(tmp_path / "space", tmp_path / "moved")
    monkeypatch.chdir(tmp_path)
    # As on the hub: the folder's own copy of the program, told by the environment where to serve.
    edit(tmp_path / "moved" / "espnet_ser" / "demo" / "page.py", "<h1>Speech emotion</h1>", "<h1>The copy</h1>")
    port = str(find_port("127.0.0.1", None))
    served = serve(sys.executable, "moved/app.py", GRADIO_SERVER_NAME="127.0.0.1", GRADIO_SERVER_PORT=port)
    assert served.address == f"http://127.0.0.1:{port}/"
    page = served.get("config").decode()
    assert "<h1>The copy</h1><p>Tells emotion (" in page
    assert "gender and words" in page  # of the intermediate model
    assert served.end(signal.SIGINT) == 128 + signal.SIGINT


def test_a_space_holds_nothing_that_may_not_be_published(packed, tmp_path, capsys):
    copy = tmp_path / "fold1"
    shutil.copytree(packed.folder, copy)
    (copy / "text").write_text("a b")
    line = refused(capsys, "demo", "--space", tmp_path / "space", "--model", copy, call=run)
    assert "holds what is never published: text" in line
    (copy / "text").unlink()
    (tmp_path / "space").mkdir()
    (tmp_path / "space" / "mine.txt").write_text("mine")
    assert "name a new folder" in refused(capsys, "demo", "--space", tmp_path / "space", "--model", copy, call=run)
    assert sorted(os.listdir(tmp_path)) == ["fold1", "space"]
    assert os.listdir(tmp_path / "space") == ["mine.txt"]
