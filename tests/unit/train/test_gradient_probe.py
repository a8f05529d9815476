"""Gradients measured while a system trains, and what is made of them."""

import json

import numpy as np
import pytest
import torch
from PIL import Image
from tiny import GROUP_NORM, LAYER_NORM, tiny_wav2vec2, write_fold
from tiny_recipe import refused, run

from espnet_ser.models.cnn_lstm import CNNLSTMEncoder
from espnet_ser.models.wav2vec2 import Wav2Vec2Encoder
from espnet_ser.report.gradients import cosines_over_training, gradients_markdown, over_periods, plot_gradients
from espnet_ser.train.gradient_probe import GRADIENTS_FILE, GradientProbe, encoder_part
from espnet_ser.train.history import read_records


def test_a_probe_measures_the_first_step_and_every_so_many_after_it():
    w = torch.nn.Parameter(torch.tensor([1.0, 2.0]))
    probe = GradientProbe({"encoder.layers.2.weight": w}, every=2)
    for _ in range(5):
        probe({"emotion": w[0], "asr": -w[0]})
    records = probe.take()
    assert [record["step"] for record in records] == [1, 3, 5]
    assert records[0]["cosines"] == {"emotion, asr": {"3": -1.0, "all": -1.0}}
    assert probe.take() == []
    assert w.grad is None


def test_measuring_changes_no_training_and_leaves_a_table(recipe, capsys):
    options = (*recipe.where("mtl_asr"), *recipe.with_what(), "--folds", "1")
    run("gradients", *options, "--every", "2")
    out = capsys.readouterr().out
    assert "## emotion and asr" in out
    assert "| layer 6 |" in out
    assert "| input |" in out
    base = recipe.root / "exp" / "mtl_asr_gradients"
    records = read_records(base / "fold1" / GRADIENTS_FILE, ("epoch", "step"))
    assert [(record["epoch"], record["step"]) for record in records] == [(1, 1), (1, 3), (2, 1), (2, 3)]
    assert set(records[0]["cosines"]["emotion, asr"]) == {"input", *map(str, range(1, 7)), "all"}
    assert (base / "gradients.png").stat().st_size > 5000
    assert (base / "gradients.pdf").read_bytes().startswith(b"%PDF-")
    cosines = [record["cosines"]["emotion, asr"]["all"] for record in records]
    assert json.loads((base / "gradients.json").read_text())["emotion, asr"]["all"] == {"1": cosines}
    recipe.train("ser", system="mtl_asr")
    measured, plain = recipe.model("mtl_asr_gradients")[0].state_dict(), recipe.model("mtl_asr")[0].state_dict()
    assert all(torch.equal(plain[name], measured[name]) for name in plain)
    run("gradients", *options, "--every", "2")
    assert "epoch 1/2" not in capsys.readouterr().out  # nothing is trained again
    for remove in (lambda path: path.write_text(""), lambda path: path.unlink()):
        remove(base / "fold1" / GRADIENTS_FILE)
        message = refused(capsys, "gradients", *options, "--every", "2", call=run)
        assert f"fold1: trained, but {GRADIENTS_FILE} is missing or empty; remove the folder and run again" in message


@pytest.mark.parametrize(("stage", "option"), [("ser", "--tag"), ("stage1", "--stage1_tag")])
def test_a_tag_is_extended_and_the_model_trained_with_it_stays(recipe, stage, option):
    system, folder = ("mtl_asr", "mtl_asr") if stage == "ser" else ("asr_gender__ser", "stage1/asr_gender")
    recipe.train(stage, option, "mine", system=system)
    run("gradients", *recipe.where(system), *recipe.with_what(), "--stage", stage, option, "mine")
    parent = (recipe.root / "exp" / folder).parent
    folds = sorted(str(path.relative_to(parent)) for path in parent.glob("*/fold*"))
    name = folder.rpartition("/")[2]
    assert folds == [f"{name}_mine/fold1", f"{name}_mine_gradients/fold1"]
    assert not (parent / f"{name}_mine" / "fold1" / GRADIENTS_FILE).exists()


def test_options_that_leave_one_task_are_refused_before_training(recipe, capsys):
    options = (*recipe.where("mtl_asr"), *recipe.with_what(), "--stage2_args", "--tasks emotion")
    assert "--tasks is set by the recipe" in refused(capsys, "gradients", *options, call=run)
    assert not (recipe.root / "exp").exists()


def test_folds_are_set_beside_each_other_by_name(recipe):
    write_fold(recipe.root, "2", fold="2")
    run("gradients", *recipe.where("mtl_gender"), *recipe.with_what(), "--every", "3")
    base = recipe.root / "exp" / "mtl_gender_gradients"
    by_fold = json.loads((base / "gradients.json").read_text())["emotion, gender"]["1"]
    assert {fold: len(values) for fold, values in by_fold.items()} == {"1": 4, "2": 4}  # 2 of 4 steps in each of 2 epochs
    assert by_fold["1"] != by_fold["2"]


def records_of(*cosines):
    return [{"cosines": {"emotion, asr": {"1": cosine, "all": None}}} for cosine in cosines]


def test_tables_hold_means_thirds_and_conflicts():
    # Fold means 0.0 and 0.4; first thirds -0.5 and (-0.2 + 0.0) / 2, last thirds 0.3 and (0.9 + 0.9) / 2; 2 of 9 conflict.
    records = {"1": records_of(-0.5, 0.2, 0.3), "2": records_of(-0.2, 0.0, 0.4, 0.4, 0.9, 0.9)}
    cosines = cosines_over_training(records)
    assert cosines["emotion, asr"]["1"] == {"1": [-0.5, 0.2, 0.3], "2": [-0.2, 0.0, 0.4, 0.4, 0.9, 0.9]}
    text = gradients_markdown("mtl_asr", cosines, {"command": "", "settings": {}, "environment": {}})
    assert "| layer 1 | +0.200 | -0.300 | +0.600 | 22.2 |" in text
    assert "| all | – | – | – | – |" in text


def test_each_fold_is_placed_by_its_own_share_of_the_training():
    # Of 5 measurements the midpoints are 0.1, 0.3, 0.5, 0.7, 0.9: quarters 1, 2, 3, 3, 4.
    assert over_periods({"1": [1.0, 2.0, 3.0, 4.0, 5.0]}, 4).tolist() == [1.0, 2.0, 3.5, 5.0]
    # A fold counts once, however many measurements it has; an unknown one counts nowhere.
    assert over_periods({"1": [1.0, 2.0], "2": [3.0, 3.0, 3.0, None, None, 6.0]}, 2).tolist() == [2.0, 4.0]
    assert np.isnan(over_periods({"1": [1.0]}, 3)).tolist() == [True, False, True]


@pytest.mark.parametrize("unlike", [False, True])
def test_the_plot_covers_the_whole_of_a_longer_fold(tmp_path, unlike):
    short = records_of(*[0.5] * 6)
    long = records_of(*[0.5] * 6, *[-0.5 if unlike else 0.5] * 6)
    for name, records in (("short", {"1": short}), ("both", {"1": short, "2": long})):
        plot_gradients(cosines_over_training(records), tmp_path / f"{name}.png")
    short, both = (np.array(Image.open(tmp_path / f"{name}.png").convert("RGB")) for name in ("short", "both"))
    assert np.array_equal(short, both) != unlike


@pytest.mark.parametrize("norms", [GROUP_NORM, LAYER_NORM])
def test_the_norm_after_the_last_layer_is_a_part_of_its_own(norms):
    norm_last = norms["do_stable_layer_norm"]
    encoder = torch.nn.ModuleDict({"encoder": Wav2Vec2Encoder(tiny_wav2vec2(**norms), 6)})
    parameters = {name: parameter for name, parameter in encoder.named_parameters() if parameter.requires_grad}
    probe = GradientProbe(parameters, every=1, norm_last=norm_last)
    total = sum(parameter.sum() for parameter in parameters.values())
    probe({"emotion": total, "asr": 2 * total})
    cosines = probe.take()[0]["cosines"]["emotion, asr"]
    layers = [str(number) for number in range(1, 7)]
    assert list(cosines) == ["input", *layers, *(["output norm"] if norm_last else []), "all"]


def test_the_baseline_has_convolutions_and_an_lstm():
    encoder = torch.nn.ModuleDict({"encoder": CNNLSTMEncoder()})
    assert list(dict.fromkeys(encoder_part(name) for name, _ in encoder.named_parameters())) == ["convolutions", "lstm"]


@pytest.mark.parametrize("system", ["stl", "asr__ser"])
def test_a_system_of_one_task_has_nothing_to_compare(recipe, capsys, system):
    message = refused(capsys, "gradients", *recipe.where(system), *recipe.with_what(), call=run)
    assert "does not train two tasks" in message
    assert not (recipe.root / "exp").exists()
