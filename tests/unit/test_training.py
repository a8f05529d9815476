"""SERTask and its trainer on tiny data: both stages, loaded as the recipe loads them."""

import json
from pathlib import Path

import pytest
import torch
import yaml
from tiny import save_encoder, write_fold

from espnet_ser.bin import main as commands
from espnet_ser.data.datadir import read_datadir
from espnet_ser.errors import InputError
from espnet_ser.history import read_history
from espnet_ser.inference import load_model, predict
from espnet_ser.predictions import read_predictions
from espnet_ser.scoring import score, unweighted_accuracy
from espnet_ser.stamp import file_sha256
from espnet_ser.tasks.ser import SERTask
from espnet_ser.trainer import atomic_torch_save

CONF = Path(__file__).parents[2] / "conf"
SYSTEM = "asr_gender_skip__ser"


def run(*argv):
    commands.main([str(argument) for argument in argv])


class Recipe:
    """A recipe's folders with one fold, up to stage 2."""

    def __init__(self, root, test_session="1"):
        self.root = root
        self.datadir = write_fold(root, test_session)
        self.encoder = save_encoder(root / "encoder")
        self.config = root / "train.yaml"
        self.config.write_text(
            yaml.safe_dump({"max_epoch": 2, "batch_size": 4, "optim": "adamw", "optim_conf": {"lr": 1e-3}, "num_workers": 0})
        )
        run("tokens", "--datadir", self.datadir, "--dumpdir", root / "dump")

    def train(self, stage, *more, system=SYSTEM):
        options = ("--system", system, "--conf", CONF, "--datadir", self.datadir, "--expdir", self.root / "exp")
        dump = ("--dumpdir", self.root / "dump", "--config", self.config, "--ssl", self.encoder)
        run("train", "--stage", stage, *options, *dump, *more)

    def infer(self, system=SYSTEM):
        run("infer", "--system", system, "--conf", CONF, "--datadir", self.datadir, "--expdir", self.root / "exp")


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    """Both stages of the default system, trained, with predictions."""
    recipe = Recipe(tmp_path_factory.mktemp("recipe"))
    recipe.train("stage1")
    recipe.train("ser")
    recipe.infer()
    return recipe


@pytest.fixture
def recipe(tmp_path):
    return Recipe(tmp_path)


def model_of(recipe, name):
    return load_model(recipe.root / "exp" / name / "fold1")


def test_stage_two_starts_from_stage_one_and_leaves_the_lower_layers_alone(trained):
    stage1, _ = model_of(trained, "stage1/asr_gender_skip")
    ser, args = model_of(trained, SYSTEM)
    before, after = stage1.state_dict(), ser.state_dict()
    changed = {name for name in after if name in before and not torch.equal(before[name], after[name])}
    assert changed
    assert all(name.startswith(tuple(f"encoder.wav2vec2.encoder.layers.{i}." for i in range(2, 6))) for name in changed)
    assert args.trainable_layers == 4
    assert ser.tasks == ["emotion"]


def test_stage_one_trained_the_whole_transformer_and_not_the_cnn(trained):
    from safetensors.torch import load_file

    pretrained = load_file(trained.encoder / "model.safetensors")
    stage1 = model_of(trained, "stage1/asr_gender_skip")[0].encoder.wav2vec2.state_dict()
    shared = pretrained.keys() & stage1.keys()
    unchanged = {name for name in shared if torch.equal(pretrained[name], stage1[name])}
    assert {name for name in shared if name.startswith("feature_extractor.")} <= unchanged
    assert not {name for name in unchanged if name.startswith("encoder.layers.")}


def test_scores_of_an_epoch_are_exact_and_not_means_over_batches(trained):
    model, args = model_of(trained, SYSTEM)
    lines = predict(model, read_datadir(trained.datadir / "fold1" / "test"), args.labels)
    last = read_history(trained.root / "exp" / SYSTEM / "fold1")[-1]
    assert last["epoch"] == last["max_epoch"] == 2
    expected = unweighted_accuracy([line["ref"] for line in lines], [line["hyp"] for line in lines])
    assert last["valid"]["ua"] == pytest.approx(expected)
    assert {"wer", "gender_ua", "loss_asr"} <= set(read_history(trained.root / "exp/stage1/asr_gender_skip/fold1")[-1]["valid"])


def test_predictions_do_not_depend_on_the_batch_size(trained):
    model, args = model_of(trained, SYSTEM)
    test = read_datadir(trained.datadir / "fold1" / "test")
    one, all_together = predict(model, test, args.labels, batch_size=1), predict(model, test, args.labels, batch_size=64)
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
    trained.infer()
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
    whole = model_of(recipe, "stage1/asr_gender_skip")[0].state_dict()
    folder = recipe.root / "exp/stage1/asr_gender_skip/fold1"
    folder.rename(recipe.root / "whole")
    from espnet_ser.trainer import SERTrainer

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
            recipe.train("stage1")
        assert not (folder / "done.json").exists()
        recipe.train("stage1")
    finally:
        SERTrainer._report = original
    assert epochs == [1, 2, 2]
    resumed = model_of(recipe, "stage1/asr_gender_skip")[0].state_dict()
    assert all(torch.equal(whole[name], resumed[name]) for name in whole)


def test_other_inputs_train_anew_and_lose_nothing(recipe, capsys):
    recipe.train("stage1", "--args", "--max_epoch 1")
    recipe.train("stage1", "--args", "--max_epoch 1", "--seed", "7")
    assert "seed: 0 -> 7" in capsys.readouterr().out
    folder = recipe.root / "exp/stage1/asr_gender_skip"
    assert sorted(path.name for path in folder.glob("[!.]*")) == ["fold1", "fold1.superseded-1"]
    assert load_model(folder / "fold1.superseded-1")[1].seed == 0


def refused(capsys, *arguments, call):
    with pytest.raises(SystemExit) as error:
        call(*arguments)
    message = str(error.value.code)
    assert message.startswith("espnet-ser "), message
    assert "\n" not in message
    return message


def test_stage_one_model_of_another_fold_is_refused(trained, tmp_path, capsys):
    """The stage-1 model heard session 1's rivals; a fold that tests on session 2 must not use it."""
    other = Recipe(tmp_path, test_session="2")
    stage1 = other.root / "exp/stage1/asr_gender_skip"
    stage1.mkdir(parents=True)
    import shutil

    shutil.copytree(trained.root / "exp/stage1/asr_gender_skip/fold1", stage1 / "fold1")
    message = refused(capsys, "ser", call=other.train)
    assert "was trained on session 2, which this fold holds out" in message
    assert not (other.root / "exp" / SYSTEM / "fold1" / "done.json").exists()


def test_a_model_that_heard_the_test_data_makes_no_predictions(trained, capsys):
    folder = trained.root / "exp" / SYSTEM / "fold1"
    config, done = (folder / "config.yaml").read_text(), (folder / "done.json").read_text()
    tampered = yaml.safe_load(config)
    tampered["trained_on"]["sessions"].append("1")
    (folder / "config.yaml").write_text(yaml.safe_dump(tampered))
    try:
        assert "output config.yaml: changed since it was written; run stage 4 again" in refused(capsys, call=trained.infer)
        stamp = json.loads(done)
        path = folder / "config.yaml"
        stamp["outputs"]["config.yaml"] = {"size": path.stat().st_size, "sha256": file_sha256(path)}
        (folder / "done.json").write_text(json.dumps(stamp))
        assert "was trained on session 1" in refused(capsys, call=trained.infer)
    finally:
        (folder / "config.yaml").write_text(config)
        (folder / "done.json").write_text(done)


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


def test_training_data_that_holds_the_test_session_is_refused(recipe, capsys):
    fold = recipe.datadir / "fold1"
    import shutil

    shutil.rmtree(fold / "test")
    shutil.copytree(fold / "train", fold / "test")
    assert "was trained on session 2, 3" in refused(capsys, "stage1", call=recipe.train)


def test_a_stage_before_its_time_names_the_one_it_needs(recipe, capsys):
    assert "run stage 3" in refused(capsys, "ser", call=recipe.train)
    assert "run stage 4" in refused(capsys, call=recipe.infer)
    import shutil

    shutil.rmtree(recipe.root / "dump")
    assert "run stage 2" in refused(capsys, "stage1", call=recipe.train)
    shutil.rmtree(recipe.datadir)
    assert "run stage 1" in refused(capsys, "stage1", call=recipe.train)
    assert not (recipe.root / "exp").exists()


@pytest.mark.parametrize(
    ("system", "scores"),
    [
        ("stl_n0", {"ua", "wa"}),
        ("mtl_asr_gender_style", {"ua", "wa", "wer", "gender_ua", "style_ua"}),
        ("asr_gender_skip__ser_gender", {"ua", "wa", "gender_ua"}),
        ("asr__ser_asr", {"ua", "wa", "wer"}),
    ],
)
def test_other_kinds_of_systems_train_and_predict(recipe, system, scores):
    if "__" in system:
        recipe.train("stage1", "--args", "--max_epoch 1", system=system)
    recipe.train("ser", "--args", "--max_epoch 1", system=system)
    recipe.infer(system=system)
    last = read_history(recipe.root / "exp" / system / "fold1")[-1]
    assert {name for name in last["valid"] if not name.startswith("loss")} == scores
    lines = read_predictions(recipe.root / "exp" / system / "fold1" / "predictions_last.jsonl")
    told = {name for name, value in score(lines).items() if value is not None and name != "n"}
    assert told == scores | ({"wer"} if system.startswith("asr") else set())  # stage 1 tells what this stage does not


def test_a_kill_between_the_last_checkpoint_and_the_last_weights_loses_nothing(recipe):
    recipe.train("stage1")
    folder = recipe.root / "exp/stage1/asr_gender_skip/fold1"
    whole = load_model(folder)[0].state_dict()
    (folder / "done.json").unlink()
    (folder / "2epoch.pth").rename(folder / "1epoch.pth")
    (folder / "latest.pth").unlink()
    (folder / "latest.pth").symlink_to("1epoch.pth")
    torch.save({name: tensor * 0 for name, tensor in whole.items()}, folder / "1epoch.pth")
    recipe.train("stage1")
    assert all(torch.equal(tensor, whole[name]) for name, tensor in load_model(folder)[0].state_dict().items())


def test_a_damaged_checkpoint_says_what_to_do(recipe, capsys):
    recipe.train("stage1")
    folder = recipe.root / "exp/stage1/asr_gender_skip/fold1"
    (folder / "done.json").unlink()
    (folder / "checkpoint.pth").write_bytes((folder / "checkpoint.pth").read_bytes()[:1000])
    assert "checkpoint.pth is damaged" in refused(capsys, "stage1", call=recipe.train)
    (folder / "checkpoint.pth").unlink()
    recipe.train("stage1")
    assert (folder / "done.json").exists()


def test_weights_are_written_whole_or_not_at_all(tmp_path, monkeypatch):
    path = tmp_path / "weights.pth"
    with atomic_torch_save():
        torch.save({"a": torch.zeros(1)}, path)
        before = path.read_bytes()
        monkeypatch.setattr(
            torch.serialization, "_save", lambda *a, **k: (_ for _ in ()).throw(RuntimeError("PytorchStreamWriter failed"))
        )
        with pytest.raises(OSError, match="No space left"):
            torch.save({"a": torch.ones(1)}, path)
    assert path.read_bytes() == before
    assert [p.name for p in tmp_path.iterdir()] == ["weights.pth"]


def test_a_mistyped_option_leaves_the_finished_model_where_it_is(trained, capsys):
    folder = trained.root / "exp" / SYSTEM
    for wrong in ("--batch_sizes 3", "--tasks emotion agr", "--optim_conf lrr=1", "--max_epoch 0"):
        refused(capsys, "ser", "--args", wrong, call=trained.train)
    assert [path.name for path in folder.glob("fold*")] == ["fold1"]
    assert (folder / "fold1" / "done.json").exists()


def test_stage_two_with_another_encoder_than_stage_one_is_refused(trained, tmp_path, capsys):
    other = save_encoder(tmp_path / "other", seed=5)
    message = refused(capsys, "ser", "--ssl", other, call=trained.train)
    assert "was trained from another encoder" in message


def test_predictions_do_not_mix_models(recipe, capsys):
    recipe.train("stage1", "--args", "--max_epoch 1")
    recipe.train("ser", "--args", "--max_epoch 1")
    recipe.train("stage1", "--args", "--max_epoch 1", "--seed", "3")
    assert "another stage-1 model than is here now: run stage 4 again" in refused(capsys, call=recipe.infer)


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


def test_a_fold_that_is_being_trained_is_not_trained_twice(recipe, capsys):
    import fcntl

    folder = recipe.root / "exp/stage1/asr_gender_skip"
    folder.mkdir(parents=True)
    with open(folder / ".fold1.lock", "a") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        assert "another run is training here" in refused(capsys, "stage1", call=recipe.train)
    assert not (folder / "fold1").exists()


@pytest.mark.parametrize(
    "option",
    ["--patience 1", "--scheduler reducelronplateau", "--init_param x.pth:encoder:encoder"],
)
def test_nothing_lets_the_held_out_fold_choose_or_loads_unchecked(recipe, capsys, option):
    assert option.split()[0] in refused(capsys, "stage1", "--args", option, call=recipe.train)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("stage1", "--args", "--optim_conf lrr=0.1"), "unknown key of optim_conf 'lrr' (did you mean 'lr'?)"),
        (("stage1", "--args", "--freeze_param encodr"), "--freeze_param encodr: no parameter is called so"),
        (("stage1", "--args", "--output_dir x"), "--output_dir is set by the recipe"),
        (("stage1", "--args", "--max_epo 1"), "unknown ESPnet option '--max_epo'"),
        (("stage1", "--args", "--batch_size 0"), "--batch_size must be a whole number from 1"),
        (("stage1", "--args", "--max_epoch x"), "max_epoch"),
        (("stage1", "--args", "--dropout 2"), "--dropout must be 0 to 1"),
        (("stage1", "--args", "--max_epochs 2"), "unknown ESPnet option '--max_epochs' (did you mean '--max_epoch'?)"),
        (("stage1", "--args", "--tasks emotion agr"), "unknown task 'agr'"),
        (("stage1", "--args", "--trainable_layers 9"), "trainable_layers must be 0 to 6"),
        (("stage1", "--args", "--encoder_conf hidden_dropuot=0.1"), "did you mean 'hidden_dropout'"),
        (("stage1", "--folds", "2"), "unknown fold '2'"),
        (("stage1", "--args", "'"), "No closing quotation"),
    ],
)
def test_wrong_options_are_one_clear_line(recipe, capsys, arguments, message):
    assert message in refused(capsys, *arguments, call=recipe.train)


def test_an_unknown_key_in_the_configuration_gets_the_nearest_name(recipe, capsys):
    recipe.config.write_text("max_epoch: 2\nbatch_szie: 4\n")
    assert "train.yaml: unknown option 'batch_szie' (did you mean 'batch_size'?)" in refused(
        capsys, "stage1", call=recipe.train
    )
    recipe.config.write_text("optim: adamz\n")
    assert "unknown optim 'adamz' (did you mean 'adam'?)" in refused(capsys, "stage1", call=recipe.train)
    recipe.config.write_text("max_epoch: [")
    assert "train.yaml: not YAML" in refused(capsys, "stage1", call=recipe.train)


def test_numbers_may_be_written_as_people_write_them(recipe, capsys):
    recipe.config.write_text(recipe.config.read_text() + "grad_clip: .inf\n")
    for _ in range(2):
        recipe.train("stage1", "--args", "--max_epoch 1 --optim_conf lr=5e-5")
    args = load_model(recipe.root / "exp/stage1/asr_gender_skip/fold1")[1]
    assert args.optim_conf["lr"] == 5e-5
    assert args.grad_clip == float("inf")
    assert capsys.readouterr().out.count("up to date") == 1


def test_a_training_that_blows_up_is_not_taken_for_finished(recipe, capsys):
    message = refused(capsys, "stage1", "--args", "--optim_conf lr=1e20 --max_epoch 4", call=recipe.train)
    assert "its gradients infinite or NaN" in message
    assert not (recipe.root / "exp/stage1/asr_gender_skip/fold1/done.json").exists()


@pytest.mark.parametrize("num_workers", [0, 2])
def test_audio_that_vanished_is_one_line_from_whichever_process_reads_it(recipe, capsys, num_workers):
    wav = read_datadir(recipe.datadir / "fold1" / "train")[0].wav
    wav.unlink()
    message = refused(capsys, "stage1", "--args", f"--num_workers {num_workers}", call=recipe.train)
    assert message.endswith(f"{wav}: no such file; check the path")


def test_default_configuration_stands_alone():
    config = SERTask.get_default_config()
    assert config["tasks"] == ["emotion"]
    assert config["best_model_criterion"] == []
    json.dumps(config)


def test_missing_model_folder_is_one_clear_line(tmp_path):
    with pytest.raises(InputError, match=r"config\.yaml is missing"):
        load_model(tmp_path)
