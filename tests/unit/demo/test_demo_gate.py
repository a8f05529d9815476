"""Whose requests the page takes, and how long what they leave stays."""

import os
import subprocess
import sys
import time
from pathlib import Path

import pytest
from starlette.responses import PlainTextResponse
from starlette.testclient import TestClient

from espnet_ser.demo import gate, recordings
from espnet_ser.demo.gate import Gate
from espnet_ser.demo.recordings import forgetting, page_folder

HERE = "127.0.0.1:7860"
NOT_HERE = ["attacker.example", "attacker.example:7860", "127.0.0.1.attacker.example", "localhost@attacker.example", "", "[::1"]
ANOTHER_PAGE = """
import time
from espnet_ser.demo.recordings import page_folder
with page_folder() as folder:
    (folder / "mine.wav").touch()
    print(folder, flush=True)
    time.sleep(600)
"""


@pytest.fixture
def ask(tmp_path):
    """The status of a request to a page that would answer everything."""

    def ask(path="/config", method="GET", *, serve_on="127.0.0.1", names=(), max_bytes=100, host=HERE, **headers):
        gate = Gate(PlainTextResponse("in"), serve_on, names, tmp_path, max_bytes)
        headers = {name.replace("_", "-"): value for name, value in {"host": host, **headers}.items()}
        return TestClient(gate).request(method, path, headers=headers).status_code

    return ask


@pytest.mark.parametrize("host", [HERE, "localhost:7860", "LOCALHOST", "localhost.", "[::1]:7860"])
def test_this_machine_reaches_its_page(ask, host):
    assert ask(host=host) == 200


@pytest.mark.parametrize("host", NOT_HERE)
@pytest.mark.parametrize("serve_on", ["127.0.0.1", "0.0.0.0"])
def test_a_name_that_somebody_lets_resolve_to_this_machine_is_none_of_its(ask, host, serve_on):
    assert ask(host=host, serve_on=serve_on) == 403


def test_a_page_for_other_machines_is_reached_by_address_by_its_own_name_and_by_those_it_was_given(ask):
    assert ask(host="192.0.2.7:7860") == 403
    for host in ("192.0.2.7:7860", "[2001:db8::7]", gate.socket.gethostname()):
        assert ask(host=host, serve_on="0.0.0.0") == 200
    assert ask(host="192.0.2.7:7860", serve_on="192.0.2.7") == 200
    assert ask(host="192.0.2.8:7860", serve_on="192.0.2.7") == 403
    assert ask(host="me-page.hf.space", serve_on="0.0.0.0") == 403
    assert ask(host="me-page.hf.space", serve_on="0.0.0.0", names=["Me-Page.hf.space"]) == 200


@pytest.mark.parametrize("method", ["GET", "POST", "OPTIONS"])
@pytest.mark.parametrize(
    "origin", ["https://attacker.example", "null", "http://127.0.0.1:8888", f"https://{HERE}.attacker.example"]
)
def test_other_sites_ask_in_vain(ask, method, origin):
    path = "/gradio_api/queue/join" if method == "POST" else "/config"
    assert ask(path, method, origin=origin) == 403


def test_the_page_itself_asks_also_behind_a_proxy_that_has_a_name_of_its_own(ask):
    for path in ("/gradio_api/queue/join", "/gradio_api/upload"):
        assert ask(path, "POST", origin=f"http://{HERE}") == 200
        assert ask(path, "POST", origin="https://page.example", names=["page.example"]) == 200


@pytest.mark.parametrize(
    "path",
    [
        "/gradio_api/file=http://192.0.2.1/",
        "/gradio_api/proxy=https://a.hf.space/",
        "/gradio_api/openapi.json",
        "/monitoring",
        "/docs",
        "/login",
    ],
)
def test_what_the_page_does_not_need_is_not_served(ask, path):
    assert ask(path) == 404
    assert ask(path, "POST", content_length="0") == 404
    assert ask("/gradio_api/run/answer", "POST") == 404
    assert ask("/gradio_api/process_recording", "POST") == 404


def test_what_is_sent_is_bounded(ask, tmp_path, monkeypatch):
    upload, join = "/gradio_api/upload", "/gradio_api/queue/join"
    assert ask(upload, "POST", content_length=str(100 + (1 << 16))) == 200
    assert ask(upload, "POST", content_length=str(101 + (1 << 16))) == 413
    assert ask(join, "POST", content_length=str(1 << 16)) == 200
    assert ask(join, "POST", content_length=str(1 + (1 << 16))) == 413
    (tmp_path / "a").mkdir()
    (tmp_path / "a" / "a.wav").write_bytes(bytes(1000))
    monkeypatch.setattr(gate, "_MAX_KEPT_BYTES", 999)
    assert ask(upload, "POST") == 503
    assert ask(join, "POST") == 200


def test_what_was_sent_is_forgotten_after_a_while_and_nothing_else(tmp_path):
    folder, temporary = tmp_path / "recordings", tmp_path / "example.wav"
    (folder / "0f").mkdir(parents=True)
    (folder / "0f" / "a.wav").touch()
    temporary.touch()
    (folder / "link.wav").symlink_to(temporary)
    (folder / "linked").symlink_to(tmp_path)
    with forgetting(folder, after_s=0.5, every_s=0.02):
        time.sleep(0.2)
        assert (folder / "0f" / "a.wav").exists()
        end_s = time.monotonic() + 10
        while list(folder.iterdir()) and time.monotonic() < end_s:
            time.sleep(0.02)
    assert list(folder.iterdir()) == []
    assert temporary.exists()


def test_what_a_killed_page_left_is_removed_by_the_next_and_that_of_a_living_one_is_not(tmp_path, monkeypatch):
    monkeypatch.setattr(recordings.tempfile, "tempdir", str(tmp_path))
    monkeypatch.setattr(recordings, "_YOUNG_S", -1.0)
    environment = {**os.environ, "TMPDIR": str(tmp_path)}
    command = [sys.executable, "-c", ANOTHER_PAGE]
    others = [subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=environment) for _ in "ab"]
    try:
        left, used = (Path(other.stdout.readline().strip()) for other in others)
        others[0].kill()
        others[0].wait()
        (tmp_path / "espnet_ser_demo_link").symlink_to(tmp_path / "elsewhere")
        (tmp_path / "elsewhere").mkdir()
        assert (left / "mine.wav").exists()
        with page_folder() as folder:
            assert not left.exists()
            assert (used / "mine.wav").exists()
            with page_folder():
                assert folder.exists()
        assert not folder.exists()
        assert (tmp_path / "elsewhere").exists()
    finally:
        for other in others:
            other.kill()
            other.wait()
            other.stdout.close()
