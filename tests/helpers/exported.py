"""Small models to export."""

import json

import torch
from model_maker import make_model
from tiny import GROUP_NORM, LAYER_NORM, TINY
from transformers import HubertConfig, Wav2Vec2Config

from espnet_ser.model_io.load import load_model

LABELS = {"emotion": ["angry", "happy", "neutral", "sad"], "gender": ["f", "m"]}
ENCODERS = {
    "wav2vec2-base": Wav2Vec2Config(**TINY, **GROUP_NORM),
    "wav2vec2-large-lv60": Wav2Vec2Config(**TINY, **LAYER_NORM),
    "hubert-base": HubertConfig(**TINY, **GROUP_NORM),
    "hubert-large": HubertConfig(**TINY, **LAYER_NORM),
}


def settings(name):
    return json.loads(ENCODERS[name].to_json_string(use_diff=False))


def model_of(folder, **changes):
    """A model whose heads tell utterances apart: those of fresh weights hardly do."""
    model, args = load_model(make_model(folder, **changes))
    for head in model.heads.values():
        torch.nn.init.normal_(head.output.weight, std=0.2, generator=torch.Generator().manual_seed(0))
    return model, args
