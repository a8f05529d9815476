"""Folders of trained models that inference must refuse, each in one clear line."""

import pickle
import shutil

import pytest
import torch
import yaml
from harness import assert_one_line, no_hang, shown_line, snapshot
from room import cut, put
from tiny import save_encoder

from espnet_ser.data.tokens import CharTokenizer, save_tokenizer
from espnet_ser.errors import InputError
from espnet_ser.model_io.build import build_untrained
from espnet_ser.model_io.load import load_model
from espnet_ser.tasks.options import parse_options

TASKS = ["emotion", "asr"]
MISSING = object()


@pytest.fixture(scope="module")
def sound(tmp_path_factory):
    """What a training leaves for inference: weights, configuration and tokens."""
    root = tmp_path_factory.mktemp("sound")
    encoder, folder = save_encoder(root / "encoder"), root / "fold1"
    tokens = CharTokenizer.make_tokens(["YES NO"])
    save_tokenizer(folder / "tokens", tokens)
    command = ["--output_dir", str(folder), "--ssl", str(encoder), "--tasks", *TASKS]
    args = parse_options(command, root / "none.yaml", {}, (), ())
    args.token_list, args.labels = tokens, {"emotion": ["angry", "sad"]}
    torch.save(build_untrained(args).state_dict(), folder / "latest.pth")
    torch.save({}, folder / "frozen.pth")
    (folder / "config.yaml").write_text(yaml.safe_dump(vars(args)))
    return folder


@pytest.fixture
def folder(sound, tmp_path):
    return shutil.copytree(sound, tmp_path / "fold1")


def test_the_sound_folder_is_loaded(folder):
    assert load_model(folder)[1].tasks == TASKS


def config(**changes):
    def change(folder):
        content = yaml.safe_load((folder / "config.yaml").read_text()) | changes
        content = {key: value for key, value in content.items() if value is not MISSING}
        put(folder / "config.yaml", yaml.safe_dump(content))

    return change


def weights(change):
    def changed(folder):
        state = torch.load(folder / "latest.pth", weights_only=True)
        torch.save(change(state), folder / "latest.pth")

    return changed


def emptied(folder):
    for path in folder.iterdir():
        if path.is_file():
            path.unlink()


def lacking(state):
    return {name: tensor for name, tensor in state.items() if not name.startswith("heads.asr")}


def misshapen(state):
    return {name: tensor[:1].clone() if name == "heads.emotion.output.weight" else tensor for name, tensor in state.items()}


CASES = {
    "an empty folder": (emptied, "config.yaml is missing; train the model first"),
    "no configuration": (lambda folder: (folder / "config.yaml").unlink(), "config.yaml is missing"),
    "a configuration that is a list": (lambda folder: put(folder / "config.yaml", "[]"), "not a mapping of names to values"),
    "a configuration cut short": (lambda folder: put(folder / "config.yaml", "tasks: ["), "not YAML"),
    "a binary configuration": (lambda folder: put(folder / "config.yaml", bytes(range(256))), "not YAML"),
    "an empty configuration": (lambda folder: put(folder / "config.yaml", "{}"), "config.yaml"),
    "a configuration without tasks": (config(tasks=MISSING), "tasks"),
    "a configuration without classes": (config(labels=MISSING), "labels"),
    "an unknown task": (config(tasks=["emotoin"]), "emotoin"),
    "dropout in words": (config(dropout="high"), "dropout"),
    "an encoder's configuration that is text": (config(encoder_config="large"), "encoder"),
    "an encoder of another kind": (
        lambda folder: config(encoder_config={"model_type": "bert"})(folder),
        "encoders of type 'bert' are not supported",
    ),
    "no weights": (lambda folder: (folder / "latest.pth").unlink(), "latest.pth is missing"),
    "no frozen weights": (lambda folder: (folder / "frozen.pth").unlink(), "frozen.pth is missing"),
    "an empty file of weights": (
        lambda folder: put(folder / "latest.pth", ""),
        "latest.pth: damaged, ",
    ),
    "half the weights": (lambda folder: cut(folder / "latest.pth"), "latest.pth: damaged, "),
    "text for weights": (lambda folder: put(folder / "latest.pth", "weights"), "latest.pth: damaged, "),
    "objects for weights": (
        lambda folder: put(folder / "latest.pth", pickle.dumps(print)),
        "latest.pth: damaged, ",
    ),
    "a list for weights": (weights(lambda state: list(state.values())), "it holds a list, not tensors by name"),
    "a head's weights missing": (weights(lacking), "parameters are missing: heads.asr"),
    "weights that nothing knows": (weights(lambda state: state | {"x": torch.zeros(1)}), "knows nothing of: x"),
    "more classes than the weights have": (config(labels={"emotion": ["a", "b", "c"]}), "have another shape: heads.emotion"),
    "more tokens than the weights have": (
        config(token_list=[*CharTokenizer.make_tokens(["YES NO"]), "Z"]),
        "tokens/tokens.txt is not the token_list of config.yaml",
    ),
}


@pytest.mark.table("bad input")
@pytest.mark.parametrize("name", CASES, ids="trained model: {}".format)
def test_a_model_is_refused_in_one_clear_line(name, folder, record_property):
    harm, says = CASES[name]
    harm(folder)
    before = snapshot(folder)
    with pytest.raises(InputError) as error, no_hang():
        load_model(folder)
    assert_one_line(f"espnet-ser predict: error: {error.value}\n")
    record_property("shown", shown_line(str(error.value), folder.parent))
    assert says in str(error.value)
    assert snapshot(folder) == before
