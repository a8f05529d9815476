"""An encoder that does not say whether it wants normalised waveforms: the user says it, once for both finetunings."""

import pytest
from tiny_recipe import Recipe, refused, run

NAME = "asr_gender_skip__ser"
SHORT = "--max_epoch 1"


@pytest.fixture(scope="module")
def recipe(tmp_path_factory):
    """After the intermediate finetuning, which was told so."""
    recipe = Recipe(tmp_path_factory.mktemp("recipe"))
    (recipe.encoder / "preprocessor_config.json").unlink()
    recipe.train("stage1", "--stage1_args", f"{SHORT} --normalize_waveform false")
    return recipe


def ser(recipe, said, also=""):
    recipe.train("ser", "--stage1_args", f"{SHORT} {said}", "--stage2_args", f"{SHORT} {also}")


def test_without_a_word_nothing_is_trained(recipe, capsys):
    message = refused(capsys, "stage1", call=recipe.train)
    assert "preprocessor_config.json is missing, so it is not known whether the encoder wants normalised waveforms" in message
    assert '--stage1_args "--normalize_waveform true" (or false)' in message


def test_stage_two_takes_what_stage_one_was_told_and_no_other(recipe, capsys):
    said = "--normalize_waveform false"
    assert "was trained otherwise" in refused(capsys, recipe, said, "--normalize_waveform true", call=ser)
    ser(recipe, said)
    assert recipe.model(NAME)[1].normalize_waveform is False


def test_ser_finetuning_of_the_folder_says_that_it_is_not_known(recipe, capsys):
    run("tokens", "--datadir", recipe.datadir, "--dumpdir", recipe.root / "dump", "--ssl", recipe.encoder)
    assert "warning: " in (said := capsys.readouterr().err)
    assert "it is not known whether the encoder wants normalised waveforms" in said
