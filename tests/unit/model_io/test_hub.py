import json
import shutil
import socket
import sys
from pathlib import Path

import pytest
import torch
from packed_recipe import no_network, noise, posteriors
from stand_in_hub import TOKEN, StandInHub
from tiny_recipe import refused, run

from espnet_ser.errors import InputError
from espnet_ser.model_io.hub import fetch_model
from espnet_ser.model_io.load import load_model
from espnet_ser.publish.allowlist import publishable_files
from espnet_ser.publish.upload import upload

UPLOAD = ("-m", "espnet_ser", "upload")


def local(packed):
    return {name: (packed.folder / name).read_bytes() for name in publishable_files(packed.folder)}


@pytest.fixture(scope="module")
def hub(packed, tmp_path_factory):
    """The stand-in, after an upload to it; and the home of whoever uploaded."""
    with StandInHub() as hub:
        hub.home = tmp_path_factory.mktemp("home")
        hub.done = hub.python(hub.home, *UPLOAD, "--packed", packed.base / "packed", "--repo", "me/ser")
        yield hub


def test_upload_sends_what_was_packed_and_nothing_else(hub, packed):
    assert hub.done.returncode == 0, hub.done.stderr
    assert hub.repos["me/ser"] == {"private": True, "files": local(packed)}
    assert f"{len(local(packed))} files went to me/ser (private)" in hub.done.stdout
    assert TOKEN not in hub.done.stdout + hub.done.stderr
    assert hub.blobs


def test_the_model_zoo_and_transformers_read_it_back(hub, packed, tmp_path):
    code = f"""
import sys, json, numpy as np, torch
from pathlib import Path
from espnet_model_zoo.downloader import ModelDownloader
from espnet_ser.model_io.hub import fetch_model
from espnet_ser.model_io.load import load_model
from transformers import pipeline
waveform = (0.1 * np.random.default_rng(0).standard_normal(8000)).astype(np.float32)
def told(folder):
    model, args = load_model(folder)
    with torch.no_grad():
        outputs = model.logits(torch.from_numpy(waveform)[None], torch.tensor([8000]))
    return outputs["emotion"][0].softmax(-1).tolist()
zoo = ModelDownloader({str(tmp_path / "zoo")!r}).download_and_unpack("me/ser")
fetched = fetch_model("me/ser")
classify = pipeline("audio-classification", "me/ser")
scores = {{each["label"]: each["score"] for each in classify({{"raw": waveform, "sampling_rate": 16000}})}}
print(json.dumps([told(Path(zoo["ser_train_config"]).parent), told(fetched), [scores[name] for name in sorted(scores)]]))
assert load_model(fetched.parent / "stage1")[1].tokenizer is not None
"""
    done = hub.python(tmp_path / "home", "-c", code)
    assert done.returncode == 0, done.stderr
    wanted = posteriors(packed.model()[0], noise(0.5), "emotion").tolist()
    for scores in json.loads(done.stdout.splitlines()[-1]):
        assert scores == pytest.approx(wanted, abs=1e-5)


def test_a_second_upload_changes_nothing_and_a_new_card_arrives(hub, packed, tmp_path):
    shutil.copytree(packed.base / "packed", tmp_path / "packed")
    command = ("upload", "--packed", tmp_path / "packed", "--repo", "me/ser")
    before = dict(hub.repos["me/ser"]["files"])
    with hub.known_here(tmp_path):
        run(*command)
        assert hub.repos["me/ser"]["files"] == before
        card = tmp_path / "packed" / "fold1" / "README.md"
        card.write_text(card.read_text() + "\nMore.\n")
        run(*command)
    assert hub.repos["me/ser"]["files"]["README.md"].endswith(b"More.\n")


def test_a_dry_run_lists_all_and_asks_nobody(packed, capsys, monkeypatch):
    monkeypatch.delenv("HF_TOKEN", raising=False)
    with no_network():
        run("upload", "--packed", packed.base / "packed", "--repo", "me/ser", "--dry_run", "true")
        assert upload(packed.folder, "me/ser", dry_run=True) == list(local(packed))
    shown = capsys.readouterr().out
    for name in local(packed):
        assert f"  {name}\n" in shown
    assert f"{len(local(packed))} files would go to me/ser (private)" in shown


def test_what_was_damaged_since_it_was_packed_goes_nowhere(packed, tmp_path, capsys):
    shutil.copytree(packed.base / "packed", tmp_path / "packed")
    path = tmp_path / "packed/fold1/model.safetensors"
    content = bytearray(path.read_bytes())
    content[-1] ^= 1
    path.write_bytes(content)
    with no_network():
        shown = refused(capsys, "upload", "--packed", tmp_path / "packed", "--repo", "me/ser", "--dry_run", "true", call=run)
    assert "output fold1/model.safetensors: changed since it was written; run stage 7 again" in shown


@pytest.fixture
def copy(packed, tmp_path):
    shutil.copytree(packed.folder, tmp_path / "fold1")
    return tmp_path / "fold1"


def text_in_tokens(folder):
    with open(folder / "espnet" / "stage1" / "tokens" / "tokens.txt", "a") as file:
        file.write("EXCUSE ME\n")


def setting_with_text(folder):
    with open(folder / "espnet" / "ser" / "config.yaml", "a") as file:
        file.write("text: EXCUSE ME\n")


def put(name, content=b"Ses01_F EXCUSE ME"):
    def change(folder):
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(content)

    return change


def link(folder):
    (folder / "README.md").unlink()
    (folder / "README.md").symlink_to("/etc/hostname")


REFUSED = {
    "transcripts": (put("text"), "what is never published: text"),
    "a list of audio": (put("data/wav.scp"), "what is never published: data/wav.scp"),
    "a sound": (put("espnet/ser/a.wav"), "what is never published: espnet/ser/a.wav"),
    "predictions": (put("predictions_last.jsonl"), "what is never published: predictions_last.jsonl"),
    "hidden files": (put(".cache/x"), "what is never published: .cache/x"),
    "a BPE model": (put("espnet/stage1/tokens/bpe.model"), "never published: espnet/stage1/tokens/bpe.model"),
    "text for weights": (put("model.safetensors"), "model.safetensors: damaged, or not a file of weights"),
    "text for trained weights": (put("espnet/ser/latest.pth"), "latest.pth: damaged, not a file of weights"),
    "a long text": (put("README.md", b"A" * (9 << 20)), "README.md: larger than"),
    "pieces of transcripts": (text_in_tokens, "tokens.txt: holds pieces of the transcripts ('EXCUSE ME'"),
    "other settings": (setting_with_text, "holds settings that no model is built from (text)"),
    "a link": (link, "README.md: is a link, or no file"),
    "no card": (lambda folder: (folder / "README.md").unlink(), "README.md is missing; run stage 7"),
}


@pytest.mark.parametrize("kind", REFUSED)
def test_anything_else_is_refused_by_name(copy, kind):
    change, message = REFUSED[kind]
    publishable_files(copy)
    change(copy)
    with no_network(), pytest.raises(InputError) as error:
        upload(copy, "me/ser")
    assert message in str(error.value)
    assert "\n" not in str(error.value)


@pytest.mark.parametrize("repo", ["ser", "me/ser/x", "me/ser@v1", "../x/y", "me/", ""])
def test_a_repository_has_an_owner_and_a_name(copy, repo):
    with no_network(), pytest.raises(InputError, match="give owner/name"):
        upload(copy, repo)


def test_without_a_token_nothing_is_sent(packed, tmp_path, capsys):
    with StandInHub() as hub, hub.known_here(tmp_path, token=None):
        said = refused(capsys, "upload", "--packed", packed.base / "packed", "--repo", "me/ser", call=run)
        assert "no token for the hub: set HF_TOKEN" in said
        assert hub.requests == []


@pytest.mark.parametrize(
    ("repo", "message"),
    [("others/ser", "the hub refuses (403: "), ("me/seen", "everybody can see it; make it private on the hub")],
)
def test_a_refusal_is_one_clear_line(packed, tmp_path, capsys, repo, message):
    with StandInHub() as hub, hub.known_here(tmp_path):
        hub.repos["me/seen"] = {"private": False, "files": {}}
        assert message in refused(capsys, "upload", "--packed", packed.base / "packed", "--repo", repo, call=run)
        assert hub.repos == {"me/seen": {"private": False, "files": {}}}


def test_everybody_may_see_it_if_that_is_said(packed, tmp_path):
    with StandInHub() as hub, hub.known_here(tmp_path):
        run("upload", "--packed", packed.base / "packed", "--repo", "me/ser", "--private", "false")
        assert hub.repos["me/ser"]["private"] is False


def test_a_hub_out_of_reach_is_one_clear_line(packed, tmp_path, capsys):
    with StandInHub() as hub:
        pass  # nobody listens there any more
    with hub.known_here(tmp_path):
        said = refused(capsys, "upload", "--packed", packed.base / "packed", "--repo", "me/ser", call=run)
        assert "the hub cannot be reached" in said
        with pytest.raises(InputError, match="the hub at http.* cannot be reached"):
            fetch_model("me/ser")


def test_what_was_fetched_is_found_without_a_network(hub, tmp_path):
    code = "from espnet_ser.model_io.hub import fetch_model\nprint(fetch_model('me/ser', {!r}))".format(str(tmp_path / "cache"))
    first = hub.python(tmp_path, "-c", code)
    assert first.returncode == 0, first.stderr
    asked = len(hub.requests)
    second = hub.python(tmp_path, "-c", code, token=None)
    assert second.stdout == first.stdout
    assert len(hub.requests) == asked
    folder = Path(first.stdout.strip())
    got = {path.relative_to(folder.parents[1]).as_posix() for path in folder.parents[1].rglob("*") if path.is_file()}
    assert all(name == "meta.yaml" or name.startswith("espnet/") for name in got)  # no more than is needed
    with no_network():
        model, _ = load_model(folder)
    assert torch.isfinite(posteriors(model, noise(0.3), "emotion")).all()


def test_a_repository_without_a_model_is_told(tmp_path):
    with StandInHub() as hub, hub.known_here(tmp_path):
        hub.repos["me/other"] = {"private": False, "files": {"model.bin": b"x", "espnet/ser/run.py": b"x"}}
        for name, message in (("me/other", "holds no model of espnet-ser"), ("me/nothing", "check the name")):
            with pytest.raises(InputError, match=message):
                fetch_model(name)
        assert not [request for request in hub.requests if "resolve" in request and request.endswith(("bin", ".py"))]


@pytest.mark.parametrize("name", ["", "no_such_model", "a/b/c", "../x", "http://127.0.0.1/x"])
def test_a_name_that_names_nothing_asks_nobody(name):
    with no_network(), pytest.raises(InputError, match="check the name"):
        fetch_model(name)


def test_a_tag_of_the_model_zoo_is_fetched_once(packed, tmp_path, monkeypatch):
    import espnet_model_zoo.downloader as zoo

    with StandInHub() as hub:
        hub.repos["a/b"] = {"private": False, "files": {"model.zip": packed.archive.read_bytes()}}
        table = tmp_path / "espnet_model_zoo" / "table.csv"
        table.parent.mkdir()
        table.write_text(f"name,url\nmy_tag,{hub.endpoint}/a/b/resolve/main/model.zip\n")
        shutil.copy(zoo.__file__, table.with_name("downloader.py"))
        table.with_name("__init__.py").touch()
        for module in [name for name in sys.modules if name.startswith("espnet_model_zoo")]:
            monkeypatch.delitem(sys.modules, module)
        monkeypatch.syspath_prepend(tmp_path)
        archive = fetch_model("my_tag", tmp_path / "cache")
        for module in [name for name in sys.modules if name.startswith("espnet_model_zoo")]:
            monkeypatch.delitem(sys.modules, module)
    with no_network():
        assert fetch_model("my_tag", tmp_path / "cache") == archive
        model, _ = load_model(archive)
    assert torch.equal(posteriors(model, noise(0.3), "emotion"), posteriors(packed.model()[0], noise(0.3), "emotion"))


def test_the_command_refuses_several_folds(packed, tmp_path, capsys):
    for fold in ("fold1", "fold2"):
        shutil.copytree(packed.folder, tmp_path / "packed" / fold)
    options = ("upload", "--packed", tmp_path / "packed", "--repo", "me/ser", "--dry_run", "true")
    assert "folds 1 2 are packed; say which with --fold" in refused(capsys, *options, call=run)
    run(*options, "--fold", "2")
    assert "would go" in capsys.readouterr().out
    assert "unknown fold '3'" in refused(capsys, *options, "--fold", "3", call=run)


def test_a_network_is_not_there():
    """The checks above can fail."""
    with no_network(), pytest.raises(AssertionError, match="the network was asked"):
        socket.create_connection(("127.0.0.1", 9))
