"""What trainings left of one fold of a system, and what it was trained on."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from espnet_ser.data.datadir import Example, read_datadir
from espnet_ser.data.identity import data_identity
from espnet_ser.data.leakage import check_leak
from espnet_ser.errors import InputError
from espnet_ser.experiment.folds import intermediate_folder, read_dev, read_fold
from espnet_ser.experiment.systems import System
from espnet_ser.layout import DONE_FILE, FROZEN_FILE, MODEL_FILE, system_folder
from espnet_ser.model_io.encoder_folder import encoder_name
from espnet_ser.tasks_table import of_kind
from espnet_ser.utils.stamp import Stamp
from espnet_ser.utils.yaml_mapping import read_yaml_mapping


def trained_model_identity(folder: Path, stage: int) -> dict[str, str]:
    """A trained model by content.

    Args:
        folder: Where its training left it.
        stage: The stage of the recipe that trains it, named in errors.

    Raises:
        InputError: When the training has not finished, or its model is not what it left.
    """
    model_files = (MODEL_FILE, FROZEN_FILE, "config.yaml")
    for name in (DONE_FILE, *model_files):
        if not (folder / name).is_file():
            raise InputError(f"{folder / name} is missing: run stage {stage}, which makes it")
    stamp = Stamp(folder / DONE_FILE)
    recorded = stamp.output_sha256()
    changed = stamp.changed_outputs() or [f"{DONE_FILE} does not list {name}" for name in model_files if name not in recorded]
    if changed:
        raise InputError(f"{folder}: {'; '.join(changed)}; run stage {stage} again, which trains it anew")
    return {name: recorded[name] for name in model_files}


@dataclass(frozen=True)
class TrainedFold:
    """What trainings left of one fold of a system.

    Attributes:
        folder: Of the SER model.
        intermediate: Of the intermediate model; None for a system without, or where a public ASR model stands in for it.
        data: Its data directories, ``train``, ``test`` and so on.
        test: The utterances that the fold holds out.
        by: What folds hold out, ``session`` or ``speaker``.
        dev: The utterances that choose the epoch; none in cross-validation.
    """

    folder: Path
    intermediate: Path | None
    data: Path
    test: list[Example]
    by: str
    dev: list[Example]

    @classmethod
    def find(cls, system: System, fold: str, datadir: Path, expdir: Path, tag: str = "", stage1_tag: str = "") -> "TrainedFold":
        """The fold in a recipe's folders."""
        folder = system_folder(expdir, system.name, tag) / f"fold{fold}"
        trained_here = system.intermediate is not None and not _stage1_from(folder)
        intermediate = intermediate_folder(expdir, system, fold, stage1_tag) if trained_here else None
        data = datadir / f"fold{fold}"
        return cls(folder, intermediate, data, read_datadir(data / "test"), read_fold(datadir, fold)["by"], read_dev(data))

    def train_texts(self) -> set[str]:
        """The transcripts of all that its models were trained on."""
        configs = [
            read_yaml_mapping(folder / "config.yaml", "train it anew") for folder in (self.folder, self.intermediate) if folder
        ]
        sets = sorted({Path(config["train_dir"]).name for config in configs})
        return {example.text for name in sets for example in read_datadir(self.data / name)}

    def identity(self) -> dict[str, object]:
        """Its models, predictions and held-out data by content.

        Raises:
            InputError: When a training has not finished, has used other data or another intermediate model than is here now, or
                was trained on what the fold holds out.
        """
        model = trained_model_identity(self.folder, stage=4)
        intermediate = trained_model_identity(self.intermediate, stage=3) if self.intermediate else None
        trained_on = Stamp(self.folder / DONE_FILE).inputs()
        held_out = {"test": data_identity(self.test), "dev": data_identity(self.dev) if self.dev else None}
        if any(trained_on.get(name) != here for name, here in {"stage1": intermediate, **held_out}.items()):
            raise InputError(
                f"{self.folder} was trained from other data or another intermediate model than is here now: run stage 4 again"
            )
        for trained in filter(None, (self.folder, self.intermediate)):
            config = read_yaml_mapping(trained / "config.yaml", missing="train it anew")
            check_leak(config.get("trained_on"), [*self.test, *self.dev], self.by, trained)
            if began_with := config.get("pretrained_on"):
                check_leak(began_with, [*self.test, *self.dev], "speaker", f"what {trained} began with")
        return {"model": model, "stage1": intermediate, **held_out}


def describe_run(fold_folder: Path) -> dict[str, object]:
    """What a reader of results wants to know of a training, from its ``config.yaml``."""
    config = read_yaml_mapping(fold_folder / "config.yaml", missing="run stage 4, which makes it")
    names = ("seed", "max_epoch", "batch_size", "optim", "optim_conf", "scheduler", "tasks", "trainable_layers", "skip_layer")
    names += ("reversed_tasks", "gradient_surgery", "aux_weight", "literal_eq")
    names += ("scheduler_conf", "dropout", "encoder_conf", "cache_cut", "cache_dtype", "use_amp", "use_tf32", "compile")
    names += ("ctc_reduction",) if of_kind("ctc", config["tasks"]) else ()
    names += ("pooling",) if config.get("pooling", "mean") != "mean" else ()
    names += ("frozen",) if _freezes_layers(config) else ()
    names += ("stage1_from",) if config.get("stage1_from") else ()
    encoder = encoder_name(Path(config["ssl"])) if config.get("ssl") else config["encoder"]
    return {"encoder": encoder, **{name: config[name] for name in names if name in config}}


def _freezes_layers(config: Mapping) -> bool:
    """Whether a training left any layer above the CNN as it was."""
    encoder = {**(config.get("encoder_config") or {}), **(config.get("encoder_conf") or {})}
    return config.get("trainable_layers") is not None and config["trainable_layers"] < encoder.get("num_hidden_layers", 0)


def _stage1_from(folder: Path) -> str | None:
    """The public model that a trained model began with in place of an intermediate one, if any."""
    path = folder / "config.yaml"
    return read_yaml_mapping(path, missing="train it anew").get("stage1_from") if path.is_file() else None
