"""Data directories, encoders and folds' records that stages 2 to 4 must refuse."""

import json
import os
import re
from pathlib import Path

from bad_corpus import in_place_of
from release_maker import edit
from room import cut, put
from safetensors.torch import load_file, save_file

from espnet_ser.data.datadir import read_datadir

REQUIRED = ("wav.scp", "utt2spk", "utt2emotion", "utt2num_samples", "spk2utt", "spk2gender")
UTT = "Ses02_F-Ses02F_impro01_F000"


def listing(name, change):
    """The case of a data directory's file after a change, read by stage 2."""

    def case(room):
        change(room.train / name)
        return room.tokens()

    return case


def untold(system, *names):
    """The case of a system that learns from files that are not there."""

    def case(room):
        for name in names:
            (room.train / name).unlink()
        return room.training(system=system)

    return case


def edited(name, old, new):
    return listing(name, lambda path: edit(path, old, new))


def encoder(change):
    def case(room):
        change(room.encoder)
        return room.training()

    return case


def encoder_setting(**changes):
    def change(folder: Path):
        config = json.loads((folder / "config.json").read_text())
        (folder / "config.json").write_text(json.dumps(config | changes))

    return encoder(change)


def trained_on(change):
    """The case of stage 4 on a fold after ``change(room, its training utterances)``."""

    def case(room):
        change(room, read_datadir(room.train))
        return room.training()

    return case


def no_sample(path: Path):
    put(path, re.sub(rf"{UTT} \d+", f"{UTT} 0", path.read_text()))


def misshapen(folder: Path):
    weights = load_file(folder / "model.safetensors")
    name = "encoder.layers.0.attention.k_proj.weight"
    weights[name] = weights[name][:7].clone()
    save_file(weights, folder / "model.safetensors", metadata={"format": "pt"})


def lacking(folder: Path):
    weights = load_file(folder / "model.safetensors")
    del weights["encoder.layers.3.attention.k_proj.weight"]
    save_file(weights, folder / "model.safetensors", metadata={"format": "pt"})


def wrong_length(room, examples):
    edit(room.train / "utt2num_samples", f"{examples[0].utt} {examples[0].num_samples}\n", f"{examples[0].utt} 12345\n")


def as_pipe(room, examples):
    examples[0].wav.unlink()
    os.mkfifo(examples[0].wav)


def in_both(room, _):
    for name in os.listdir(room.train):
        put(room.train / name, (room.datadir / "fold1" / "test" / name).read_bytes())


def fold_json(content):
    def case(room):
        put(room.datadir / "fold1" / "fold.json", content)
        return room.training()

    return case


CASES = {f"data: {name} missing": (listing(name, os.unlink), f"{name}: No such file or directory") for name in REQUIRED}
CASES |= {
    "data: no folds": (lambda room: ("tokens", "--datadir", room.root), "has no folds: run stage 1"),
    "data: no transcripts": (untold("mtl_asr", "text"), "nothing to learn asr from: text is missing"),
    "data: no genders": (untold("mtl_gender", "utt2gender", "spk2gender"), "from: utt2gender or spk2gender is missing"),
    "data: no styles": (untold("mtl_style", "utt2style"), "nothing to learn style from: utt2style is missing"),
    "data: an empty file": (
        listing("wav.scp", lambda path: put(path, "")),
        "lists no audio; a line is an utterance id and a path",
    ),
    "data: a folder for a file": (listing("utt2spk", in_place_of(os.mkdir)), "utt2spk: Is a directory"),
    "data: a link to nothing for a list that may be missing": (
        listing("text", in_place_of(lambda path: path.symlink_to("nowhere"))),
        "text: a link to nowhere, where nothing is; correct the link or remove it",
    ),
    "data: genders of an utterance and its speaker at odds": (
        edited("utt2gender", f"{UTT} f", f"{UTT} m"),
        f"'{UTT}' has gender m, its speaker f by line",
    ),
    "data: a pipe for a file": (listing("utt2spk", in_place_of(os.mkfifo)), "utt2spk: a pipe or a device, not a file"),
    "data: an utterance twice": (
        listing("utt2emotion", lambda path: put(path, path.read_text() + f"{UTT} happy\n")),
        f"{UTT!r} is there twice, first in line 1",
    ),
    "data: an utterance in one file alone": (
        listing("utt2emotion", lambda path: put(path, path.read_text() + "Ses09_F-x happy\n")),
        "'Ses09_F-x' is not in wav.scp",
    ),
    "data: an utterance lost from a file": (edited("utt2style", f"{UTT} ", "Ses02_F-x "), f"no line for {UTT!r}"),
    "data: a key without a value": (edited("utt2emotion", f"{UTT} angry", UTT), "utt2emotion:1: malformed line"),
    "data: two values": (edited("utt2emotion", f"{UTT} angry", f"{UTT} very\tangry"), "expected one value"),
    "data: a text in Latin-1": (edited("text", " NO WAY", b" NO W\xc4Y"), "not UTF-8; convert the file"),
    "data: UTF-16": (
        listing("text", lambda path: put(path, path.read_text().encode("utf-16"))),
        "text: UTF-16, where UTF-8 is read; save it as UTF-8",
    ),
    "data: a length that is no number": (edited("utt2num_samples", f"{UTT} ", f"{UTT} 1e"), "is not a number of samples"),
    "data: a length of 5000 digits": (
        edited("utt2num_samples", f"{UTT} ", f"{UTT} " + "9" * 5000),
        "a name has at most 250",
    ),
    "data: an utterance of no sample": (listing("utt2num_samples", no_sample), "'0' is not a number of samples"),
    "data: a command for audio": (
        listing("wav.scp", lambda path: put(path, path.read_text().replace(".wav\n", ".wav; touch harm |\n", 1))),
        "wav.scp:1: a command, not a path",
    ),
    "data: NUL in a path": (edited("wav.scp", ".wav\n", b".w\0av\n"), "wav.scp:1: a NUL character in a path"),
    "data: a gender in words": (edited("spk2gender", "Ses02_F f", "Ses02_F female"), "gender 'female', expected f or m"),
    "data: a speaker's utterances in disorder": (edited("spk2utt", f" {UTT}", ""), "has other utterances in utt2spk"),
    "fold: its record is no JSON": (fold_json("{"), "fold.json: not JSON"),
    "fold: its record is 100000 brackets": (fold_json("[" * 100_000), "fold.json: not JSON"),
    "fold: its record says nothing": (fold_json("{}"), "does not say whether the fold holds out a session or a speaker"),
    "fold: the held-out speakers in training": (trained_on(in_both), "was trained on session 1, which this fold holds out"),
    "fold: audio that vanished": (trained_on(lambda _, examples: examples[3].wav.unlink()), "No such file or directory; check"),
    "fold: audio that changed": (
        trained_on(lambda _, examples: put(examples[3].wav, examples[4].wav.read_bytes())),
        "has changed since stage 1 read it: run stage 1 again",
    ),
    "fold: a pipe for audio": (trained_on(as_pipe), "a pipe or a device, not a file; check the path"),
    "encoder: an empty name": (lambda room: room.training("--ssl", ""), "--ssl: an empty name"),
    "encoder: no such folder": (lambda room: room.training("--ssl", room.root / "nowhere"), "nowhere: no such folder"),
    "encoder: an empty folder": (lambda room: room.training("--ssl", room.datadir), "no config.json in this folder"),
    "encoder: a configuration that is no JSON": (
        encoder(lambda folder: put(folder / "config.json", "{")),
        "config.json: not a transformers configuration",
    ),
    "encoder: a binary configuration": (
        encoder(lambda folder: put(folder / "config.json", b"\x80\x81")),
        "config.json: not a transformers configuration",
    ),
    "encoder: a configuration of 100000 brackets": (
        encoder(lambda folder: put(folder / "config.json", "[" * 100_000)),
        "config.json: not a transformers configuration",
    ),
    "encoder: a configuration that is a list": (
        encoder(lambda folder: put(folder / "config.json", "[]")),
        "a list, not a mapping",
    ),
    "encoder: of another kind": (encoder_setting(model_type="bert"), "encoders of type 'bert' are not supported"),
    "encoder: without layers": (encoder_setting(num_hidden_layers=0), "num_hidden_layers must be 1 to 128, not 0"),
    "encoder: a billion layers": (
        encoder_setting(num_hidden_layers=10**9),
        "num_hidden_layers must be 1 to 128, not 1000000000",
    ),
    "encoder: a size in words": (encoder_setting(hidden_size="large"), "hidden_size must be a whole number"),
    "encoder: a preprocessor's configuration cut short": (
        encoder(lambda folder: cut(folder / "preprocessor_config.json")),
        "preprocessor_config.json: not a transformers configuration",
    ),
    "encoder: no preprocessor's configuration": (
        encoder(lambda folder: (folder / "preprocessor_config.json").unlink()),
        "it is not known whether the encoder wants normalised waveforms; get it where there is a network",
    ),
    "encoder: a preprocessor that wants neither": (
        encoder(lambda folder: put(folder / "preprocessor_config.json", '{"do_normalize": "no"}')),
        "do_normalize is 'no', not true or false",
    ),
    "encoder: an archive": (
        lambda room: room.training("--ssl", put(room.root / "encoder.zip", "PK") or room.root / "encoder.zip"),
        "encoder.zip: not a folder; name one that transformers saved",
    ),
    "encoder: no revision": (lambda room: room.training("--ssl", "facebook/wav2vec2-base@"), "no revision after the @"),
    "encoder: no weights": (
        encoder(lambda folder: (folder / "model.safetensors").unlink()),
        "cannot load the encoder's weights",
    ),
    "encoder: a clone without Git LFS": (
        encoder(lambda folder: put(folder / "model.safetensors", "version https://git-lfs.github.com/spec/v1\noid sha256:0\n")),
        "model.safetensors: a pointer of Git LFS in the place of the weights; run 'git lfs pull'",
    ),
    "encoder: half the weights": (
        encoder(lambda folder: cut(folder / "model.safetensors")),
        "model.safetensors: damaged, or not a file of weights",
    ),
    "encoder: an empty file of weights": (
        encoder(lambda folder: put(folder / "model.safetensors", "")),
        "model.safetensors: damaged, or not a file of weights",
    ),
    "encoder: of another sample rate": (
        encoder(lambda folder: put(folder / "preprocessor_config.json", '{"do_normalize": true, "sampling_rate": 8000}')),
        "preprocessor_config.json: sampling_rate is 8000, and encoders are given 16000 Hz",
    ),
    "encoder: a weight of another shape": (encoder(misshapen), "encoder.layers.0.attention.k_proj.weight"),
    "encoder: a weight missing": (encoder(lacking), "encoder.layers.3.attention.k_proj.weight"),
}
