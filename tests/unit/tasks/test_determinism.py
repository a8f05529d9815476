"""The same inputs give the same numbers: whatever the order of files, the number of jobs, or what a cache held before."""

import os
import platform
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from release_maker import make_release
from tiny import examples_of, tiny_wav2vec2
from tiny_recipe import run
from whole_recipe import WholeRecipe

from espnet_ser.data.audio import SAMPLE_RATE
from espnet_ser.data.datadir import read_datadir
from espnet_ser.data.identity import corpus_sha256, data_identity
from espnet_ser.data.tokens import load_tokenizer
from espnet_ser.evaluation.results import read_run
from espnet_ser.inference.predict import predict
from espnet_ser.model_io.load import load_model
from espnet_ser.model_io.weights import read_trained_weights
from espnet_ser.models.wav2vec2 import Wav2Vec2Encoder
from espnet_ser.train.fill_cache import fill_cache

SER = "exp/asr_gender_skip__ser"
INTERMEDIATE = "exp/stage1/asr_gender_skip"


def contents(folder, root):
    """Name -> bytes of every file, the place of the whole left out."""
    files = [path for path in folder.rglob("*") if path.is_file()]
    return {str(path.relative_to(folder)): path.read_bytes().replace(str(root).encode(), b"ROOT") for path in files}


@pytest.fixture
def listed_backwards(monkeypatch):
    """File systems list folders in whatever order: here in the opposite one of their names."""

    def backwards(function):
        return lambda *arguments, **options: iter(sorted(function(*arguments, **options), reverse=True))

    for name in ("iterdir", "glob", "rglob"):
        monkeypatch.setattr(Path, name, backwards(getattr(Path, name)))
    listdir = os.listdir
    monkeypatch.setattr(os, "listdir", lambda *arguments: sorted(listdir(*arguments), reverse=True))


@pytest.fixture(scope="module")
def other_order(tmp_path_factory):
    """The run of ``scored`` in another folder, its release written and listed in the opposite order, by two jobs."""
    whole = WholeRecipe(tmp_path_factory.mktemp("backwards") / "other folder", backwards=True)
    whole.configure("ser", max_epoch=3)
    return whole


def test_a_run_does_not_depend_on_the_order_of_files_nor_on_the_number_of_jobs(scored, other_order, listed_backwards):
    other_order.run(nj=2)
    runs = [scored, other_order]
    for name in ("data/all", "data/fold1", "data/fold2", "dump/fold1/tokens_char"):
        first, second = (contents(whole.root / name, whole.root) for whole in runs)
        assert first == second, name
    for name in ("last", "oracle"):
        path = f"{SER}/fold1/predictions_{name}.jsonl"
        assert (scored.root / path).read_bytes() == (other_order.root / path).read_bytes()
    results = [(whole.root / SER / "results.json").read_bytes() for whole in runs]
    assert results[0] == results[1]
    for folder in (SER, INTERMEDIATE):
        first, second = (read_trained_weights(whole.root / folder / "fold1") for whole in runs)
        assert first.keys() == second.keys()
        assert all(torch.equal(tensor, second[name]) for name, tensor in first.items())


def test_figures_say_what_made_them_and_the_records_where(scored, monkeypatch):
    monkeypatch.setattr(platform, "node", lambda: "the-host-of-the-scores")
    (scored.root / SER / "RESULTS.md").unlink()
    scored.score()
    folder = scored.root / SER
    record = read_run(folder)
    assert record["scored_on"] == {"host": "the-host-of-the-scores"}
    assert record["trace"] == scored.results()["trace"]
    assert record["trace"]["seed"] == 0
    assert record["trace"]["corpus"] == corpus_sha256(read_datadir(scored.root / "data" / "fold1" / "test"))
    assert set(record["trace"]["trainings"]["1"]) == set(record["trained_by"]["1"]) == {"stage1", "ser"}
    for stage, made in record["trained_by"]["1"].items():
        assert made["command"].startswith("espnet-ser train ")
        assert f"--stage={stage}" in made["command"]
        assert made["host"] == "the-host-of-the-training"
        assert len(made["config_sha256"]) == 64
    assert {"torch", "numpy", "git commit", "code"} <= record["trained_with"].keys() & record["scored_with"].keys()
    for name in ("RESULTS.md", "report.html"):
        text = (folder / name).read_text()
        assert "the-host-of" not in text
        assert record["trace"]["corpus"] in text
    assert "the-host-of" not in (folder / "results.json").read_text()


def test_processes_that_scan_audio_change_nothing(tmp_path):
    release = make_release(tmp_path / "release", turns=6, oddities=False)  # 120 utterances: enough for processes
    for nj in (1, 3):
        run("prepare", "--iemocap", release.root, "--datadir", tmp_path / f"data{nj}", "--nj", nj)
    assert contents(tmp_path / "data1", tmp_path) == contents(tmp_path / "data3", tmp_path)


def test_hashes_of_strings_change_nothing(tmp_path):
    """Python orders sets by hashes that differ from process to process."""
    release = make_release(tmp_path / "release", dialogs=("F_impro01",), turns=7, oddities=False)
    for seed in ("1", "2"):
        data, dump = tmp_path / f"data{seed}", tmp_path / f"dump{seed}"
        for command in (
            ("prepare", "--iemocap", release.root, "--datadir", data, "--nj", "1"),
            ("tokens", "--datadir", data, "--dumpdir", dump, "--token_type", "bpe", "--nbpe", "26"),
        ):
            words = [sys.executable, "-m", "espnet_ser", *map(str, command)]
            subprocess.run(words, env={**os.environ, "PYTHONHASHSEED": seed}, check=True, capture_output=True)
    for name in ("data", "dump"):
        assert contents(tmp_path / f"{name}1", tmp_path) == contents(tmp_path / f"{name}2", tmp_path)


@pytest.mark.parametrize("cut", ["cnn", "prefix"])
def test_a_cache_holds_the_same_frames_whoever_filled_it(tmp_path, cut):
    """Padded besides others, an utterance's frames differ in their last bits: no job may see who asked before it."""
    encoder = Wav2Vec2Encoder(tiny_wav2vec2(), num_trainable_layers=3)
    examples = examples_of(tmp_path / "corpus", seconds=2.5)
    orders = {"one": [examples], "two": [examples[::-1]], "three": [examples[3:5], examples[9:], examples]}
    frames = {}
    for name, batches in orders.items():
        for some in batches:
            cache = fill_cache(encoder, cut, some, tmp_path / name, dtype="float32")
        frames[name] = {example.utt: np.array(cache.frames(example)) for example in examples}
    for name in ("two", "three"):
        assert all(np.array_equal(frames["one"][utt], frames[name][utt]) for utt in frames["one"])


def test_filling_a_cache_draws_no_random_number(tmp_path):
    encoder = Wav2Vec2Encoder(tiny_wav2vec2(), num_trainable_layers=3)
    torch.manual_seed(3)
    before = torch.get_rng_state()
    fill_cache(encoder, "cnn", examples_of(tmp_path / "corpus", sessions=("1",)), tmp_path / "cache")
    assert torch.equal(before, torch.get_rng_state())


@pytest.mark.parametrize("name", [INTERMEDIATE, SER])
@pytest.mark.parametrize("seconds", [0.1, 0.9, 1.3, 2.0])
def test_the_size_of_batches_at_inference_changes_no_decision(scored, name, seconds):
    """Posteriors to 1e-5, and so every decision between classes that are further apart than that."""
    folder = scored.root / name / "fold1"
    model, config = load_model(folder)
    tokenizer = load_tokenizer(Path(config.token_dir)) if "asr" in config.tasks else None
    examples = read_datadir(scored.root / "data" / "all")
    together, apart = (
        predict(model, examples, config.labels, tokenizer, batch_bins=int(bins))
        for bins in (60 * SAMPLE_RATE, seconds * SAMPLE_RATE)
    )
    for one, other in zip(together, apart, strict=True):
        assert one["utt"] == other["utt"]
        assert one.keys() == other.keys()
        told = [(one[task], other[task]) for task in model.tasks]
        assert any("scores" in first for first, _ in told)
        for first, second in told:
            assert first["hyp"] == second["hyp"]
            assert first.get("scores") == pytest.approx(second.get("scores"), abs=1e-5)


def test_a_corpus_is_known_by_its_content_alone(tmp_path):
    examples = examples_of(tmp_path)
    known = corpus_sha256(examples)
    assert len(known) == 64
    assert corpus_sha256(reversed(examples)) == known
    assert corpus_sha256([replace(example, wav=Path("/elsewhere") / example.wav.name) for example in examples]) == known
    for change in ({"emotion": "sad"}, {"text": "NO"}, {"sha256": "0" * 64}, {"num_samples": 1}, {"speaker": "Ses09_F"}):
        assert corpus_sha256([replace(examples[0], **change), *examples[1:]]) != known
    assert corpus_sha256([*examples, examples[0]]) != known
    assert corpus_sha256(examples[1:]) != known


@pytest.mark.parametrize("identity", [data_identity, corpus_sha256])
def test_audio_counts_where_a_data_directory_does_not_know_its_content(tmp_path, identity):
    examples = [replace(example, sha256="") for example in examples_of(tmp_path, sessions=("1",))]
    before = identity(examples)
    content = bytearray(examples[0].wav.read_bytes())
    content[-1] ^= 1
    examples[0].wav.write_bytes(bytes(content))
    assert identity(examples) != before
