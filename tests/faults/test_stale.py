"""What is made anew after a change: exactly the stages that depend on it, and nothing else.

Each row changes one thing after a whole run and runs all stages again. What a stage did is told by the stamps it wrote.
"""

import json
import shutil

import pytest
import torch
import yaml
from tiny import tiny_wav2vec2
from whole_recipe import WholeRecipe, flip

from espnet_ser.experiment import training_run as experiment
from espnet_ser.model_io.weights import read_trained_weights
from espnet_ser.utils.hashing import file_sha256

NOTHING = ""


@pytest.fixture(scope="module")
def finished(tmp_path_factory):
    """A run of all stages, and a copy to put in its place."""
    whole = WholeRecipe(tmp_path_factory.mktemp("stale") / "run")
    assert whole.run() == "1 2 3 4 5 6"
    shutil.copytree(whole.root, whole.root.with_name("kept"), symlinks=True)
    return whole


@pytest.fixture
def whole(finished):
    """The run as it was when it had finished."""
    shutil.rmtree(finished.root)
    shutil.copytree(finished.root.with_name("kept"), finished.root, symlinks=True)
    finished.weights = {
        stage: file_sha256(finished.path(f"{folder}/fold1/latest.pth"))
        for stage, folder in ((3, "exp/stage1/*"), (4, "exp/asr_gender_skip__ser"))
    }
    return finished


def nothing(whole):
    """No change at all."""


def remove_utterance(whole):
    path = whole.release.labels("Ses02F_impro01")
    path.write_text("".join(line for line in path.read_text().splitlines(True) if "Ses02F_impro01_F001" not in line))


def move(old, new):
    return lambda whole: (whole.root / old).rename(whole.root / new)


def rewrite(pattern, change):
    """Edits a file by hand."""

    def edit(whole):
        path = whole.path(pattern)
        content = path.read_text()
        assert change(content) != content
        path.write_text(change(content))

    return edit


def edit_json(pattern, **changes):
    return rewrite(pattern, lambda text: json.dumps({**json.loads(text), **changes}))


def new_weights(whole):
    tiny_wav2vec2(seed=1).save_pretrained(whole.root / "encoder")


def reorder(whole):
    for name in ("stage1", "ser"):
        path = whole.root / "conf" / f"{name}.yaml"
        path.write_text(yaml.safe_dump(dict(reversed(yaml.safe_load(path.read_text()).items())), sort_keys=False))


def damage(pattern):
    return lambda whole: flip(whole.path(pattern))


def remove(pattern):
    return lambda whole: whole.path(pattern).unlink()


def new_version(whole, monkeypatch):
    monkeypatch.setattr("espnet_ser.version.__version__", "9.9.9")
    monkeypatch.setattr(experiment, "__version__", "9.9.9")


def reworded(utt_id, words):
    return lambda whole: whole.reword(utt_id, words)


def relabelled(utt_id, old, new):
    return lambda whole: whole.relabel(utt_id, old, new)


def configured(name, **changes):
    return lambda whole: whole.configure(name, **changes)


SYSTEM_FILE = "conf/systems/asr_gender_skip__ser.yaml"
SER = "exp/asr_gender_skip__ser"

# What was changed, how, with which options the stages are called again, and which must run.
CHANGES = [
    ("nothing", nothing, {}, NOTHING),
    # the corpus
    ("one label of training speech", relabelled("Ses02F_impro01_F000", "neu", "sad"), {}, "1 3 4 5 6"),
    ("one label of held-out speech", relabelled("Ses01F_impro01_F001", "hap", "exc"), {}, "1 3 4 5 6"),
    ("one label outside the four classes", relabelled("Ses02F_impro01_F004", "fru", "dis"), {}, "1"),
    ("a word in a training transcript", reworded("Ses02F_impro01_F000", "Zebra."), {}, "1 2 3 4 5 6"),
    ("a word in a held-out transcript", reworded("Ses01F_impro01_F000", "Zebra."), {}, "1 3 4 5 6"),
    ("case and punctuation of a transcript", reworded("Ses01F_impro01_F000", "EXCUSE, me!"), {}, NOTHING),
    (
        "the sound of one utterance",
        lambda whole: flip(whole.release.wav("Ses02F_impro01_F000"), place=0.9),
        {},
        "1 3 4 5 6",
    ),
    ("the time of one audio file", lambda whole: whole.release.wav("Ses02F_impro01_F000").touch(), {}, NOTHING),
    ("the corpus moved to another folder", move("corpus", "moved"), {"iemocap": "moved"}, "1"),
    ("an utterance added, with new words", lambda whole: whole.add("Ses02F_impro01_F005", "hap", "No."), {}, "1 2 3 4 5 6"),
    ("an utterance added outside the four classes", lambda whole: whole.add("Ses02F_impro01_F005", "fru", "No."), {}, "1"),
    ("an utterance without its label", remove_utterance, {}, "1 3 4 5 6"),
    # options
    ("--seed", nothing, {"seed": 1}, "3 4 5 6"),
    ("--stage1_args with more epochs", nothing, {"stage1_args": "--max_epoch 2"}, "3 4 5 6"),
    ("--stage2_args with more epochs", nothing, {"stage2_args": "--max_epoch 2"}, "4 5 6"),
    ("--folds_by speaker", nothing, {"folds_by": "speaker"}, "1 3 4 5 6"),
    ("--stage1_data all", nothing, {"stage1_data": "all"}, "3 4 5 6"),
    ("--token_type bpe", nothing, {"token_type": "bpe", "nbpe": 26}, "2 3 4 5 6"),
    ("--cache none", nothing, {"cache": "none"}, "3 4 5 6"),
    ("--cache_dtype float32", nothing, {"cache_dtype": "float32"}, "3 4 5 6"),
    ("--nj", nothing, {"nj": 2}, NOTHING),
    ("--tag", nothing, {"tag": "mine"}, "4 5 6"),
    ("--tag and --stage1_tag", nothing, {"tag": "mine", "stage1_tag": "mine"}, "3 4 5 6"),
    ("a system that shares the intermediate model", nothing, {"system": "asr_gender_skip__ser_gender"}, "4 5 6"),
    ("a system with another intermediate model", nothing, {"system": "asr__ser"}, "3 4 5 6"),
    # configurations
    ("the learning rate in the intermediate YAML", configured("stage1", optim_conf={"lr": 0.002}), {}, "3 4 5 6"),
    ("the learning rate in SER's YAML", configured("ser", optim_conf={"lr": 0.002}), {}, "4 5 6"),
    ("a comment in a YAML", rewrite("conf/stage1.yaml", lambda text: f"# faster\n{text}"), {}, NOTHING),
    ("the order of keys in the YAMLs", reorder, {}, NOTHING),
    ("trainable layers of the system", rewrite(SYSTEM_FILE, lambda text: text.replace("layers: 8", "layers: 4")), {}, "4 5 6"),
    ("the paper's figures for the system", rewrite(SYSTEM_FILE, lambda text: text.replace("76.10", "76.20")), {}, "6"),
    ("a comment in the system's file", rewrite(SYSTEM_FILE, lambda text: f"{text}# ours\n"), {}, NOTHING),
    # the encoder
    ("the encoder's weights", new_weights, {}, "3 4 5 6"),
    ("the encoder's configuration", edit_json("encoder/config.json", layerdrop=0.1), {}, "3 4 5 6"),
    ("the encoder's preprocessor", edit_json("encoder/preprocessor_config.json", do_normalize=False), {}, "3 4 5 6"),
    ("the encoder moved to another folder", move("encoder", "elsewhere"), {"ssl": "elsewhere"}, NOTHING),
    ("a note beside the encoder", lambda whole: (whole.root / "encoder" / "README.md").write_text("mine"), {}, NOTHING),
    # what stages left, edited or lost
    ("a data directory edited", rewrite("data/fold1/train/utt2emotion", lambda t: t.replace("sad", "happy", 1)), {}, "1"),
    (
        "a data directory edited and made the user's own, run from stage 3 on",
        lambda whole: (
            rewrite("data/fold1/train/utt2emotion", lambda text: text.replace("sad", "happy", 1))(whole),
            (whole.root / "data/.prepare.json").unlink(),
        ),
        {"stage": 3},
        "3 4 5 6",
    ),
    ("a token list edited", rewrite("dump/fold1/tokens_char/tokens.txt", lambda text: f"{text}Q\n"), {}, "2"),
    ("the cache lost", lambda whole: shutil.rmtree(whole.root / "dump" / "cache"), {}, NOTHING),
    ("a selected prediction edited", rewrite(f"{SER}/fold1/predictions_last.jsonl", lambda text: text[2:]), {}, "5"),
    ("the choice of epochs edited", edit_json(f"{SER}/fold1/selection.json", models={}), {}, "5"),
    ("the scores edited", edit_json(f"{SER}/results.json", headline="oracle"), {}, "6"),
    ("the report lost", remove(f"{SER}/RESULTS.md"), {}, "6"),
    ("a figure lost", remove(f"{SER}/figures/confusion.png"), {}, "6"),
    ("the stamp of stage 6 edited", rewrite(f"{SER}/.scored.json", lambda t: t.replace('"paper"', '"papers"')), {}, "6"),
    # the program
    ("the package's version", new_version, {}, "2 3 4 5 6"),
]


@pytest.mark.table("stale work")
@pytest.mark.parametrize(
    ("change", "options", "expected"), [row[1:] for row in CHANGES], ids=[row[0].replace("[", "(") for row in CHANGES]
)
def test_exactly_what_depends_on_a_change_is_made_anew(whole, monkeypatch, record_property, change, options, expected):
    change(whole, monkeypatch) if change is new_version else change(whole)
    before = whole.files()
    ran = whole.run(**options)
    record_property("shown", ran or "none")
    assert ran == expected
    if expected == NOTHING:
        assert whole.files() == before
    assert whole.run(**options) == NOTHING


EDITED = [
    ("weights of the intermediate model edited", damage("exp/stage1/*/fold1/latest.pth"), 3),
    ("weights of the SER model edited", damage(f"{SER}/fold1/latest.pth"), 4),
    ("predictions of an epoch edited", damage(f"{SER}/fold1/epochs/predictions_0001.jsonl.gz"), 4),
    ("embeddings lost", remove(f"{SER}/fold1/embeddings.npz"), 4),
    (
        "the stamp of a training edited",
        rewrite(f"{SER}/fold1/done.json", lambda text: text.replace('"seed": 0', '"seed": 1')),
        4,
    ),
]


@pytest.mark.table("stale work")
@pytest.mark.parametrize(("change", "stage"), [row[1:] for row in EDITED], ids=[row[0] for row in EDITED])
def test_a_training_that_was_edited_is_done_anew(whole, record_property, change, stage):
    """Equal trainings leave equal files, so that what begins with them stays; predictions lie in the folder moved aside."""
    folder = {3: whole.path("exp/stage1/*/fold1"), 4: whole.root / SER / "fold1"}[stage]
    predictions = [(whole.root / SER / "fold1" / f"predictions_{name}.jsonl").read_bytes() for name in ("last", "oracle")]
    weights = {name: tensor.clone() for name, tensor in read_trained_weights(folder).items()}  # not the file, mapped
    change(whole)
    ran = whole.run()
    record_property("shown", ran)
    assert ran == {3: "3", 4: "4 5"}[stage]
    assert file_sha256(folder / "latest.pth") == whole.weights[stage]
    assert all(torch.equal(tensor, weights[name]) for name, tensor in read_trained_weights(folder).items())
    assert predictions == [
        (whole.root / SER / "fold1" / f"predictions_{name}.jsonl").read_bytes() for name in ("last", "oracle")
    ]
    assert whole.run() == NOTHING


def test_what_was_edited_is_moved_aside_and_never_moved_back(whole, capsys):
    damage(f"{SER}/fold1/latest.pth")(whole)
    whole.run()
    assert "latest.pth: changed since it was written" in capsys.readouterr().out
    assert (whole.root / SER / "fold1.superseded-1").is_dir()
    whole.run(seed=1)
    assert whole.run() != NOTHING
    done = json.loads((whole.root / SER / "fold1" / "done.json").read_text())
    assert done["inputs"]["seed"] == 0
    assert file_sha256(whole.root / SER / "fold1" / "latest.pth") == done["outputs"]["latest.pth"]["sha256"]


def test_after_many_changes_all_is_as_if_made_at_once(whole, tmp_path):
    """What was made anew and what was kept fit together: the predictions are those of a run from nothing."""

    def change(recipe):
        recipe.relabel("Ses02F_impro01_F000", "neu", "sad")
        recipe.reword("Ses03F_impro01_F000", "Zebra.")
        recipe.add("Ses04F_impro01_F005", "hap", "No.")
        recipe.configure("ser", max_epoch=2)

    change(whole)
    whole.run()
    fresh = WholeRecipe(tmp_path / "fresh")
    change(fresh)
    fresh.run()
    names = [*(f"fold1/predictions_{name}.jsonl" for name in ("last", "oracle")), "results.json"]
    for name in names:
        assert (whole.root / SER / name).read_bytes() == (fresh.root / SER / name).read_bytes(), name
