"""A public ASR model in place of the intermediate one."""

import json

import pytest
import torch
from tiny import GROUP_NORM, TINY, save_encoder
from tiny_recipe import Recipe, refused, run
from transformers import Wav2Vec2Config, Wav2Vec2ForCTC

from espnet_ser.model_io.load import load_model


@pytest.fixture(scope="module")
def public(tmp_path_factory):
    """An ASR model as transformers saves it, with another vocabulary than the recipe's."""
    folder = tmp_path_factory.mktemp("hub") / "wav2vec2-tiny-960h"
    torch.manual_seed(7)
    model = Wav2Vec2ForCTC(Wav2Vec2Config(**TINY, **GROUP_NORM, vocab_size=32))
    model.save_pretrained(folder)
    (folder / "preprocessor_config.json").write_text(json.dumps({"do_normalize": True}))
    return folder


@pytest.fixture(scope="module")
def begun(tmp_path_factory, public):
    """``asr__ser`` trained from it, with predictions and scores."""
    recipe = Recipe(tmp_path_factory.mktemp("recipe"))
    recipe.train("ser", "--stage1_from", public, system="asr__ser")
    recipe.select("asr__ser")
    run("score", *recipe.where("asr__ser"))
    return recipe


def test_ser_finetuning_begins_with_its_encoder(begun, public):
    model, args = begun.model("asr__ser")
    theirs = Wav2Vec2ForCTC.from_pretrained(public).wav2vec2.state_dict()
    ours = model.encoder.wav2vec2.state_dict()
    frozen = {name: tensor for name, tensor in ours.items() if name.startswith("encoder.layers.1.")}
    assert frozen
    for name, tensor in frozen.items():
        assert torch.equal(tensor, theirs[name]), name
    assert (args.stage1_from, args.stage1_dir) == (public.name, None)
    assert not (begun.root / "exp" / "stage1").exists()


def test_results_name_it_and_no_score_is_told_by_an_intermediate_model_that_never_was(begun, public):
    folder = begun.root / "exp" / "asr__ser"
    results = json.loads((folder / "results.json").read_text())
    assert (results["from_stage1"], results["summary"]["wer"]) == ([], None)
    assert f"- stage1_from: `{public.name}`" in (folder / "RESULTS.md").read_text()
    assert json.loads((folder / "run.json").read_text())["trained_with"]["encoder"] == public.name
    assert f"; encoder {public.name}`" in (folder / "RESULTS.md").read_text()  # of the hub: with its commit


def test_the_check_for_leaks_says_what_it_cannot_know(begun, public, capsys):
    run("verify", begun.root / "exp" / "asr__ser")
    shown = capsys.readouterr().out
    assert f"as far as is known: the training data of {public.name} are not recorded here" in shown
    assert "WRONG" not in shown


def test_the_same_again_does_nothing_and_its_own_intermediate_is_another_training(begun, public, capsys):
    begun.train("ser", "--stage1_from", public, system="asr__ser")
    assert capsys.readouterr().out.endswith("fold1: up to date\n")
    assert "run stage 3" in refused(capsys, "ser", call=lambda stage: begun.train(stage, system="asr__ser"))


@pytest.mark.parametrize(
    ("stage", "system", "message"),
    [
        ("ser", "asr_gender_skip__ser", "learns asr and gender in its own, and an ASR model has learnt asr alone"),
        ("ser", "stl", "system stl has no intermediate finetuning"),
        ("stage1", "asr__ser", "there is none to train; go on with stage 4"),
    ],
)
def test_systems_whose_intermediate_it_is_not_are_refused(begun, public, capsys, stage, system, message):
    assert message in refused(capsys, stage, call=lambda s: begun.train(s, "--stage1_from", public, system=system))


def test_an_encoder_that_has_learnt_no_asr_is_refused(begun, tmp_path, capsys):
    encoder = save_encoder(tmp_path / "encoder")
    message = refused(capsys, "ser", call=lambda s: begun.train(s, "--stage1_from", encoder, system="asr__ser"))
    assert "not an ASR model with CTC (its config.json names Wav2Vec2Model)" in message


def test_the_model_stands_without_it(begun, public):
    """What it began with is not looked for when it is loaded."""
    public.rename(public.with_name("elsewhere"))
    try:
        assert load_model(begun.root / "exp" / "asr__ser" / "fold1")[0].tasks == ["emotion"]
    finally:
        public.with_name("elsewhere").rename(public)
