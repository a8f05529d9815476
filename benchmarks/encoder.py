"""An encoder of wav2vec2-base's size with random weights, as transformers saves one: ``python encoder.py JOB.json``."""

import json
import sys
from pathlib import Path


def save_random_encoder(folder: str) -> None:
    """Saves weights, configuration and preprocessor; the seed is fixed."""
    import torch
    from transformers import Wav2Vec2Config, Wav2Vec2FeatureExtractor, Wav2Vec2Model

    torch.manual_seed(0)
    Wav2Vec2Model(Wav2Vec2Config()).save_pretrained(folder)
    Wav2Vec2FeatureExtractor().save_pretrained(folder)


if __name__ == "__main__":
    save_random_encoder(json.loads(Path(sys.argv[1]).read_text(encoding="utf-8"))["encoder"])
