"""Small encoders and data for the tests: random weights, the real shapes of things."""

import json
from pathlib import Path

import numpy as np
import soundfile
import torch
from transformers import Wav2Vec2Config, Wav2Vec2Model

from espnet_ser.data.audio import hash_samples, load_audio
from espnet_ser.data.datadir import Example, write_datadir
from espnet_ser.utils.hashing import file_sha256

TINY = {
    "hidden_size": 32,
    "num_hidden_layers": 6,
    "num_attention_heads": 4,
    "intermediate_size": 64,
    "conv_dim": [32] * 7,
    "num_conv_pos_embeddings": 16,
    "num_conv_pos_embedding_groups": 4,
    "layerdrop": 0.0,
}
GROUP_NORM = {"feat_extract_norm": "group", "do_stable_layer_norm": False}  # wav2vec2-base
LAYER_NORM = {"feat_extract_norm": "layer", "do_stable_layer_norm": True, "conv_bias": True}  # wav2vec2-large-lv60, XLS-R


def tiny_wav2vec2(seed: int = 0, **changes) -> Wav2Vec2Model:
    """A wav2vec 2.0 encoder of 6 layers with weights of a realistic size."""
    torch.manual_seed(seed)
    return Wav2Vec2Model(Wav2Vec2Config(**{**TINY, **changes})).eval()


def save_encoder(folder: Path, seed: int = 0, do_normalize: bool = True, **changes) -> Path:
    """A folder as transformers saves a pretrained encoder."""
    tiny_wav2vec2(seed, **changes).save_pretrained(folder)
    (folder / "preprocessor_config.json").write_text(json.dumps({"do_normalize": do_normalize}))
    return folder


def examples_of(folder: Path, sessions=("1", "2"), per_speaker: int = 4, seconds: float = 0.4) -> list[Example]:
    """Noise bursts of both genders and four emotions, on disk, with a word or two each; the first of each speaker has none."""
    rng = np.random.default_rng(0)
    words = ["", "YES", "NO WAY", "I KNOW"]
    emotions = ["angry", "happy", "neutral", "sad"]
    examples = []
    for session in sessions:
        for gender in "FM":
            for number in range(per_speaker):
                utt = f"Ses0{session}_{gender}-Ses0{session}F_impro01_{gender}{number:03d}"
                samples = int(16000 * seconds * rng.uniform(0.7, 1.6))
                path = folder / "wav" / f"{utt}.wav"
                path.parent.mkdir(parents=True, exist_ok=True)
                soundfile.write(path, 0.1 * rng.standard_normal(samples), 16000)
                examples.append(
                    Example(
                        utt=utt,
                        speaker=f"Ses0{session}_{gender}",
                        session=session,
                        gender=gender.lower(),
                        emotion=emotions[number % 4],
                        label=emotions[number % 4][:3],
                        style=["improvised", "scripted"][number % 2],
                        text=words[number % 4],
                        wav=path,
                        num_samples=samples,
                        sha256=file_sha256(path),
                        samples_sha256=hash_samples(load_audio(path)),
                    )
                )
    return examples


def write_fold(root: Path, test_session: str = "1", sessions=("1", "2", "3"), fold: str = "1") -> Path:
    """``data/fold<k>`` with a training and a test directory, as stage 1 leaves it; returns ``data``."""
    examples = examples_of(root, sessions)
    folder = root / "data" / f"fold{fold}"
    write_datadir(folder / "train", [example for example in examples if example.session != test_session])
    write_datadir(folder / "test", [example for example in examples if example.session == test_session])
    (folder / "fold.json").write_text(json.dumps({"number": int(fold), "by": "session"}))
    return root / "data"
