"""With what a recipe trains its systems, and where it keeps them."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from espnet_ser.experiment.folds import stage1_folder
from espnet_ser.experiment.systems import System
from espnet_ser.layout import system_folder


@dataclass(frozen=True)
class Setup:
    """With what a recipe trains its systems, and where it keeps things.

    Attributes:
        datadir: What recipe stage 1 left.
        dumpdir: What recipe stage 2 left.
        expdir: Where experiments go.
        ssl: Pretrained encoder: a folder or a hub name.
        stage1_from: Likewise, an ASR model with CTC whose encoder stands in for what stage 1 would train; '' to train it.
        configs: ``stage1`` and ``ser`` -> YAML of ESPnet options.
        extras: ``stage1`` and ``ser`` -> further ESPnet options; they outrank the configuration's.
        token: Token type and number of BPE tokens.
        stage1_data: ``four`` (those of the classes) or ``all`` utterances of the training sessions for stage 1.
        tag: Suffix of the systems' folders.
        stage1_tag: Suffix of the stage-1 folders.
        seed: Random seed.
        cache: Which outputs of frozen layers to keep, of :data:`espnet_ser.train.fill_cache.CACHE_CHOICES`.
        cache_dtype: In which precision.
        save_every_min: Minutes between two checkpoints, at least.
    """

    datadir: Path
    dumpdir: Path
    expdir: Path
    ssl: str
    configs: Mapping[str, Path]
    extras: Mapping[str, tuple[str, ...]]
    token: tuple[str, int] = ("char", 0)
    stage1_data: str = "four"
    tag: str = ""
    stage1_tag: str = ""
    seed: int = 0
    cache: str = "auto"
    cache_dtype: str = "float16"
    save_every_min: int = 10
    stage1_from: str = ""

    def stage1_folder(self, system: System, fold: str) -> Path:
        """Where a system's first stage is trained."""
        return stage1_folder(self.expdir, system, fold, self.stage1_tag)

    def folder(self, system: System, stage: str, fold: str) -> Path:
        """Where one training of a system leaves its model."""
        if stage == "stage1":
            return self.stage1_folder(system, fold)
        return system_folder(self.expdir, system.name, self.tag) / f"fold{fold}"
