"""SERTask and its trainer on tiny data: both finetunings, loaded as the recipe loads them."""

import json
import math

import pytest
import torch
from tiny_recipe import CONF, SYSTEM, refused, run

from espnet_ser.data.datadir import read_datadir
from espnet_ser.data.tokens import CharTokenizer
from espnet_ser.evaluation.metrics import score, unweighted_accuracy
from espnet_ser.evaluation.predictions import read_predictions
from espnet_ser.inference.predict import predict
from espnet_ser.model_io.load import load_model
from espnet_ser.tasks.ser import SERTask
from espnet_ser.train.epoch_files import save_whole
from espnet_ser.train.history import read_history
from espnet_ser.train.trainer import SERTrainer


def test_stage_two_starts_from_stage_one_and_leaves_the_lower_layers_alone(trained):
    intermediate, _ = trained.model("stage1/asr_gender_skip")
    ser, args = trained.model(SYSTEM)
    before, after = intermediate.state_dict(), ser.state_dict()
    changed = {name for name in after if name in before and not torch.equal(before[name], after[name])}
    assert changed
    assert all(name.startswith(tuple(f"encoder.wav2vec2.encoder.layers.{i}." for i in range(2, 6))) for name in changed)
    assert args.trainable_layers == 4
    assert ser.tasks == ["emotion"]


def test_stage_one_trained_the_whole_transformer_and_not_the_cnn(trained):
    from safetensors.torch import load_file

    pretrained = load_file(trained.encoder / "model.safetensors")
    intermediate = trained.model("stage1/asr_gender_skip")[0].encoder.wav2vec2.state_dict()
    shared = pretrained.keys() & intermediate.keys()
    unchanged = {name for name in shared if torch.equal(pretrained[name], intermediate[name])}
    assert {name for name in shared if name.startswith("feature_extractor.")} <= unchanged
    assert not {name for name in unchanged if name.startswith("encoder.layers.")}


def test_scores_of_an_epoch_are_exact_and_not_means_over_batches(trained):
    model, args = trained.model(SYSTEM)
    lines = predict(model, read_datadir(trained.datadir / "fold1" / "test"), args.labels)
    last = read_history(trained.root / "exp" / SYSTEM / "fold1")[-1]
    assert last["epoch"] == last["max_epoch"] == 2
    expected = unweighted_accuracy([line["emotion"]["ref"] for line in lines], [line["emotion"]["hyp"] for line in lines])
    assert last["valid"]["ua"] == pytest.approx(expected)
    assert {"wer", "gender_ua", "loss_asr"} <= set(read_history(trained.root / "exp/stage1/asr_gender_skip/fold1")[-1]["valid"])


def test_predictions_do_not_depend_on_the_batch_size(trained):
    model, args = trained.model(SYSTEM)
    test = read_datadir(trained.datadir / "fold1" / "test")
    one, all_together = predict(model, test, args.labels, batch_bins=1), predict(model, test, args.labels)
    for a, b in zip(one, all_together, strict=True):
        assert a["utt"] == b["utt"]
        assert a["emotion"]["scores"] == pytest.approx(b["emotion"]["scores"], abs=1e-5)


def test_predictions_hold_what_either_stage_can_tell(trained):
    lines = read_predictions(trained.root / "exp" / SYSTEM / "fold1" / "predictions_last.jsonl")
    assert [line["utt"] for line in lines] == sorted(e.utt for e in read_datadir(trained.datadir / "fold1" / "test"))
    for line in lines:
        scores = line["emotion"]["scores"]
        assert sum(scores.values()) == pytest.approx(1, abs=1e-5)
        assert line["emotion"]["hyp"] == max(scores, key=scores.get)
        assert line["gender"]["ref"] in "fm"
        assert isinstance(line["asr"]["hyp"], str)
        assert line["from_stage1"] == ["asr", "gender"]
    assert score(lines)["n"] == 8


def test_a_finished_training_is_not_run_again(trained, capsys):
    folder = trained.root / "exp" / SYSTEM / "fold1"
    before = {path.name: path.stat().st_mtime_ns for path in folder.iterdir()}
    trained.train("ser")
    trained.select()
    assert capsys.readouterr().out.count("up to date") == 2
    assert before == {path.name: path.stat().st_mtime_ns for path in folder.iterdir()}


def test_a_model_is_rebuilt_from_its_folder_alone(trained, tmp_path):
    folder = tmp_path / "moved"
    (trained.root / "exp" / SYSTEM / "fold1").rename(folder)
    encoder = trained.encoder.rename(tmp_path / "gone")
    try:
        model, _ = load_model(folder)
        assert model.logits(torch.zeros(1, 8000), torch.tensor([8000]))["emotion"].shape == (1, 4)
    finally:
        encoder.rename(trained.encoder)
        folder.rename(trained.root / "exp" / SYSTEM / "fold1")


def test_espnets_own_way_of_building_a_model_works(trained):
    folder = trained.root / "exp" / SYSTEM / "fold1"
    model, args = SERTask.build_model_from_file(folder / "config.yaml", folder / "latest.pth")
    ours, _ = load_model(folder)
    assert all(torch.equal(tensor, ours.state_dict()[name]) for name, tensor in model.state_dict().items())
    assert "emotion" in args.labels


def test_an_interrupted_training_goes_on_and_ends_as_an_unbroken_one(recipe):
    recipe.train("stage1")
    whole = recipe.model("stage1/asr_gender_skip")[0].state_dict()
    folder = recipe.root / "exp/stage1/asr_gender_skip/fold1"
    folder.rename(recipe.root / "whole")

    class Killed(BaseException):
        pass

    report, epochs = SERTrainer._report.__func__, []

    def killed_in_epoch_two(cls, epoch, *more):
        epochs.append(epoch)
        if epochs == [1, 2]:
            raise Killed
        report(cls, epoch, *more)

    original = SERTrainer._report
    SERTrainer._report = classmethod(killed_in_epoch_two)
    try:
        with pytest.raises(Killed):
            recipe.train("stage1", "--save_every_min", "0")
        assert not (folder / "done.json").exists()
        recipe.train("stage1")
    finally:
        SERTrainer._report = original
    assert epochs == [1, 2, 2]
    resumed = recipe.model("stage1/asr_gender_skip")[0].state_dict()
    assert all(torch.equal(whole[name], resumed[name]) for name in whole)


def test_other_inputs_train_anew_and_lose_nothing(recipe, capsys):
    recipe.train("stage1", "--args", "--max_epoch 1")
    recipe.train("stage1", "--args", "--max_epoch 1", "--seed", "7")
    assert "seed: 0 -> 7" in capsys.readouterr().out
    folder = recipe.root / "exp/stage1/asr_gender_skip"
    assert sorted(path.name for path in folder.glob("[!.]*")) == ["fold1", "fold1.superseded-1"]
    assert load_model(folder / "fold1.superseded-1")[1].seed == 0
    # What was trained once is found again by what went into it.
    before = (folder / "fold1.superseded-1" / "done.json").stat().st_mtime_ns
    recipe.train("stage1", "--args", "--max_epoch 1")
    assert "moved back" in capsys.readouterr().out
    assert load_model(folder / "fold1")[1].seed == 0
    assert (folder / "fold1" / "done.json").stat().st_mtime_ns == before
    assert load_model(folder / "fold1.superseded-2")[1].seed == 7


@pytest.mark.parametrize(
    ("system", "scores"),
    [
        ("stl_n0", {"ua", "wa"}),
        ("mtl_asr_gender_style", {"ua", "wa", "wer", "cer", "gender_ua", "style_ua"}),
        ("asr_gender_skip__ser_gender", {"ua", "wa", "gender_ua"}),
        ("asr__ser_asr", {"ua", "wa", "wer", "cer"}),
        ("adv_gender", {"ua", "wa", "gender_ua"}),
        ("cnn_lstm", {"ua", "wa"}),
        ("mtl_asr_pcgrad", {"ua", "wa", "wer", "cer"}),
    ],
)
def test_other_kinds_of_systems_train_and_predict(recipe, system, scores):
    if "__" in system:
        recipe.train("stage1", "--args", "--max_epoch 1", system=system)
    recipe.train("ser", "--args", "--max_epoch 1", system=system)
    recipe.select(system=system)
    last = read_history(recipe.root / "exp" / system / "fold1")[-1]
    assert {name for name in last["valid"] if not name.startswith("loss")} == scores
    lines = read_predictions(recipe.root / "exp" / system / "fold1" / "predictions_last.jsonl")
    told = {name for name, value in score(lines).items() if value is not None and name != "n"}
    assert told == scores | (
        {"wer", "cer"} if system.startswith("asr") else set()
    )  # the intermediate model predicts what this one does not


OF_ONE_STAGE = ("mask_time_prob=0", "apply_spec_augment=false", "layerdrop=0.5", "hidden_dropout=0.3", "mask_time_prob=0.5")


@pytest.mark.parametrize("setting", OF_ONE_STAGE)
def test_either_stage_may_be_trained_in_its_own_way(recipe, setting):
    """What only training reads, changed in one stage, changes nothing of the other one's model."""
    for number, finetuning in ((1, "stage1"), (2, "ser")):
        tags = ("--tag", str(number), "--stage1_tag", str(number))
        more = (
            *tags,
            {"stage1": "--stage1_args", "ser": "--stage2_args"}[finetuning],
            f"--max_epoch 1 --encoder_conf {setting}",
        )
        recipe.train("stage1", *more)
        recipe.train("ser", *more)
        (intermediate, _), (ser, args) = (
            recipe.model(f"stage1/asr_gender_skip_{number}"),
            recipe.model(f"{SYSTEM}_{number}"),
        )
        assert len(args.encoder_conf) == (number == 2)
        theirs = intermediate.encoder.wav2vec2.masked_spec_embed
        assert torch.equal(ser.encoder.wav2vec2.masked_spec_embed, theirs)
        assert theirs.requires_grad == (number == 2 or setting not in OF_ONE_STAGE[:2])


def test_another_encoder_in_stage_one_is_stage_twos_as_well(recipe):
    shallow = "--encoder_conf num_hidden_layers=5 --encoder_conf num_attention_heads=2 --trainable_layers 5"
    more = ("--stage1_args", f"--max_epoch 1 {shallow}", "--stage2_args", "--max_epoch 1")
    recipe.train("stage1", *more)
    recipe.train("ser", *more)
    config = recipe.model(SYSTEM)[0].encoder.wav2vec2.config
    assert (config.num_hidden_layers, config.num_attention_heads) == (5, 2)


@pytest.mark.parametrize(
    ("system", "stage1_args", "stage2_args", "message"),
    [
        (
            SYSTEM,
            "--encoder_conf num_hidden_layers=3 --trainable_layers 3",
            "",
            "trainable_layers must be 0 to 3 for this encoder, not 4",
        ),
        (SYSTEM, "", "--encoder_conf num_hidden_layers=4", "the intermediate model has num_hidden_layers 6"),
        (SYSTEM, "", "--encoder_conf num_attention_heads=2", "the intermediate model has num_attention_heads 4"),
        (SYSTEM, "", "--encoder_conf hidden_act=relu", "the intermediate model has hidden_act gelu"),
        (SYSTEM, "", "--encoder_conf masks=3", "unknown key of encoder_conf 'masks'"),
        ("asr_gender_skip__ser_gender", "--skip_layer none", "", "which has skip_layer None; give both finetunings the same"),
        ("asr_gender_skip__ser_gender", "--skip_layer 3", "", "which has skip_layer 3; give both finetunings the same"),
        (SYSTEM, "", "--scheduler_conf warmup=3 --scheduler warmuplr", "unknown key of scheduler_conf 'warmup'"),
        (SYSTEM, "", "--max_epoch 0", "--max_epoch must be a whole number from 1"),
    ],
)
def test_what_stage_two_would_refuse_is_refused_before_stage_one_is_trained(
    recipe, capsys, system, stage1_args, stage2_args, message
):
    more = (f"--stage1_args={stage1_args}", f"--stage2_args={stage2_args}")
    found = refused(capsys, "stage1", *more, call=lambda *args: recipe.train(*args, system=system))
    assert message in found
    assert "stage 4, which goes on from this: " in found
    assert not (recipe.root / "exp").exists()


def test_the_papers_configurations_train_as_they_are(recipe):
    configs = ("--stage1_config", CONF / "train_stage1.yaml", "--stage2_config", CONF / "train_ser.yaml")
    more = (*configs, "--args", "--max_epoch 5 --batch_size 2 --num_workers 0")
    recipe.train("stage1", *more)
    recipe.train("ser", *more)
    for name in ("stage1/asr_gender_skip", SYSTEM):
        history = read_history(recipe.root / "exp" / name / "fold1")
        # 8 batches in each of five epochs: of 40 steps the first four are the rise, and each step's rate is kept with the last.
        rates = [record["train"]["optim0_lr0"] for record in history]
        assert rates == pytest.approx([(0.505e-4 + 0.7525e-4 + 6e-4) / 8] + [1e-4] * 4)
        assert all(math.isfinite(record["train"]["loss"]) for record in history)


def test_another_scheduler_has_none_of_the_configurations_settings(recipe):
    configs = ("--stage2_config", CONF / "train_ser.yaml")
    for tag, options, conf in (
        ("a", "--scheduler warmuplr --scheduler_conf warmup_steps=3", {"warmup_steps": 3}),
        ("b", "--scheduler none", {}),
        ("c", "--scheduler_conf warmup_ratio=0.2 --scheduler_conf hold_ratio=0.8", {"warmup_ratio": 0.2, "max_steps": 4}),
    ):
        recipe.train("ser", *configs, "--tag", tag, "--args", f"--max_epoch 1 --batch_size 4 {options}", system="stl_n0")
        args = recipe.model(f"stl_n0_{tag}")[1]
        assert conf.items() <= args.scheduler_conf.items()
        assert (args.scheduler_conf == conf) == (tag != "c")


def test_hypotheses_that_are_all_empty_are_reported(recipe, caplog, monkeypatch):
    caplog.set_level("INFO")
    for words, silent in (("", True), ("YES", False)):
        monkeypatch.setattr(CharTokenizer, "ids_to_text", lambda self, ids, words=words: words)
        caplog.clear()
        recipe.train("ser", "--args", "--max_epoch 1", "--tag", str(silent), system="mtl_asr")
        assert read_history(recipe.root / f"exp/mtl_asr_{silent}/fold1")[-1].get("silent", False) is silent
        assert ("every held-out hypothesis is empty" in caplog.text) is silent


def test_weights_are_written_whole_or_not_at_all(tmp_path, monkeypatch):
    path = tmp_path / "weights.pth"
    save_whole({"a": torch.zeros(1)}, path)
    before = path.read_bytes()
    monkeypatch.setattr(
        torch.serialization, "_save", lambda *a, **k: (_ for _ in ()).throw(RuntimeError("PytorchStreamWriter failed"))
    )
    with pytest.raises(OSError, match="No space left"):
        save_whole({"a": torch.ones(1)}, path)
    assert path.read_bytes() == before
    assert [p.name for p in tmp_path.iterdir()] == ["weights.pth"]


def test_scores_are_of_the_whole_fold_and_of_one_system(trained, capsys):
    options = ("--system", SYSTEM, "--conf", CONF, "--datadir", trained.datadir, "--expdir", trained.root / "exp")
    run("score", *options)
    assert "| **mean" in capsys.readouterr().out
    results = json.loads((trained.root / "exp" / SYSTEM / "results.json").read_text())
    assert results["folds"]["1"]["n"] == 8
    path = trained.root / "exp" / SYSTEM / "fold1" / "predictions_last.jsonl"
    content = path.read_text()
    path.write_text("".join(content.splitlines(keepends=True)[:5]))
    try:
        assert "changed since it was written; run stage 5 again" in refused(capsys, "score", *options, call=run)
    finally:
        path.write_text(content)


def test_default_configuration_stands_alone():
    config = SERTask.get_default_config()
    assert config["tasks"] == ["emotion"]
    assert config["best_model_criterion"] == []
    json.dumps(config)


@pytest.mark.long
def test_compiled_layers_train_as_others_do(recipe, monkeypatch):
    compiled = []
    compile_layer = torch.nn.Module.compile

    def compile_without_generating_code(layer, **options):
        compiled.append(layer)
        compile_layer(layer, **options, backend="aot_eager")

    monkeypatch.setattr(torch.nn.Module, "compile", compile_without_generating_code)
    recipe.train("ser", "--tag", "plain", system="stl")
    recipe.train("ser", "--tag", "compiled", "--args", "--compile true", system="stl")
    assert len(compiled) == 6
    plain, of_compiled = (read_history(recipe.root / "exp" / f"stl_{tag}" / "fold1") for tag in ("plain", "compiled"))
    for one, other in zip(plain, of_compiled, strict=True):
        assert one["train"]["loss"] == pytest.approx(other["train"]["loss"], abs=1e-3)
    assert load_model(recipe.root / "exp" / "stl_compiled" / "fold1")[0].tasks == ["emotion"]


def test_what_is_frozen_is_written_once(recipe):
    for system, trained in (("stl_n0", "heads."), ("stl_n8", ("heads.", "encoder.wav2vec2.encoder.layers."))):
        recipe.train("ser", system=system)
        folder = recipe.root / "exp" / system / "fold1"
        every, frozen = (torch.load(folder / name, weights_only=True) for name in ("2epoch.pth", "frozen.pth"))
        assert every
        assert all(name.startswith(trained) for name in every)
        assert frozen.keys().isdisjoint(every)
        assert frozen.keys() | every.keys() == load_model(folder)[0].state_dict().keys()


def test_a_model_whose_frozen_part_was_changed_is_no_longer_what_was_trained(recipe, capsys):
    recipe.train("stage1")
    frozen = recipe.root / "exp/stage1/asr_gender_skip/fold1/frozen.pth"
    weights = torch.load(frozen, weights_only=True)
    torch.save({name: tensor + 1 for name, tensor in weights.items()}, frozen)
    assert "output frozen.pth: changed since it was written" in refused(capsys, "ser", call=recipe.train)
    frozen.unlink()
    assert "frozen.pth is missing" in refused(capsys, "ser", call=recipe.train)
