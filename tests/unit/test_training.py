"""SERTask and its trainer on tiny data: both stages, loaded as the recipe loads them."""

import json

import pytest
import torch
from tiny_recipe import CONF, SYSTEM, refused, run

from espnet_ser.data.datadir import read_datadir
from espnet_ser.epoch_files import save_whole
from espnet_ser.history import read_history
from espnet_ser.inference import load_model, predict
from espnet_ser.predictions import read_predictions
from espnet_ser.scoring import score, unweighted_accuracy
from espnet_ser.tasks.ser import SERTask
from espnet_ser.trainer import SERTrainer


def test_stage_two_starts_from_stage_one_and_leaves_the_lower_layers_alone(trained):
    stage1, _ = trained.model("stage1/asr_gender_skip")
    ser, args = trained.model(SYSTEM)
    before, after = stage1.state_dict(), ser.state_dict()
    changed = {name for name in after if name in before and not torch.equal(before[name], after[name])}
    assert changed
    assert all(name.startswith(tuple(f"encoder.wav2vec2.encoder.layers.{i}." for i in range(2, 6))) for name in changed)
    assert args.trainable_layers == 4
    assert ser.tasks == ["emotion"]


def test_stage_one_trained_the_whole_transformer_and_not_the_cnn(trained):
    from safetensors.torch import load_file

    pretrained = load_file(trained.encoder / "model.safetensors")
    stage1 = trained.model("stage1/asr_gender_skip")[0].encoder.wav2vec2.state_dict()
    shared = pretrained.keys() & stage1.keys()
    unchanged = {name for name in shared if torch.equal(pretrained[name], stage1[name])}
    assert {name for name in shared if name.startswith("feature_extractor.")} <= unchanged
    assert not {name for name in unchanged if name.startswith("encoder.layers.")}


def test_scores_of_an_epoch_are_exact_and_not_means_over_batches(trained):
    model, args = trained.model(SYSTEM)
    lines = predict(model, read_datadir(trained.datadir / "fold1" / "test"), args.labels)
    last = read_history(trained.root / "exp" / SYSTEM / "fold1")[-1]
    assert last["epoch"] == last["max_epoch"] == 2
    expected = unweighted_accuracy([line["ref"] for line in lines], [line["hyp"] for line in lines])
    assert last["valid"]["ua"] == pytest.approx(expected)
    assert {"wer", "gender_ua", "loss_asr"} <= set(read_history(trained.root / "exp/stage1/asr_gender_skip/fold1")[-1]["valid"])


def test_predictions_do_not_depend_on_the_batch_size(trained):
    model, args = trained.model(SYSTEM)
    test = read_datadir(trained.datadir / "fold1" / "test")
    one, all_together = predict(model, test, args.labels, batch_bins=1), predict(model, test, args.labels)
    for a, b in zip(one, all_together, strict=True):
        assert a["utt"] == b["utt"]
        assert a["scores"] == pytest.approx(b["scores"], abs=1e-5)


def test_predictions_hold_what_either_stage_can_tell(trained):
    lines = read_predictions(trained.root / "exp" / SYSTEM / "fold1" / "predictions_last.jsonl")
    assert [line["utt"] for line in lines] == sorted(e.utt for e in read_datadir(trained.datadir / "fold1" / "test"))
    for line in lines:
        assert sum(line["scores"].values()) == pytest.approx(1, abs=1e-5)
        assert line["hyp"] == max(line["scores"], key=line["scores"].get)
        assert line["gender"]["ref"] in "fm"
        assert isinstance(line["text_hyp"], str)
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

    def killed_in_epoch_two(cls, epoch, valid, options):
        epochs.append(epoch)
        if epochs == [1, 2]:
            raise Killed
        report(cls, epoch, valid, options)

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
        ("mtl_asr_gender_style", {"ua", "wa", "wer", "gender_ua", "style_ua"}),
        ("asr_gender_skip__ser_gender", {"ua", "wa", "gender_ua"}),
        ("asr__ser_asr", {"ua", "wa", "wer"}),
        ("adv_gender", {"ua", "wa", "gender_ua"}),
        ("cnn_lstm", {"ua", "wa"}),
        ("mtl_asr_pcgrad", {"ua", "wa", "wer"}),
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
    assert told == scores | ({"wer"} if system.startswith("asr") else set())  # stage 1 tells what this stage does not


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
