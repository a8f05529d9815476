"""A corpus of one's own, as a Kaldi data directory."""

from pathlib import Path

import numpy as np
import soundfile
from tiny_recipe import run

CLASSES = ("bored", "curious", "tired")
SPEAKERS = ("anna", "ben", "clara", "dora", "emil", "fred")
GENDERS = {"anna": "f", "ben": "m", "clara": "f", "dora": "f", "emil": "m", "fred": "m"}


def tables(speakers=SPEAKERS, classes=CLASSES, takes=2):
    """File -> utterance -> value, of all that a corpus may say."""
    utts = [(f"{who}-{label}{take}", who, label, take) for who in speakers for label in classes for take in range(takes)]
    return {
        "utt2spk": {utt: who for utt, who, _, _ in utts},
        "utt2emotion": {utt: label for utt, _, label, _ in utts},
        "text": {utt: ["", "guten Tag"][take % 2] for utt, _, _, take in utts},
        "utt2style": {utt: ["read", "free"][take % 2] for utt, _, _, take in utts},
        "utt2session": {utt: f"s{speakers.index(who) // 2}" for utt, who, _, _ in utts},
        "utt2fold": {utt: str(7 - speakers.index(who) // 3) for utt, who, _, _ in utts},
        "spk2gender": {who: GENDERS.get(who, "f") for who in speakers},
    }


def write_corpus(folder: Path, files: dict, without=()) -> Path:
    """A Kaldi data directory of noise."""
    rng = np.random.default_rng(0)
    folder.mkdir(parents=True)
    paths = {}
    for utt in files["utt2spk"]:
        path = folder / "wav" / f"{utt}.wav"
        path.parent.mkdir(exist_ok=True)
        soundfile.write(path, 0.1 * rng.standard_normal(int(rng.integers(4000, 7000))), 16000)
        paths[utt] = str(path)
    for name, table in {**files, "wav.scp": paths}.items():
        if name not in without:
            (folder / name).write_text("".join(f"{key} {value}".rstrip() + "\n" for key, value in sorted(table.items())))
    return folder


def folds(corpus, *more):
    run("folds", "--data", corpus, "--datadir", corpus.parent / "data", "--nj", "1", *more)
    return corpus.parent / "data"
