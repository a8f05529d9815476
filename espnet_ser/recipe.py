"""Where a recipe keeps things, and which folds it has: the layout that stages 1 to 6 share."""

import json
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

from espnet_ser.data.datadir import Example, read_datadir
from espnet_ser.encoder_folder import encoder_name
from espnet_ser.errors import InputError, unknown_name
from espnet_ser.provenance import data_identity, refuse_leak
from espnet_ser.stamp import Stamp
from espnet_ser.systems import System
from espnet_ser.yaml_mapping import read_yaml_mapping

DONE_FILE = "done.json"
"""The stamp that a finished training leaves in its folder."""

SELECTED_FILE = "selected.json"
"""The stamp that stage 5 leaves beside a fold's predictions."""

SELECTION_FILE = "selection.json"
"""Which epoch each selection takes for each held-out speaker, and its weights."""

SCORED_FILE = ".scored.json"
"""The stamp that stage 6 leaves beside a system's results."""

MODEL_FILE = "latest.pth"
"""What was trained, after the last epoch (ESPnet's name)."""

CHECKPOINT_FILE = "checkpoint.pth"
"""What a training that has not finished goes on from (ESPnet's name)."""

FROZEN_FILE = "frozen.pth"
"""The weights that training does not change, written once: ``latest.pth`` and the epochs' files hold all others."""

TOKENS_FOLDER = "tokens"
"""The tokenizer, beside the model that uses it."""


def fold_names(datadir: Path, asked: str | Iterable[str] | None = None) -> list[str]:
    """The folds to run, in order.

    Args:
        datadir: Where stage 1 left ``fold<k>``.
        asked: Names separated by spaces, or a list of them; all folds that there are where it is empty.

    Raises:
        InputError: When stage 1 has not run, or a fold does not exist.
    """
    known = [name for name, path in _fold_folders(datadir).items() if (path / "fold.json").is_file()]
    if not known:
        raise InputError(f"{datadir} has no folds: run stage 1, which makes them")
    names = asked.split() if isinstance(asked, str) else list(asked or [])
    for name in names:
        if name not in known:
            raise unknown_name("fold", name, known, where=str(datadir))
    if len(set(names)) < len(names):
        raise InputError(f"folds {' '.join(names)}: a fold is named twice")
    return names or known


def read_fold(datadir: Path, fold: str) -> dict:
    """What stage 1 says of a fold: ``by``, ``test_sessions``, ``test_speakers`` and so on.

    Raises:
        InputError: When stage 1 has not made it.
    """
    path = datadir / f"fold{fold}" / "fold.json"
    if not path.is_file():
        raise InputError(f"{path} is missing: run stage 1, which makes it")
    try:
        record = json.loads(path.read_text(encoding="utf-8"))
    except (ValueError, RecursionError) as error:
        raise InputError(f"{path}: not JSON ({error}); remove it and run stage 1 again") from error
    if not isinstance(record, dict) or record.get("by") not in ("session", "speaker"):
        raise InputError(f"{path}: does not say whether the fold holds out a session or a speaker; run stage 1 again")
    if str(record.get("number")) != fold:
        raise InputError(f"{path}: that of fold {record.get('number')}, copied? Move {path.parent} out of {datadir}")
    return record


def read_dev(fold_data: Path) -> list[Example]:
    """The utterances that choose a fold's epoch; none where it has no such part."""
    return read_datadir(fold_data / "dev") if (fold_data / "dev").is_dir() else []


def token_folder(dumpdir: Path, fold: str, token_type: str, nbpe: int) -> Path:
    """Where stage 2 leaves a fold's token list."""
    return dumpdir / f"fold{fold}" / (f"tokens_bpe{nbpe}" if token_type == "bpe" else "tokens_char")


def stage1_folder(expdir: Path, system: System, fold: str, tag: str = "") -> Path:
    """Where stage 3 leaves a fold's model: shared by all systems with the same first stage."""
    return expdir / "stage1" / f"{system.stage1_name}{_suffix(tag)}" / f"fold{fold}"


def system_folder(expdir: Path, name: str, tag: str = "") -> Path:
    """Where stages 4 to 6 leave what they make of a system."""
    return expdir / f"{name}{_suffix(tag)}"


def epoch_model(folder: Path, epoch: int) -> Path:
    """Where a training leaves what was trained as it was after an epoch, if it keeps that (ESPnet's name)."""
    return folder / f"{epoch}epoch.pth"


def trained_folds(folder: Path, asked: str = "") -> dict[str, Path]:
    """The folds below a system's folder, by name, in order.

    Args:
        folder: From :func:`system_folder`.
        asked: Names separated by spaces; all folds that there are where it is empty.

    Raises:
        InputError: When a fold that is asked for is not there.
    """
    known = list(_fold_folders(folder))
    for name in asked.split():
        if name not in known:
            raise unknown_name("fold", name, known, where=str(folder))
    return {name: folder / f"fold{name}" for name in asked.split() or known}


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
        stage1: Of the stage-1 model; None for a single-stage system, or where a public ASR model stands in for it.
        data: Its data directories, ``train``, ``test`` and so on.
        test: The utterances that the fold holds out.
        by: What folds hold out, ``session`` or ``speaker``.
        dev: The utterances that choose the epoch; none in cross-validation.
    """

    folder: Path
    stage1: Path | None
    data: Path
    test: list[Example]
    by: str
    dev: list[Example]

    @classmethod
    def find(cls, system: System, fold: str, datadir: Path, expdir: Path, tag: str = "", stage1_tag: str = "") -> "TrainedFold":
        """The fold in a recipe's folders."""
        folder = system_folder(expdir, system.name, tag) / f"fold{fold}"
        trained_here = system.stage1 is not None and not _stage1_from(folder)
        stage1 = stage1_folder(expdir, system, fold, stage1_tag) if trained_here else None
        data = datadir / f"fold{fold}"
        return cls(folder, stage1, data, read_datadir(data / "test"), read_fold(datadir, fold)["by"], read_dev(data))

    def train_texts(self) -> set[str]:
        """The transcripts of all that its models were trained on."""
        configs = [
            read_yaml_mapping(folder / "config.yaml", "train it anew") for folder in (self.folder, self.stage1) if folder
        ]
        sets = sorted({Path(config["train_dir"]).name for config in configs})
        return {example.text for name in sets for example in read_datadir(self.data / name)}

    def identity(self) -> dict[str, object]:
        """Its models, predictions and held-out data by content.

        Raises:
            InputError: When a training has not finished, has used other data or another stage-1 model than is here now, or has
                heard what the fold holds out.
        """
        model = trained_model_identity(self.folder, stage=4)
        stage1 = trained_model_identity(self.stage1, stage=3) if self.stage1 else None
        trained_on = Stamp(self.folder / DONE_FILE).inputs()
        held_out = {"test": data_identity(self.test), "dev": data_identity(self.dev) if self.dev else None}
        if any(trained_on.get(name) != here for name, here in {"stage1": stage1, **held_out}.items()):
            raise InputError(
                f"{self.folder} was trained from other data or another stage-1 model than is here now: run stage 4 again"
            )
        for trained in filter(None, (self.folder, self.stage1)):
            config = read_yaml_mapping(trained / "config.yaml", missing="train it anew")
            refuse_leak(config.get("trained_on"), [*self.test, *self.dev], self.by, trained)
            if began_with := config.get("pretrained_on"):
                refuse_leak(began_with, [*self.test, *self.dev], "speaker", f"what {trained} began with")
        return {"model": model, "stage1": stage1, **held_out}


def describe_run(fold_folder: Path) -> dict[str, object]:
    """What a reader of results wants to know of a training, from its ``config.yaml``."""
    config = read_yaml_mapping(fold_folder / "config.yaml", missing="run stage 4, which makes it")
    names = ("seed", "max_epoch", "batch_size", "optim", "optim_conf", "scheduler", "tasks", "trainable_layers", "skip_layer")
    names += ("reversed_tasks", "gradient_surgery", "aux_weight", "literal_eq")
    names += ("scheduler_conf", "dropout", "encoder_conf", "cache_cut", "cache_dtype", "use_amp", "use_tf32", "compile")
    names += ("ctc_reduction",) if "asr" in config["tasks"] else ()
    names += ("frozen",) if _freezes_layers(config) else ()
    names += ("stage1_from",) if config.get("stage1_from") else ()
    encoder = encoder_name(Path(config["ssl"])) if config.get("ssl") else config["encoder"]
    return {"encoder": encoder, **{name: config[name] for name in names if name in config}}


def _freezes_layers(config: Mapping) -> bool:
    """Whether a training left any layer above the CNN as it was."""
    encoder = {**(config.get("encoder_config") or {}), **(config.get("encoder_conf") or {})}
    return config.get("trainable_layers") is not None and config["trainable_layers"] < encoder.get("num_hidden_layers", 0)


def _stage1_from(folder: Path) -> str | None:
    """The public model that a trained model began with in stage 1's place, if any."""
    path = folder / "config.yaml"
    return read_yaml_mapping(path, missing="train it anew").get("stage1_from") if path.is_file() else None


def _fold_folders(folder: Path) -> dict[str, Path]:
    """Name of a fold -> its folder, in order: a number, so that a copy that somebody put beside it is none."""
    found = {path.name[4:]: path for path in folder.glob("fold*") if re.fullmatch("fold[0-9]+", path.name) and path.is_dir()}
    return {name: found[name] for name in sorted(found, key=int)}


def _suffix(tag: str) -> str:
    return f"_{tag}" if tag else ""
