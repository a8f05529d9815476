"""What the paper's tables take on disk: ``python benchmarks/disk.py``.

The files that a training of each kind leaves are written, of a full-size encoder with random weights, and measured.
"""

import argparse
import sys
import tempfile
from argparse import Namespace
from collections.abc import Sequence
from functools import cache
from pathlib import Path

from corpus import NUM_UTTS, sample_durations
from costs import KEPT_EPOCHS, Costs
from plan import TABLES, Table
from transformers import Wav2Vec2Config, Wav2Vec2Model

from espnet_ser.bin.parser import CommandParser
from espnet_ser.corpus.iemocap import EMOTIONS
from espnet_ser.data.audio import SAMPLE_RATE
from espnet_ser.model_io.build import build_untrained
from espnet_ser.model_io.weights import frozen_weights, without_frozen_weights
from espnet_ser.report.grid import Grid, grid_markdown
from espnet_ser.tasks.ser import GENDERS, SERTask
from espnet_ser.train.epoch_files import save_whole
from espnet_ser.utils.say import say

NUM_TOKENS = 30


def get_parser() -> argparse.ArgumentParser:
    """The options."""
    parser = CommandParser(prog="disk.py", description=__doc__, epilog="example: python benchmarks/disk.py")
    parser.add_argument("--conf", type=Path, default=Path(__file__).parents[1] / "conf", help="where the systems are")
    return parser


def main(argv: Sequence[str] | None = None) -> None:
    """Prints what each table's models take after and during trainings, and the cache of the CNN's output."""
    args = get_parser().parse_args(argv)
    rows = []
    for name in TABLES:
        trainings = Table(Costs({}, 100), args.conf, name).trainings.values()
        models_gb = sum(left_gb(*training) for training in trainings)
        most_gb = max(checkpoint_gb(*training) for training in trainings)
        cells = (len(trainings), models_gb, cache_gb(), models_gb + cache_gb(), most_gb)
        rows.append((name, *(f"{value:.3g}" for value in cells)))
    header = ("table", "trainings", "models GB", "cache GB", "together GB", "and for each that runs, at most GB")
    say(grid_markdown(Grid("", header, tuple(rows))))


def left_gb(stage: str, num_layers: int) -> float:
    """What a finished training leaves; predictions and embeddings are small beside it."""
    frozen, trained = saved_gb(stage, num_layers)
    return frozen + KEPT_EPOCHS[stage] * trained


def checkpoint_gb(stage: str, num_layers: int) -> float:
    """What goes when it has finished: each trained value, and AdamW's two moments."""
    return 3 * saved_gb(stage, num_layers)[1]


@cache
def saved_gb(stage: str, num_layers: int) -> tuple[float, float]:
    """The file of what is frozen, and that of what an epoch leaves of the rest."""
    options = {
        "encoder_config": Wav2Vec2Config().to_dict(),
        "normalize_waveform": True,
        "tasks": ["asr", "gender"] if stage == "stage1" else ["emotion"],
        "labels": {"emotion": list(EMOTIONS), "gender": GENDERS},
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
    sys.exit(main())
