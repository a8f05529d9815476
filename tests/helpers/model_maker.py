"""A trained model's folder, made without training it: random weights, the files that training leaves."""

import json
from argparse import Namespace
from pathlib import Path

import torch
import yaml
from tiny import TINY
from transformers import Wav2Vec2Config

from espnet_ser.data.tokens import BLANK, SPACE, UNKNOWN, save_tokenizer
from espnet_ser.model_io.build import build_untrained
from espnet_ser.model_io.weights import frozen_weights, without_frozen_weights

TOKENS = [BLANK, UNKNOWN, SPACE, "A", "B"]


def model_config(**changes) -> dict:
    """The settings of ``config.yaml`` that a model is built from, as training writes them."""
    return {
        "encoder": "ssl",
        "pooling": "mean",
        "tasks": ["emotion", "asr"],
        "reversed_tasks": [],
        "reversal_scale": 1.0,
        "dropout": 0.1,
        "aux_weight": 0.1,
        "literal_eq": False,
        "gradient_surgery": False,
        "ctc_reduction": "mean",
        "labels": {"emotion": ["angry", "happy"]},
        "token_list": list(TOKENS),
        "encoder_config": json.loads(Wav2Vec2Config(**TINY).to_json_string(use_diff=False)),
        "encoder_conf": {},
        "normalize_waveform": True,
        "trainable_layers": 2,
        "skip_layer": None,
        "frozen": "alive",
        **changes,
    }


def make_model(folder: Path, seed: int = 1, **changes) -> Path:
    """A folder as training leaves it; further settings of ``config.yaml`` may be given."""
    config = model_config(**changes)
    torch.manual_seed(seed)
    model = build_untrained(Namespace(**config))
    folder.mkdir(parents=True)
    (folder / "config.yaml").write_text(yaml.safe_dump(config))
    torch.save(frozen_weights(model), folder / "frozen.pth")
    with without_frozen_weights(model):
        torch.save(model.state_dict(), folder / "1epoch.pth")
    (folder / "latest.pth").symlink_to("1epoch.pth")
    save_tokenizer(folder / "tokens", config["token_list"])
    return folder


def change_config(folder: Path, **changes) -> None:
    """Writes other settings into a model's ``config.yaml``; None as a value is one."""
    config = yaml.safe_load((folder / "config.yaml").read_text())
    (folder / "config.yaml").write_text(yaml.safe_dump({**config, **changes}))
