import json
import shutil
import sys
import zipfile
from pathlib import Path

import numpy as np
import pytest
import torch
import yaml
from checkout import ROOT
from espnet2.main_funcs.pack_funcs import find_path_and_change_it_recursive
from espnet_model_zoo.downloader import ModelDownloader
from packed_recipe import PackedRecipe, no_network, noise, posteriors
from tiny_recipe import refused, run
from transformers import pipeline

from espnet_ser.data.datadir import read_datadir
from espnet_ser.model_io.load import load_model
from espnet_ser.model_io.trained_encoder import check_encoder_leak, encoder_trained_on
from espnet_ser.publish.allowlist import publishable_files


@pytest.fixture(scope="module")
def unpacked(packed, tmp_path_factory):
    """The archive as ESPnet's model zoo unpacks it: argument -> file."""
    with no_network(), pytest.warns(UserWarning, match="Expanding a local model"):
        return ModelDownloader(tmp_path_factory.mktemp("zoo")).download_and_unpack(str(packed.archive))


def files_of(*places):
    paths = [path for place in places for path in (place.rglob("*") if place.is_dir() else [place])]
    return {path: (path.stat().st_ino, path.stat().st_mtime_ns) for path in paths if path.is_file()}


def test_the_model_zoo_unpacks_a_model_that_tells_the_same(packed, unpacked):
    assert unpacked.keys() == {"ser_train_config", "ser_model_file"}
    trained, args = packed.model()
    with no_network():
        found, found_args = load_model(Path(unpacked["ser_train_config"]).parent)
        archived, _ = load_model(packed.archive)
    assert found_args.labels == args.labels
    waveform = noise(0.8)
    wanted = posteriors(trained, waveform, "emotion")
    for model in (found, archived):
        assert torch.equal(posteriors(model, waveform, "emotion"), wanted)
    assert Path(unpacked["ser_model_file"]).name == "latest.pth"


def test_the_intermediate_model_goes_with_it_for_the_words(packed, unpacked):
    folder = Path(unpacked["ser_train_config"]).parents[1] / "stage1"
    with no_network():
        model, args = load_model(folder)
    trained, trained_args = packed.intermediate()
    speech, lengths = torch.from_numpy(noise(0.8))[None], torch.tensor([12800])
    with torch.no_grad():
        ours, theirs = (each.logits(speech, lengths) for each in (trained, model))
    assert torch.equal(ours["asr"], theirs["asr"])
    assert torch.equal(ours["gender"], theirs["gender"])  # with the skip branch
    assert args.tokenizer.tokens == trained_args.tokenizer.tokens


def test_a_repository_laid_out_like_the_folder_is_what_the_zoo_reads(packed):
    meta = yaml.safe_load((packed.folder / "meta.yaml").read_text())
    named = [*meta["files"].values(), *meta["yaml_files"].values()]
    assert sorted(named) == ["espnet/ser/config.yaml", "espnet/ser/latest.pth"]
    assert all((packed.folder / name).is_file() for name in named)
    assert torch.equal(
        posteriors(load_model(packed.folder)[0], noise(0.5), "emotion"), posteriors(packed.model()[0], noise(0.5), "emotion")
    )


def test_every_model_says_whom_it_was_trained_on(packed):
    """Whichever of them becomes somebody's encoder: the intermediate model's data count for both."""
    held_out, trained = (read_datadir(packed.root / "data" / name) for name in ("fold1/test", "fold1/train"))
    assert {example.speaker for example in held_out} == {"Ses01_F", "Ses01_M"}
    trained_on = {
        "sessions": sorted({example.session for example in trained}),
        "speakers": sorted({example.speaker for example in trained}),
    }
    for folder in (packed.folder, packed.folder / "heads" / "ctc"):
        assert json.loads((folder / "config.json").read_text())["espnet_ser"] == {"trained_on": trained_on}
        assert encoder_trained_on(folder) == trained_on
        check_encoder_leak(folder, packed.test_examples())


def test_nothing_of_the_corpus_and_of_this_machine_goes_out(packed):
    texts = {example.text for part in ("train", "test") for example in read_datadir(packed.root / "data" / "fold1" / part)}
    words = {word for text in texts for word in text.split() if len(word) > 4}
    assert len(words) >= 2
    utts = {example.utt for example in packed.test_examples()}
    secrets = [*words, *utts, str(packed.root.parent), str(ROOT), sys.prefix]
    contents = {path.name: path.read_bytes() for path in files_of(packed.folder)}
    with zipfile.ZipFile(packed.archive) as archive:
        contents |= {f"zip: {name}": archive.read(name) for name in archive.namelist()}
    for name, content in contents.items():
        assert [secret for secret in secrets if secret.encode() in content] == [], name
    assert set(publishable_files(packed.folder)) == {str(p.relative_to(packed.folder)) for p in files_of(packed.folder)}


def test_others_may_read_what_is_packed_as_they_may_read_other_files(packed):
    mode = (packed.base / "results.json").stat().st_mode & 0o777
    assert {path.stat().st_mode & 0o777 for path in [packed.archive, *packed.folder.rglob("*")] if path.is_file()} == {mode}
    with zipfile.ZipFile(packed.archive) as archive:
        assert {info.external_attr >> 16 & 0o777 for info in archive.infolist() if info.filename != "meta.yaml"} == {mode}


def test_a_packed_fold_is_not_packed_again(packed, capsys):
    before = files_of(packed.folder, packed.archive)
    packed.pack()
    assert "fold 1: up to date" in capsys.readouterr().out
    assert files_of(packed.folder, packed.archive) == before


def test_other_scores_or_a_changed_file_are_packed_anew(scored, packed, tmp_path, capsys):
    recipe = PackedRecipe(scored, tmp_path / "run")
    recipe.pack("--onnx", "false")
    assert not (recipe.folder / "onnx").exists()
    card = recipe.folder / "README.md"
    card.write_text("mine")
    recipe.pack("--onnx", "false")
    assert "## What it was trained on" in card.read_text()
    assert (recipe.folder.with_name("fold1.kept-1") / "README.md").read_text() == "mine"
    (recipe.base / "results.json").write_text("{}")
    message = refused(capsys, "pack", *recipe.options(), "--onnx", "false", call=run)
    assert "run stage 6 again" in message
    shutil.copy(packed.base / "results.json", recipe.base / "results.json")
    weights = recipe.base / "fold1" / "frozen.pth"
    weights.write_bytes(weights.read_bytes()[:-1])
    assert "run stage 4 again" in refused(capsys, "pack", *recipe.options(), "--onnx", "false", call=run)
    assert "## What it was trained on" in card.read_text()


def test_a_failure_leaves_what_was_packed(scored, tmp_path, monkeypatch):
    recipe = PackedRecipe(scored, tmp_path / "run")
    recipe.pack("--onnx", "false")
    before = files_of(recipe.base / "packed")
    monkeypatch.setattr("espnet_ser.publish.pack.model_card", lambda facts: 1 / 0)
    monkeypatch.setattr("espnet_ser.publish.pack.__version__", "another")
    with pytest.raises(ZeroDivisionError):
        recipe.pack("--onnx", "false")
    assert files_of(recipe.base / "packed") == before


def packed_system(scored, root, system):
    """Another system of one stage, trained, scored and packed; returns its packed fold."""
    recipe = PackedRecipe(scored, root)
    options = (
        "--conf",
        root / "conf",
        "--datadir",
        root / "data",
        "--expdir",
        root / "exp",
        "--system",
        system,
        "--folds",
        "1",
    )
    configs = ("--stage1_config", root / "conf" / "stage1.yaml", "--stage2_config", root / "conf" / "ser.yaml")
    with_what = ("--dumpdir", root / "dump", "--ssl", scored.root / "encoder", "--stage2_args", "--max_epoch 1", *configs)
    run("train", "--stage", "ser", *options, *with_what)
    for command in (("select",), ("score",), ("pack", "--onnx", "false")):
        run(*command, *options)
    return recipe.root / "exp" / system / "packed" / "fold1"


def test_a_model_of_spectrograms_has_an_archive_alone(scored, tmp_path):
    folder = packed_system(scored, tmp_path / "run", "cnn_lstm")
    assert sorted(path.name for path in folder.iterdir()) == ["README.md", "espnet", "meta.yaml"]
    assert "none of transformers'" in (folder / "README.md").read_text()
    model, _ = load_model(folder.with_name("fold1.zip"))
    assert np.isfinite(posteriors(model, noise(1.0), "emotion").numpy()).all()
    publishable_files(folder)


def test_a_plain_gender_head_is_a_classifier_and_the_zoo_leaves_its_name_alone(scored, tmp_path):
    folder = packed_system(scored, tmp_path / "run", "mtl_gender")
    trained, args = load_model(folder.parents[1] / "fold1")
    waveform = noise(0.6)
    with no_network():
        classify = pipeline("audio-classification", str(folder / "heads" / "gender"))
        told = {each["label"]: each["score"] for each in classify({"raw": waveform, "sampling_rate": 16000})}
    wanted = posteriors(trained, waveform, "gender").tolist()
    assert told == pytest.approx(dict(zip(args.labels["gender"], wanted, strict=True)), abs=1e-5)
    publishable_files(folder)
    # What the zoo does to a repository that it fetched: a value that is the name of a folder becomes that folder's place.
    config = rewritten = yaml.safe_load((folder / "espnet" / "ser" / "config.yaml").read_text())
    for path in folder.rglob("*"):
        rewritten = find_path_and_change_it_recursive(rewritten, path.relative_to(folder), "its place")
    assert rewritten == config
