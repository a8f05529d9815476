"""What stage 7 packs says what it was trained on, and is refused as an encoder where that is tested on."""

import json
import shutil

import pytest
import yaml
from model_maker import make_model
from stand_in_hub import StandInHub
from tiny_recipe import Recipe, refused
from transformers import AutoModel

from espnet_ser.data.datadir import read_datadir
from espnet_ser.data.leakage import all_of, describe_training_data
from espnet_ser.data.tokens import CharTokenizer
from espnet_ser.errors import InputError
from espnet_ser.model_io.hub import resolve_encoder
from espnet_ser.model_io.load import load_model
from espnet_ser.model_io.trained_encoder import check_encoder_leak, encoder_trained_on
from espnet_ser.publish.huggingface import export_classifier, export_ctc
from espnet_ser.publish.zoo_archive import copy_model

EMOTIONS = ["angry", "happy", "neutral", "sad"]
ALONE = ("config.json", "model.safetensors", "preprocessor_config.json")


@pytest.fixture(scope="module")
def recipe(tmp_path_factory):
    return Recipe(tmp_path_factory.mktemp("recipe"))


@pytest.fixture(scope="module")
def test_set(recipe):
    return read_datadir(recipe.datadir / "fold1" / "test")


@pytest.fixture(scope="module")
def packed(recipe, test_set, tmp_path_factory):
    """Of another fold, which trained on what this one holds out."""
    root = tmp_path_factory.mktemp("packed")
    heard = describe_training_data(test_set)
    made = make_model(root / "model", labels={"emotion": EMOTIONS}, trained_on=heard)
    model, args = load_model(made)
    export_classifier(model, "emotion", EMOTIONS, root / "fold2", all_of(heard))
    export_ctc(model, CharTokenizer(args.token_list), root / "fold2" / "heads" / "ctc", all_of(heard))
    copy_model(model, made, root / "fold2" / "espnet" / "ser")
    return root / "fold2"


def alone(packed, folder, *names):
    """Copies these files and no others."""
    folder.mkdir()
    for name in names:
        shutil.copy(packed / name, folder / name)
    return folder


def without_a_word(packed, folder):
    """As if config.json did not say it."""
    shutil.copytree(packed, folder)
    config = json.loads((folder / "config.json").read_text())
    del config["espnet_ser"]
    (folder / "config.json").write_text(json.dumps(config))
    return folder


def saved_again(packed, folder):
    AutoModel.from_pretrained(packed).save_pretrained(folder)
    shutil.copy(packed / "preprocessor_config.json", folder)
    return folder


WAYS = {
    "as it is": lambda packed, _: packed,
    "three of its files": lambda packed, folder: alone(packed, folder, *ALONE),
    "beside its ESPnet model alone": without_a_word,
    "saved again by transformers": saved_again,
    "its CTC head": lambda packed, _: packed / "heads" / "ctc",
}


@pytest.mark.parametrize("way", WAYS)
def test_the_model_of_another_fold_is_refused_as_an_encoder(recipe, packed, tmp_path, capsys, way):
    folder = WAYS[way](packed, tmp_path / "copy")
    message = refused(capsys, "ser", call=lambda stage: recipe.train(stage, "--ssl", folder, system="stl"))
    assert f"the encoder {folder} was trained on speaker Ses01_F, Ses01_M, which this fold holds out for testing" in message
    assert not (recipe.root / "exp").exists()


def test_its_ctc_head_is_refused_in_the_place_of_stage_one(recipe, packed, capsys):
    folder = packed / "heads" / "ctc"
    message = refused(capsys, "ser", call=lambda stage: recipe.train(stage, "--stage1_from", folder, system="asr__ser"))
    assert "was trained on speaker Ses01_F, Ses01_M" in message


def test_it_is_refused_by_its_name_on_the_hub(packed, test_set, tmp_path):
    with StandInHub() as hub, hub.known_here(tmp_path):
        hub.repos["me/ser"] = {"private": False, "files": {name: (packed / name).read_bytes() for name in ALONE}}
        with pytest.raises(InputError, match="was trained on speaker Ses01_F, Ses01_M"):
            check_encoder_leak(resolve_encoder("me/ser"), test_set)


@pytest.mark.parametrize("name", ["exp/fold2", "packed/fold2.zip"])
def test_what_is_no_encoders_folder_is_refused(recipe, tmp_path, capsys, name):
    path = tmp_path / name
    path.parent.mkdir()
    if name.endswith("zip"):
        path.write_bytes(b"PK")
    else:
        make_model(path)
    message = refused(capsys, "ser", call=lambda stage: recipe.train(stage, "--ssl", path, system="stl"))
    assert "name a folder that transformers saved" in message or "not a folder; name one" in message


@pytest.mark.parametrize("said", ["IEMOCAP", {"trained_on": "IEMOCAP"}, {"trained_on": {"speakers": ["a"]}}, ["a"]])
def test_what_cannot_be_read_of_it_is_one_line(packed, tmp_path, said):
    folder = alone(packed, tmp_path / "copy", *ALONE)
    config = json.loads((folder / "config.json").read_text())
    (folder / "config.json").write_text(json.dumps({**config, "espnet_ser": said}))
    with pytest.raises(InputError, match=r"config\.json: does not say what it was trained on as stage 7 does"):
        encoder_trained_on(folder)


def test_one_trained_on_others_is_taken_and_passes_on_what_it_was_trained_on(tmp_path):
    """Sessions of another corpus may have the same numbers; who began with that model counts as trained on its speakers."""
    here = Recipe(tmp_path)
    elsewhere = {"sessions": ["1"], "speakers": ["anna"]}
    model, _ = load_model(make_model(tmp_path / "model", tasks=["emotion"], labels={"emotion": EMOTIONS}))
    export_classifier(model, "emotion", EMOTIONS, tmp_path / "packed", elsewhere)
    here.train("ser", "--ssl", tmp_path / "packed", "--args", "--max_epoch 1", system="stl")
    fold = here.root / "exp" / "stl" / "fold1"
    config = yaml.safe_load((fold / "config.yaml").read_text())
    assert config["pretrained_on"] == elsewhere
    assert config["ssl_source"] == "packed"
    assert json.loads((fold / "environment.json").read_text())["environment"]["encoder"] == "packed"
    copy_model(load_model(fold)[0], fold, tmp_path / "next" / "espnet" / "ser")
    shutil.copy(tmp_path / "packed" / "config.json", tmp_path / "next")
    assert encoder_trained_on(tmp_path / "next") == {"sessions": ["1", "2", "3"], "speakers": [
        "Ses02_F", "Ses02_M", "Ses03_F", "Ses03_M", "anna"]}  # fmt: skip
