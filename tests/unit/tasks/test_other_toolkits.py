"""The task as other toolkits take it: ESPnet-EZ by name, ESPnet3 by its dotted path."""

import importlib
import os
import subprocess
import sys
from argparse import Namespace
from importlib.util import find_spec

import pytest
import torch
from checkout import ROOT
from tiny import save_encoder, write_fold

from espnet_ser.errors import InputError
from espnet_ser.model_io.load import load_model
from espnet_ser.tasks.ser import SERTask

LABELS = {"emotion": ["angry", "happy", "neutral", "sad"], "gender": ["f", "m"]}


def model_of(config):
    """A model as ESPnet3 builds it: the task by its dotted path, its defaults, what the configuration says."""
    module, _, name = "espnet_ser.tasks.ser.SERTask".rpartition(".")
    task = getattr(importlib.import_module(module), name)
    return task.build_model(Namespace(**{**task.get_default_config(), **config}))


def test_defaults_and_an_encoder_make_a_model_that_trains(tmp_path):
    model = model_of({"ssl": str(save_encoder(tmp_path / "encoder")), "tasks": ["emotion", "gender"], "labels": LABELS})
    speech, lengths = torch.randn(2, 6000), torch.tensor([6000, 4000])
    loss, stats, weight = model(speech, lengths, emotion=torch.tensor([0, 3]), gender=torch.tensor([1, 0]))
    loss.backward()
    assert loss.isfinite()
    assert {"loss", "loss_emotion", "loss_gender"} <= set(stats)
    assert weight.item() == 2


def test_defaults_are_not_those_of_the_command_line(monkeypatch):
    monkeypatch.setattr(sys, "argv", ["train.py", "--seed", "77", "--config", "their.yaml", "--tasks", "asr", "--help"])
    config = SERTask.get_default_config()
    assert (config["seed"], config["tasks"]) == (0, ["emotion"])
    assert sys.argv[1] == "--seed"


@pytest.mark.parametrize(
    ("config", "message"),
    [
        ({"tasks": ["emotion"]}, r"without labels: {emotion: \[...\]}, the classes of emotion"),
        ({"tasks": ["asr"]}, "without token_list: the tokens of asr"),
        ({"tasks": ["gender"], "labels": {"emotion": ["a", "b"]}}, "labels: {gender"),
    ],
)
def test_what_the_data_would_say_must_be_said(tmp_path, config, message):
    with pytest.raises(InputError, match=message):
        model_of({"ssl": str(save_encoder(tmp_path / "encoder")), **config})


def test_without_an_encoder_it_says_so():
    with pytest.raises(InputError, match="--ssl is needed"):
        model_of({"labels": LABELS})


EZ = """
import sys
from pathlib import Path
import espnet_ser.ez

assert not any(name.startswith("espnetez") for name in sys.modules)
espnet_ser.ez.register()

import espnetez
import espnet2.tasks.abs_task as base
from espnet2.layers.create_adapter import create_adapter
from espnet_ser.tasks.ser import SERTask

assert issubclass(SERTask, base.AbsTask) and base.create_adapter is create_adapter  # ours, after ESPnet's own tasks
root, data, encoder = map(Path, sys.argv[1:])
sys.argv = sys.argv[:1]
task = espnetez.task.get_ez_task("ser")
assert issubclass(task, SERTask)
# ESPnet's defaults hold settings of its default optimiser: another one wants its own.
settings = "max_epoch: 1\\nbatch_size: 8\\noptim: adamw\\noptim_conf: {lr: 0.001}\\nnum_workers: 0\\n"
(root / "settings.yaml").write_text(settings)
config = espnetez.config.from_yaml("ser", root / "settings.yaml")
train, valid = data / "fold1" / "train", data / "fold1" / "test"
config |= {"ssl": str(encoder), "train_dir": str(train), "valid_dir": str(valid)}
# Lengths stand in the data directories; ESPnet-EZ asks for a file of them before it trains.
for part in ("train", "valid"):
    (root / "stats" / part).mkdir(parents=True)
    (root / "stats" / part / "speech_shape").touch()
trainer = espnetez.Trainer(
    task="ser",
    train_config=config,
    output_dir=str(root / "exp"),
    stats_dir=str(root / "stats"),
    data_info={},
    train_dump_dir=train,
    valid_dump_dir=valid,
    required=["output_dir"],
    ngpu=0,
)
trainer.train()
"""


@pytest.mark.long
def test_espnet_ez_trains_it_by_name(tmp_path):
    """In a process of its own: espnetez imports all of ESPnet."""
    if find_spec("six") is None:
        pytest.skip("espnetez cannot be imported without six: pip install -e '.[ez]'")
    data, encoder = write_fold(tmp_path), save_encoder(tmp_path / "encoder")
    command = [sys.executable, "-c", EZ, tmp_path, data, encoder]
    path = os.pathsep.join([str(ROOT), os.environ.get("PYTHONPATH", "")])
    environment = {**os.environ, "PYTHONPATH": path}
    result = subprocess.run(command, capture_output=True, text=True, check=False, env=environment)
    assert result.returncode == 0, result.stderr[-3000:]
    model, args = load_model(tmp_path / "exp")
    assert model.tasks == ["emotion"]
    assert args.labels == {"emotion": ["angry", "happy", "neutral", "sad"]}
