"""With what a recipe trains its systems, and where it keeps them."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from espnet_ser.experiment.folds import intermediate_folder
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
        intermediate_from: Likewise, an ASR model with CTC whose encoder stands in for the intermediate model; '' to train it.
        configs: ``intermediate`` and ``ser`` -> YAML of ESPnet options.
        extras: ``intermediate`` and ``ser`` -> further ESPnet options; they outrank the configuration's.
        token: Token type and number of BPE tokens.
        intermediate_data: ``four`` (those of the classes) or ``all`` utterances of the training sessions for the
            intermediate finetuning.
        tag: Suffix of the systems' folders.
        intermediate_tag: Suffix of the intermediate folders.
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
    token: tuple[str, int]
    intermediate_data: str
    tag: str
    intermediate_tag: str
    seed: int
    cache: str
    cache_dtype: str
    save_every_min: int
    intermediate_from: str

    def intermediate_folder(self, system: System, fold: str) -> Path:
        """Where a system's intermediate finetuning is trained."""
        return intermediate_folder(self.expdir, system, fold, self.intermediate_tag)

    def folder(self, system: System, finetuning: str, fold: str) -> Path:
        """Where one training of a system leaves its model."""
        if finetuning == "intermediate":
            return self.intermediate_folder(system, fold)
        return system_folder(self.expdir, system.name, self.tag) / f"fold{fold}"
