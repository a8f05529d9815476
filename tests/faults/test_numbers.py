"""Numbers that go wrong say so, in one line, instead of going into a table."""

from dataclasses import replace

import numpy as np
import pytest
import soundfile
from tiny_recipe import Recipe, refused, run

from espnet_ser.data.datadir import read_datadir, write_datadir
from espnet_ser.models.ser_model import SERModel
from espnet_ser.utils.hashing import file_sha256


def spoil(model_output, value):
    """The same logits with one of them spoilt."""
    model_output["emotion"] = model_output["emotion"].clone()
    model_output["emotion"][0, 0] = value
    return model_output


def not_finite_in(monkeypatch, training, value):
    logits_of = SERModel.logits_of
    monkeypatch.setattr(
        SERModel,
        "logits_of",
        lambda model, batch: spoil(logits_of(model, batch), value) if model.training == training else logits_of(model, batch),
    )


def change_data(recipe, part, change):
    folder = recipe.datadir / "fold1" / part
    write_datadir(folder, change(read_datadir(folder)))


def without(examples, **fields):
    return [example for example in examples if any(getattr(example, name) != value for name, value in fields.items())]


CASES = {
    "a loss of NaN in training": (
        lambda recipe, patch: not_finite_in(patch, True, float("nan")),
        [],
        ["loss nan", "Ses02_F-Ses02F_impro01_F00", "lower learning rate"],
    ),
    "an infinite loss in training": (
        lambda recipe, patch: not_finite_in(patch, True, -float("inf")),
        [],
        ["batch of Ses0", "lower learning rate"],
    ),
    "a loss of NaN on held-out speech": (
        lambda recipe, patch: not_finite_in(patch, False, float("nan")),
        [],
        ["loss nan", "Ses01_F-Ses01F_impro01_F00"],
    ),
    "an emotion that no training utterance has": (
        lambda recipe, patch: change_data(recipe, "train", lambda examples: without(examples, emotion="sad")),
        [],
        ["no training utterance of this fold has the emotion sad", "or other folds (--folds_by), or leave it out (--classes)"],
    ),
    "a gender that no training utterance has": (
        lambda recipe, patch: change_data(recipe, "train", lambda examples: without(examples, gender="f")),
        [],
        ["no training utterance of this fold has the gender f", "or a system that does not predict gender (--system)"],
    ),
    "auxiliary tasks of no weight": (None, ["--args", "--aux_weight 0"], ["aux_weight 0 leaves gender untrained"]),
    "emotion of no weight": (None, ["--args", "--aux_weight 1"], ["aux_weight 1 leaves emotion untrained"]),
    "emotion of no weight, by the letter of Eq. 1": (
        None,
        ["--args", "--aux_weight 0 --literal_eq true"],
        ["leaves emotion untrained"],
    ),
    "a head that is frozen": (
        None,
        ["--args", "--freeze_param heads.gender"],
        ["--freeze_param heads.gender: the gender head would not be trained"],
    ),
    "all heads frozen": (None, ["--args", "--freeze_param heads"], ["head would not be trained"]),
    "a learning rate of zero": (None, ["--args", "--optim_conf lr=0"], ["learning rate of 0"]),
    "gradients that overflow": (
        None,
        ["--args", "--optim_conf lr=1e38"],
        ["lower learning rate"],
    ),
}


@pytest.mark.table("numbers")
@pytest.mark.parametrize("case", CASES)
def test_what_cannot_be_trusted_is_refused(case, tmp_path, monkeypatch, capsys, record_property):
    recipe = Recipe(tmp_path)
    spoil_it, options, expected = CASES[case]
    if spoil_it is not None:
        spoil_it(recipe, monkeypatch)
    line = refused(capsys, "ser", *options, call=lambda *a: recipe.train(*a, system="mtl_gender"))
    for part in expected:
        assert part in line
    record_property("shown", line.replace(str(tmp_path), "..."))
    with pytest.raises(SystemExit):
        run("select", *recipe.where("mtl_gender"))
    assert not list((tmp_path / "exp").rglob("done.json"))


@pytest.mark.table("numbers")
def test_texts_too_long_for_their_frames_are_reported(tmp_path, caplog, record_property):
    recipe = Recipe(tmp_path)

    def crowd(examples):
        first = next(example for example in examples if example.text)
        noise = 0.1 * np.random.default_rng(0).standard_normal(700)  # one frame
        soundfile.write(first.wav, noise, 16000)
        changed = replace(first, num_samples=700, sha256=file_sha256(first.wav))
        return [changed if example.utt == first.utt else example for example in examples]

    change_data(recipe, "train", crowd)
    with caplog.at_level("WARNING"):
        recipe.train("ser", system="mtl_asr")
    lines = [record.message for record in caplog.records if "more tokens than CTC can place" in record.message]
    assert len(lines) == 1
    assert lines[0].startswith("1 of 16 training utterances have more tokens")
    record_property("shown", lines[0])
