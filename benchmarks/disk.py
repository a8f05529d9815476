"""What a training of each kind takes on disk: ``python benchmarks/disk.py``.

The files that a training of each kind leaves are written, of a full-size encoder with random weights, and measured.
"""

import tempfile
from argparse import Namespace
from pathlib import Path

from corpus import NUM_UTTS, sample_durations
from transformers import Wav2Vec2Config, Wav2Vec2Model

from espnet_ser.corpus.iemocap import EMOTIONS
from espnet_ser.data.audio import SAMPLE_RATE
from espnet_ser.model_io.build import build_untrained
from espnet_ser.model_io.weights import frozen_weights, without_frozen_weights
from espnet_ser.report.grid import Grid, grid_markdown
from espnet_ser.tasks.ser import SERTask
from espnet_ser.train.epoch_files import save_whole
from espnet_ser.utils.say import say

NUM_TOKENS = 30


TRAININGS = {"intermediate, all layers": ("stage1", 12)}
TRAININGS |= {f"emotion, n = {layers}": ("ser", layers) for layers in (12, 10, 8, 6, 4, 2, 0)}
KEPT_EPOCHS = {"stage1": 1, "ser": 2}
"""Models that stay, at most: the last, and for emotion the best on the test fold."""


def main() -> None:
    """Prints a row for each kind of training, and the cache of the CNN's output."""
    rows = []
    for name, training in TRAININGS.items():
        frozen, trained = saved_gb(*training)
        # What a training continues from, until it has finished: each trained value, and AdamW's two moments.
        left_gb, checkpoint_gb = frozen + KEPT_EPOCHS[training[0]] * trained, 3 * trained
        rows.append((name, f"{left_gb:.3g}", f"{checkpoint_gb:.3g}"))
    say(grid_markdown(Grid("", ("training", "its models: GB", "its checkpoint: GB"), tuple(rows))))
    say(f"\nThe cache of the CNN's output: {cache_gb():.3g} GB.")


def saved_gb(stage: str, num_layers: int) -> tuple[float, float]:
    """The file of what is frozen, and that of what an epoch leaves of the rest."""
    options = {
        "encoder_config": Wav2Vec2Config().to_dict(),
        "normalize_waveform": True,
        "tasks": ["asr", "gender"] if stage == "stage1" else ["emotion"],
        "labels": {"emotion": list(EMOTIONS), "gender": ["f", "m"]},
        "token_list": [str(number) for number in range(NUM_TOKENS)],
        "trainable_layers": num_layers,
    }
    model = build_untrained(Namespace(**{**SERTask.get_default_config(), **options}))
    with tempfile.TemporaryDirectory() as folder, without_frozen_weights(model):
        files = {Path(folder) / "frozen.pth": frozen_weights(model), Path(folder) / "epoch.pth": model.state_dict()}
        for path, weights in files.items():
            save_whole(weights, path)
        return tuple(path.stat().st_size / 1e9 for path in files)


def cache_gb() -> float:
    """The CNN's output for every utterance, in half precision: all that trainings share by default."""
    config = Wav2Vec2Config(num_hidden_layers=1)
    frames = Wav2Vec2Model(config)._get_feat_extract_output_lengths
    return sum(int(frames(int(seconds * SAMPLE_RATE))) for seconds in sample_durations(NUM_UTTS)) * config.conv_dim[-1] * 2e-9


if __name__ == "__main__":
    main()
