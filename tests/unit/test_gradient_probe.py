"""Gradients measured while a system trains, and what is made of them."""

import json

import numpy as np
import pytest
import torch
from tiny_recipe import refused, run

from espnet_ser.gradient_probe import GRADIENTS_FILE, GradientProbe
from espnet_ser.history import read_records
from espnet_ser.report.gradients import cosines_over_training, gradients_markdown


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
    assert np.array(json.loads((base / "gradients.json").read_text())["emotion, asr"]["all"]).shape == (1, 4)
    recipe.train("ser", system="mtl_asr")
    measured, plain = recipe.model("mtl_asr_gradients")[0].state_dict(), recipe.model("mtl_asr")[0].state_dict()
    assert all(torch.equal(plain[name], measured[name]) for name in plain)
    run("gradients", *options, "--every", "2")
    assert "epoch 1/2" not in capsys.readouterr().out  # nothing is trained again


def test_tables_hold_means_thirds_and_conflicts():
    def record(cosine):
        return {"cosines": {"emotion, asr": {"1": cosine, "all": None}}}

    cosines = cosines_over_training([[record(c) for c in (-0.5, 0.1, 0.3)], [record(c) for c in (-0.3, 0.1, 0.5, 9.0)]])
    assert cosines["emotion, asr"]["1"].tolist() == [[-0.5, 0.1, 0.3], [-0.3, 0.1, 0.5]]
    text = gradients_markdown("mtl_asr", cosines, {"command": "", "settings": {}, "environment": {}})
    assert "| layer 1 | +0.033 | -0.400 | +0.400 | 33.3 |" in text
    assert "| all | – | – | – | – |" in text


@pytest.mark.parametrize("system", ["stl", "asr__ser"])
def test_a_system_of_one_task_has_nothing_to_compare(recipe, capsys, system):
    message = refused(capsys, "gradients", *recipe.where(system), *recipe.with_what(), call=run)
    assert "does not train two tasks" in message
    assert not (recipe.root / "exp").exists()
