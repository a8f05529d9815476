"""A scored recipe, packed; and a world without a network."""

import shutil
import socket
from contextlib import contextmanager

import numpy as np
import pytest
import torch
from tiny_recipe import SYSTEM, run

from espnet_ser.data.audio import load_audio
from espnet_ser.data.datadir import read_datadir
from espnet_ser.model_io.load import load_model


class PackedRecipe:
    """A copy of a recipe's folders after stage 6, and stage 7 on them."""

    def __init__(self, scored, root):
        shutil.copytree(scored.root, root, symlinks=True)
        self.root, self.base = root, root / "exp" / SYSTEM
        self.folder, self.archive = self.base / "packed" / "fold1", self.base / "packed" / "fold1.zip"

    def options(self):
        root = self.root
        return ("--system", SYSTEM, "--conf", root / "conf", "--datadir", root / "data", "--expdir", root / "exp")

    def pack(self, *more):
        run("pack", *self.options(), *more)

    def test_examples(self):
        return read_datadir(self.root / "data" / "fold1" / "test")

    def model(self):
        return load_model(self.base / "fold1")

    def intermediate(self):
        return load_model(self.root / "exp" / "stage1" / "asr_gender_skip" / "fold1")


@contextmanager
def no_network():
    """Any attempt to reach an address fails while the body runs."""

    def refuse(*_, **__):
        raise AssertionError("the network was asked")

    with pytest.MonkeyPatch.context() as patch:
        for name in ("connect", "connect_ex"):
            patch.setattr(socket.socket, name, refuse)
        patch.setattr(socket, "getaddrinfo", refuse)
        yield


def waveforms(examples):
    return [load_audio(example.wav) for example in examples]


@torch.no_grad()
def posteriors(model, waveform, task):
    """A head's posteriors of one waveform: [classes]."""
    speech = torch.from_numpy(np.asarray(waveform))[None]
    return model.logits(speech, torch.tensor([speech.shape[1]]))[task][0].softmax(-1)


def noise(seconds, seed=0):
    return (0.1 * np.random.default_rng(seed).standard_normal(int(16000 * seconds))).astype(np.float32)
