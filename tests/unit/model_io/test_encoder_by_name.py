"""``--ssl NAME``: from the hub's repository, whatever form its weights have, to the frames that transformers itself gives."""

import errno
import json
import os
from argparse import Namespace
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from model_maker import make_model
from packed_recipe import no_network
from stand_in_hub import StandInHub
from tiny import GROUP_NORM, LAYER_NORM, TINY
from transformers import (
    AutoFeatureExtractor,
    AutoModel,
    HubertConfig,
    HubertModel,
    Wav2Vec2Config,
    Wav2Vec2ForCTC,
    Wav2Vec2ForPreTraining,
    Wav2Vec2Model,
    WavLMConfig,
    WavLMModel,
)

from espnet_ser.errors import InputError
from espnet_ser.model_io.encoder_folder import encoder_identity, encoder_name, encoder_source
from espnet_ser.model_io.hub import fetch_model, resolve_encoder
from espnet_ser.model_io.load import load_model
from espnet_ser.tasks.ser import SERTask

FORMER = {"parametrizations.weight.original0": "weight_g", "parametrizations.weight.original1": "weight_v"}


def ctc(**more):
    return Wav2Vec2ForCTC(Wav2Vec2Config(**TINY, **GROUP_NORM, vocab_size=32, **more))


MODELS = {
    "plain": lambda: Wav2Vec2Model(Wav2Vec2Config(**TINY, **LAYER_NORM)),
    "with CTC": ctc,
    "pretraining": lambda: Wav2Vec2ForPreTraining(Wav2Vec2Config(**TINY, **GROUP_NORM)),
    "HuBERT": lambda: HubertModel(HubertConfig(**TINY)),
    "WavLM": lambda: WavLMModel(WavLMConfig(**TINY)),
    "half precision": lambda: Wav2Vec2Model(Wav2Vec2Config(**TINY)).half(),
}


def published(folder, model, form, do_normalize=True):
    """The files of a repository that holds a model in some form."""
    model.save_pretrained(folder, max_shard_size="60KB" if "shards" in form else "50GB")
    weights = {name: tensor.clone() for name, tensor in model.state_dict().items()}
    if form == "pickle" or form == "both":
        former = {}
        for name, tensor in weights.items():
            for new, old in FORMER.items():
                name = name.replace(new, old)
            former[name] = tensor
        torch.save(former, folder / "pytorch_model.bin")
    if form == "pickle":
        (folder / "model.safetensors").unlink()
    if form == "shards of pickles":
        index = json.loads((folder / "model.safetensors.index.json").read_text())
        for path in folder.glob("*.safetensors*"):
            path.unlink()
        names = {name: f"pytorch_model-{number % 3:05d}.bin" for number, name in enumerate(sorted(weights))}
        for shard in set(names.values()):
            torch.save({name: weights[name] for name in weights if names[name] == shard}, folder / shard)
        (folder / "pytorch_model.bin.index.json").write_text(json.dumps({**index, "weight_map": names}))
    (folder / "preprocessor_config.json").write_text(
        json.dumps({"do_normalize": do_normalize, "feature_extractor_type": "Wav2Vec2FeatureExtractor"})
    )
    (folder / "README.md").write_text("mine")
    (folder / "flax_model.msgpack").write_bytes(b"x" * 1000)
    return {path.name: path.read_bytes() for path in folder.iterdir()}


@pytest.fixture
def hub(tmp_path):
    with StandInHub() as hub, hub.known_here(tmp_path / "home"):
        hub.cache = tmp_path / "home" / "hub"
        hub.publish = lambda model, form="plain", **more: hub.repos.update(
            {"a/enc": {"private": False, "files": published(tmp_path / "made", model, form, **more)}}
        )
        hub.asked_for = lambda: [
            request.rpartition("/")[2] for request in hub.requests if request.startswith("GET /a/enc/resolve")
        ]
        yield hub


@pytest.fixture
def hurried(monkeypatch):
    """The hub's client does not wait before it tries again."""
    for module in ("file_download", "utils._http"):
        monkeypatch.setattr(f"huggingface_hub.{module}.time", SimpleNamespace(sleep=lambda _: None, time=lambda: 0.0))


def built(name, **more):
    """As ESPnet builds a model from the options alone."""
    args = Namespace(**SERTask.get_default_config())
    args.ssl, args.tasks, args.labels = name, ["emotion"], {"emotion": ["sad", "happy"]}
    for key, value in more.items():
        setattr(args, key, value)
    return SERTask.build_model(args).eval(), args


@torch.no_grad()
def last_layer(model, waveform):
    frames, *_ = model.encoder(torch.from_numpy(waveform)[None], torch.tensor([len(waveform)]))
    return frames[0]


WAVEFORM = (0.3 + 0.2 * np.random.default_rng(0).standard_normal(6000)).astype(np.float32)


@torch.no_grad()
def theirs(folder):
    """As plain transformers has it: feature extractor, model."""
    inputs = AutoFeatureExtractor.from_pretrained(folder)(WAVEFORM, sampling_rate=16000, return_tensors="pt")
    return AutoModel.from_pretrained(folder, dtype=torch.float32).eval()(inputs.input_values).last_hidden_state[0]


FORMS = [(name, "plain") for name in MODELS]
FORMS += [("with CTC", form) for form in ("pickle", "both", "shards", "shards of pickles")] + [("WavLM", "pickle")]


@pytest.mark.parametrize(("kind", "form"), FORMS)
@pytest.mark.filterwarnings("ignore::UserWarning")
def test_a_name_becomes_the_encoder_that_transformers_has(hub, tmp_path, kind, form):
    torch.manual_seed(3)
    normalize = kind != "WavLM"
    hub.publish(MODELS[kind]().eval(), form, do_normalize=normalize)
    model, args = built("a/enc")
    assert args.normalize_waveform is normalize
    assert args.ssl_source == f"a/enc@{hub.sha('a/enc')}"
    torch.testing.assert_close(last_layer(model, WAVEFORM), theirs(tmp_path / "made"), atol=2e-5, rtol=1e-4)
    fetched = hub.asked_for()
    assert not {"README.md", "flax_model.msgpack"} & set(fetched)
    if form == "both":
        assert "pytorch_model.bin" not in fetched
    with no_network():
        assert str(resolve_encoder("a/enc")) == args.ssl


def of_automodel(hub, name="a/enc"):
    """What ``AutoModel.from_pretrained(name)`` leaves: no listing, and no preprocessor."""
    sha = hub.sha(name)
    base = hub.cache / f"models--{name.replace('/', '--')}"
    snapshot = base / "snapshots" / sha
    snapshot.mkdir(parents=True)
    (base / "refs").mkdir()
    (base / "refs" / "main").write_text(sha)
    for file in ("config.json", "model.safetensors"):
        (snapshot / file).write_bytes(hub.repos[name]["files"][file])
    return snapshot


def test_what_automodel_left_out_is_fetched(hub):
    hub.publish(MODELS["WavLM"](), do_normalize=False)
    of_automodel(hub)
    model, args = built("a/enc")
    assert args.normalize_waveform is False
    assert hub.asked_for() == ["preprocessor_config.json"]


@pytest.mark.parametrize("says", ["nothing", "offline"])
def test_what_is_not_known_is_not_guessed(hub, monkeypatch, says):
    hub.publish(MODELS["plain"]())
    if says == "nothing":
        del hub.repos["a/enc"]["files"]["preprocessor_config.json"]
    snapshot = of_automodel(hub)
    if says == "offline":
        monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
    with pytest.raises(InputError, match="preprocessor_config.json is missing, so it is not known") as error:
        built("a/enc")
    assert f"hf download a/enc preprocessor_config.json --revision {snapshot.name}" in str(error.value)
    assert '--stage1_args "--normalize_waveform true" (or false)' in str(error.value)
    assert built("a/enc", normalize_waveform=False)[1].normalize_waveform is False
    if says == "nothing":  # and that there is none is known without asking again
        with no_network():
            assert resolve_encoder("a/enc") == snapshot


def test_a_revision_is_taken_and_named(hub, tmp_path):
    hub.publish(MODELS["plain"]())
    newer = {**hub.repos["a/enc"]["files"], "config.json": hub.repos["a/enc"]["files"]["config.json"] + b"\n"}
    hub.repos["a/enc"] = {"private": False, "files": newer, "revisions": {"v1": hub.repos["a/enc"]["files"]}}
    first, second = hub.sha("a/enc", "v1"), hub.sha("a/enc")
    assert resolve_encoder("a/enc@v1").name == first
    assert resolve_encoder("a/enc").name == second
    with no_network():
        assert resolve_encoder(f"a/enc@{first}").name == resolve_encoder("a/enc@v1").name == first
        assert resolve_encoder("a/enc").name == second
    assert encoder_source(resolve_encoder("a/enc@v1")) == f"a/enc@{first}"
    assert encoder_name(resolve_encoder("a/enc@v1")) == "a/enc"
    with pytest.raises(InputError, match="no such revision; check what follows the @"):
        resolve_encoder("a/enc@v2")
    with pytest.raises(InputError, match="no revision after the @"):
        resolve_encoder("a/enc@")


def test_a_download_that_is_cut_goes_on(hub, hurried):
    hub.publish(MODELS["plain"]())
    hub.cuts["model.safetensors"] = [20_000, 30_000]
    resolve_encoder("a/enc")
    assert hub.asked_for().count("model.safetensors") == 3  # from where it was, twice


@pytest.mark.parametrize("form", ["plain", "shards"])
def test_a_download_that_stays_cut_is_one_line_and_goes_on_next_time(hub, hurried, form):
    hub.publish(MODELS["plain"](), form)
    file = sorted(name for name in hub.repos["a/enc"]["files"] if name.endswith(".safetensors"))[-1]
    hub.cuts[file] = [0] * 20
    with pytest.raises(InputError, match="the connection to the hub at .* broke; run again") as error:
        resolve_encoder("a/enc")
    assert "\n" not in str(error.value)
    hub.cuts.clear()
    before = len(hub.requests)
    resolve_encoder("a/enc")
    again = [request for request in hub.requests[before:] if request.startswith("GET") and "/resolve/" in request]
    assert [request.rpartition("/")[2] for request in again] == [file]


@pytest.mark.parametrize(
    ("status", "headers", "message"),
    [
        (403, {"X-Error-Code": "GatedRepo"}, "those alone who have agreed to its terms"),
        (401, {}, "check the name"),
        (401, {"X-Error-Code": "RepoNotFound"}, "check the name"),
        (403, {}, "does not let you read it (403)"),
        (429, {}, "has had too many requests from here (429); wait some minutes"),
        (500, {}, "is out of order (500); run again later"),
        (503, {}, "is out of order (503); run again later"),
    ],
)
@pytest.mark.parametrize("beginning", ["/", "/a/enc/resolve"])
def test_a_hub_that_refuses_is_one_line(hub, hurried, status, headers, message, beginning):
    hub.publish(MODELS["plain"]())
    hub.refuses[beginning] = (status, headers)
    with pytest.raises(InputError) as error:
        resolve_encoder("a/enc")
    assert str(error.value).startswith("--ssl a/enc: ")
    assert message in str(error.value) or status == 401
    assert "\n" not in str(error.value)


def test_without_a_network_what_is_not_there_is_one_line(hub, monkeypatch):
    hub.publish(MODELS["plain"]())
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
    with pytest.raises(InputError, match="HF_HUB_OFFLINE is set: unset it once, or download it elsewhere"):
        resolve_encoder("a/enc")
    assert hub.requests == []


@pytest.mark.parametrize("endpoint", ["http://127.0.0.1:9", "not-an-address", "http://"])
def test_a_wrong_endpoint_is_one_line(hub, hurried, monkeypatch, endpoint):
    monkeypatch.setattr("huggingface_hub.constants.ENDPOINT", endpoint)
    monkeypatch.setattr(
        "huggingface_hub.constants.HUGGINGFACE_CO_URL_TEMPLATE", endpoint + "/{repo_id}/resolve/{revision}/{filename}"
    )
    with pytest.raises(InputError, match="the hub at .* cannot be reached; check the network"):
        resolve_encoder("a/enc")


def test_a_page_in_the_hubs_place_is_one_line(hub, hurried, monkeypatch):
    monkeypatch.setattr("stand_in_hub._Handler.do_GET", lambda handler: handler._send(b"<html>", 200, {}))
    with pytest.raises(InputError, match="does not answer as one does .*check HF_ENDPOINT"):
        resolve_encoder("a/enc")


@pytest.mark.parametrize("reason", [errno.ENOSPC, errno.EROFS, errno.EDQUOT, errno.EACCES])
def test_a_full_or_closed_disk_is_one_line(hub, monkeypatch, reason):
    hub.publish(MODELS["plain"]())

    def closed(*_, **__):
        raise OSError(reason, os.strerror(reason))

    monkeypatch.setattr("huggingface_hub.file_download.http_get", closed)
    wanted = f"cannot be kept in the hub's cache, .*: {os.strerror(reason)}; make room, or set HF_HOME"
    with pytest.raises(InputError, match=wanted):
        resolve_encoder("a/enc")


def test_a_file_in_the_caches_place_is_one_line(hub):
    hub.publish(MODELS["plain"]())
    hub.cache.parent.mkdir(parents=True, exist_ok=True)
    hub.cache.write_text("mine")
    with pytest.raises(InputError, match="cannot be kept in the hub's cache"):
        resolve_encoder("a/enc")
    assert hub.cache.read_text() == "mine"


def test_what_lies_in_a_cache_that_cannot_be_written_to_is_used(hub, tmp_path):
    hub.publish(MODELS["plain"]())
    folder = resolve_encoder("a/enc")
    content = {path: path.stat().st_mtime_ns for path in hub.cache.rglob("*")}
    with no_network():
        assert resolve_encoder("a/enc") == folder
    assert {path: path.stat().st_mtime_ns for path in hub.cache.rglob("*")} == content


def test_an_encoder_is_what_is_loaded_of_it(hub, tmp_path):
    hub.publish(MODELS["plain"](), "both")
    folder = tmp_path / "made"
    known = encoder_identity(folder)
    (folder / "pytorch_model.bin").unlink()
    (folder / "tf_model.h5").write_bytes(b"x")
    config = json.loads((folder / "config.json").read_text())
    told = {"transformers_version": "4.0", "architectures": ["X"], "_name_or_path": "b", "vocab_size": 7}
    (folder / "config.json").write_text(json.dumps({**dict(reversed(config.items())), **told}))
    (folder / "preprocessor_config.json").write_text('{"return_attention_mask": true}')  # true is what transformers takes
    os.utime(folder / "model.safetensors")
    assert encoder_identity(folder) == known == encoder_identity(resolve_encoder("a/enc"))
    (folder / "config.json").write_text(json.dumps({**config, "layerdrop": 0.25}))
    assert encoder_identity(folder) != known
    (folder / "config.json").write_text(json.dumps(config))
    (folder / "preprocessor_config.json").write_text('{"do_normalize": false}')
    assert encoder_identity(folder) != known


def test_a_processor_that_holds_its_parts_says_it(hub, tmp_path):
    hub.publish(MODELS["plain"]())
    files = hub.repos["a/enc"]["files"]
    del files["preprocessor_config.json"]
    files["processor_config.json"] = json.dumps({"feature_extractor": {"do_normalize": False}}).encode()
    assert built("a/enc")[1].normalize_waveform is False


def model_files(folder, seed):
    """The files of a repository that stage 8 made, as far as they are fetched."""
    made = make_model(folder, seed=seed, tasks=["emotion"])
    names = ("config.yaml", "frozen.pth", "latest.pth")
    return {f"espnet/ser/{name}": (made / name).read_bytes() for name in names}


def test_a_model_by_name_is_that_of_its_revision_and_goes_on_after_a_cut(hub, hurried, tmp_path):
    first, second = (model_files(tmp_path / str(seed), seed) for seed in (1, 2))
    hub.repos["me/ser"] = {"private": False, "files": second, "revisions": {"v1": first}}
    hub.cuts["espnet/ser/frozen.pth"] = [0] * 20
    with pytest.raises(InputError, match=r"me/ser@v1: the connection to the hub at .* broke; run again"):
        fetch_model("me/ser@v1")
    hub.cuts.clear()
    for name, files in (("me/ser@v1", first), ("me/ser", second), (f"me/ser@{hub.sha('me/ser', 'v1')}", first)):
        folder = fetch_model(name)
        assert (folder / "latest.pth").read_bytes() == files["espnet/ser/latest.pth"]
    load_model(folder)
    with pytest.raises(InputError, match="me/ser@v2: the hub's repository has no such revision"):
        fetch_model("me/ser@v2")
