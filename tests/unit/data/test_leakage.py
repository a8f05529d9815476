"""No held-out utterance gets into training, whatever way it is smuggled in."""

import shutil
from dataclasses import replace

import pytest
import yaml
from tiny_recipe import SYSTEM, Recipe, refused, run

from espnet_ser.data.datadir import read_datadir, write_datadir
from espnet_ser.evaluation.predictions import epoch_path, read_predictions, write_predictions
from espnet_ser.experiment.training_run import OUTPUTS
from espnet_ser.utils.stamp import Stamp


def test_stage_one_model_of_another_fold_is_refused(trained, tmp_path, capsys):
    """The intermediate model heard session 1's rivals; a fold that tests on session 2 must not use it."""
    other = Recipe(tmp_path, test_session="2")
    intermediate = other.root / "exp/stage1/asr_gender_skip"
    intermediate.mkdir(parents=True)
    shutil.copytree(trained.root / "exp/stage1/asr_gender_skip/fold1", intermediate / "fold1")
    message = refused(capsys, "ser", call=other.train)
    assert "fold1 was trained on other inputs (test: " in message
    assert not (other.root / "exp" / SYSTEM / "fold1" / "done.json").exists()


def test_a_model_that_heard_the_test_data_makes_no_predictions(trained, capsys):
    folder = trained.root / "exp" / SYSTEM / "fold1"
    config, done = (folder / "config.yaml").read_text(), (folder / "done.json").read_text()
    tampered = yaml.safe_load(config)
    tampered["trained_on"]["sessions"].append("1")
    (folder / "config.yaml").write_text(yaml.safe_dump(tampered))
    try:
        assert "output config.yaml: changed since it was written; run stage 4 again" in refused(capsys, call=trained.select)
        stamp = Stamp(folder / "done.json")
        stamp.write(stamp.inputs(), [folder / name for name in stamp.output_sha256()])
        assert "was trained on session 1" in refused(capsys, call=trained.select)
    finally:
        (folder / "config.yaml").write_text(config)
        (folder / "done.json").write_text(done)


def test_training_data_that_holds_the_test_session_is_refused(recipe, capsys):
    fold = recipe.datadir / "fold1"
    shutil.rmtree(fold / "test")
    shutil.copytree(fold / "train", fold / "test")
    assert "was trained on session 2, 3" in refused(capsys, "stage1", call=recipe.train)


def test_predictions_do_not_mix_models(recipe, capsys):
    recipe.train("stage1", "--args", "--max_epoch 1")
    recipe.train("ser", "--args", "--max_epoch 1")
    recipe.train("stage1", "--args", "--max_epoch 1", "--seed", "3")
    assert "another intermediate model than is here now: run stage 4 again" in refused(capsys, call=recipe.select)


def test_weights_swapped_for_another_folds_are_noticed(trained, capsys):
    weights = trained.root / "exp/stage1/asr_gender_skip/fold1/latest.pth"
    content = weights.read_bytes()
    weights.write_bytes(content[:-1] + bytes([content[-1] ^ 1]))
    try:
        assert "output latest.pth: changed since it was written; run stage 3 again" in refused(
            capsys, "ser", call=trained.train
        )
    finally:
        weights.write_bytes(content)


@pytest.mark.parametrize(
    "option",
    ["--patience 1", "--scheduler reducelronplateau", "--init_param x.pth:encoder:encoder"],
)
def test_nothing_lets_the_held_out_fold_choose_or_loads_unchecked(recipe, capsys, option):
    assert option.split()[0] in refused(capsys, "stage1", "--args", option, call=recipe.train)


def smuggled_in(recipe, change, train_set="train"):
    """Puts a held-out utterance into a training set, changed as the smuggler likes."""
    fold = recipe.datadir / "fold1"
    train, test = read_datadir(fold / "train"), read_datadir(fold / "test")
    write_datadir(fold / train_set, [*train, replace(test[-1], **change)])


DISGUISE = {
    "utt": "Ses02_F-Ses02F_impro09_F000",
    "speaker": "Ses02_F",
    "session": "2",
    "gender": "f",
}


OTHER_AUDIO = {"sha256": "other", "samples_sha256": "other"}


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({}, "was trained on session 1, which this fold holds out"),
        ({"session": "2"}, "was trained on speaker Ses01_M, which this fold holds out"),
        (DISGUISE, "have the same audio file"),
        ({**DISGUISE, "wav": "elsewhere.wav"}, "have the same audio, byte for byte"),
        ({**DISGUISE, "wav": "elsewhere.wav", "sha256": "other"}, "have the same audio, sample for sample"),
        ({**DISGUISE, "utt": "Ses01_f-x", "speaker": "Ses01_f"}, "was trained on speaker Ses01_F, which this fold holds out"),
        (
            {
                **DISGUISE,
                "utt": "Ses01_M-Ses01F_impro01_M003",
                "speaker": "Ses01",
                "sha256": "other",
                "samples_sha256": "other",
            },
            "have the same utterance id",
        ),
    ],
)
@pytest.mark.parametrize("stage", ["stage1", "ser"])
def test_a_held_out_utterance_among_the_training_data_is_refused(recipe, capsys, stage, change, message):
    smuggled_in(recipe, change)
    assert message in refused(capsys, stage, call=lambda s: recipe.train(s, system=SYSTEM if s == "stage1" else "stl"))
    assert not (recipe.root / "exp").exists()


def test_a_held_out_utterance_among_stage_ones_further_data_is_refused(recipe, capsys):
    smuggled_in(recipe, DISGUISE, "train_all")
    assert "have the same audio file" in refused(capsys, "stage1", "--stage1_data", "all", call=recipe.train)


def test_a_token_list_that_knows_a_held_out_transcript_is_refused(recipe, capsys):
    fold = recipe.datadir / "fold1"
    train = read_datadir(fold / "train")
    write_datadir(fold / "train", [replace(train[0], text="SECRET"), *train[1:]])
    run("tokens", "--datadir", recipe.datadir, "--dumpdir", recipe.root / "dump")
    write_datadir(fold / "train", train)
    message = refused(capsys, "stage1", call=recipe.train)
    assert "was made from text that is not in this fold's training data ('SECRET'): run stage 2 again" in message


def test_a_token_list_edited_by_hand_is_refused(recipe, capsys):
    tokens = recipe.root / "dump" / "fold1" / "tokens_char" / "tokens.txt"
    tokens.write_text(tokens.read_text() + "Q\n")
    assert "tokens.txt: changed since it was written" in refused(capsys, "stage1", call=recipe.train)


def test_predictions_of_utterances_that_the_fold_does_not_hold_out_are_refused(recipe, capsys):
    recipe.train("ser", "--args", "--max_epoch 1", system="stl")
    folder = recipe.root / "exp" / "stl" / "fold1"
    path = epoch_path(folder, 1)
    lines = read_predictions(path)
    write_predictions(path, lines[1:])
    assert "changed since it was written; run stage 4 again" in refused(capsys, "stl", call=recipe.select)
    stamp = Stamp(folder / "done.json")
    stamp.write(stamp.inputs(), [folder / name for name in OUTPUTS if (folder / name).exists()])
    assert "not of the utterances that this fold holds out" in refused(capsys, "stl", call=recipe.select)


def test_a_stage_one_model_of_other_settings_is_not_taken(recipe, capsys):
    recipe.train("stage1", "--args", "--max_epoch 1")
    message = refused(capsys, "ser", call=recipe.train)
    assert 'was trained on other inputs (extra: ["--max_epoch", "1"] -> [])' in message
    assert "--stage1_args" in message
    assert "seed: 0 -> 3" in refused(capsys, "ser", "--seed", "3", "--args", "--max_epoch 1", call=recipe.train)


def test_stage_one_cannot_hear_what_is_held_out_again_afterwards(recipe, capsys):
    """Trained while a held-out utterance was among the training data under another name; then all is put back."""
    fold = recipe.datadir / "fold1"
    train, test = read_datadir(fold / "train"), read_datadir(fold / "test")
    write_datadir(fold / "train", [*train, replace(test[-1], **DISGUISE)])
    write_datadir(fold / "test", test[:-1])
    recipe.train("stage1")
    write_datadir(fold / "train", train)
    write_datadir(fold / "test", test)
    assert "was trained on other inputs" in refused(capsys, "ser", call=recipe.train)


def test_audio_that_changed_since_it_was_read_is_refused(recipe, capsys):
    fold = recipe.datadir / "fold1"
    train, test = read_datadir(fold / "train"), read_datadir(fold / "test")
    train[0].wav.write_bytes(test[0].wav.read_bytes())
    message = refused(capsys, "stage1", call=recipe.train)
    assert f"{train[0].wav} has changed since stage 1 read it" in message
