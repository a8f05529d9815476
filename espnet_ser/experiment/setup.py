"""With what a recipe trains its systems, and where it keeps them."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from espnet_ser.experiment.folds import intermediate_folder
from espnet_ser.experiment.systems import System
from espnet_ser.layout import system_folder


@dataclass(frozen=True)
class Setup:
    """With what a recipe trains its systems, and where it keeps things."""

    datadir: Path  # what recipe stage 1 left
    dumpdir: Path  # what recipe stage 2 left
    expdir: Path  # where experiments go
    ssl: str  # pretrained encoder: a folder or a hub name
    configs: Mapping[str, Path]  # ``stage1`` and ``ser`` -> YAML of ESPnet options
    # ``stage1`` and ``ser`` -> further ESPnet options; they outrank the configuration's
    extras: Mapping[str, tuple[str, ...]]
    token: tuple[str, int]  # token type and number of BPE tokens
    # ``four`` (those of the classes) or ``all`` utterances of the training sessions for the intermediate finetuning
    stage1_data: str
    tag: str  # suffix of the systems' folders
    stage1_tag: str  # suffix of the intermediate folders
    seed: int  # random seed
    cache: str  # which outputs of frozen layers to keep, of :data:`espnet_ser.train.fill_cache.CACHE_CHOICES`
    cache_dtype: str  # in which precision
    save_every_min: int  # minutes between two checkpoints, at least
    stage1_from: str  # ASR model with CTC whose encoder stands in for the intermediate model; '' to train it

    def intermediate_folder(self, system: System, fold: str) -> Path:
        """Where a system's intermediate finetuning is trained."""
        return intermediate_folder(self.expdir, system, fold, self.stage1_tag)

    def folder(self, system: System, finetuning: str, fold: str) -> Path:
        """Where one training of a system leaves its model."""
        if finetuning == "stage1":
            return self.intermediate_folder(system, fold)
        return system_folder(self.expdir, system.name, self.tag) / f"fold{fold}"
