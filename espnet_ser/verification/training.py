"""A training that has finished: its files against its stamps, its data, and its predictions of every epoch."""

import os
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from espnet_ser.data.datadir import Example, read_datadir
from espnet_ser.data.identity import data_identity
from espnet_ser.data.leakage import check_leak, check_shared_speech, describe_training_data
from espnet_ser.data.unchanged import verify_audio
from espnet_ser.errors import InputError
from espnet_ser.evaluation.predictions import is_epoch, read_epochs
from espnet_ser.experiment.folds import read_dev, read_fold
from espnet_ser.experiment.trained_fold import trained_model_identity
from espnet_ser.layout import DATA_STAMP, DONE_FILE, EPOCHS_FOLDER, RECORDS_STAMP, STARTED_FILE, TOKENS_FOLDER
from espnet_ser.tasks_table import TASKS
from espnet_ser.utils.stamp import Stamp
from espnet_ser.utils.yaml_mapping import read_yaml_mapping
from espnet_ser.verification.finding import DAMAGE, Finding


@dataclass(frozen=True)
class Places:
    """Where to look for what models name in their ``config.yaml``."""

    # what stage 1 left; None for where it lay next to the model, or else for where the configuration says
    datadir: Path | None = None
    expdir: Path | None = None  # whose ``stage1/`` holds the intermediate models; None likewise
    audio: bool = False  # whether to read the audio files too

    def data(self, folder: Path, config: Mapping, key: str) -> Path:
        """The data directory that a model's configuration names."""
        named = Path(str(config[key]))
        return self.datadir / named.parent.name / named.name if self.datadir else _found(named, folder, config)

    def intermediate(self, folder: Path, config: Mapping) -> Path | None:
        """The folder of the intermediate model that a model began with, if any."""
        if not config.get("stage1_dir"):
            return None
        named = Path(str(config["stage1_dir"]))
        return self.expdir / "stage1" / named.parent.name / named.name if self.expdir else _found(named, folder, config)


def _found(named: Path, folder: Path, config: Mapping) -> Path:
    """A folder that a model names: where it lay next to the model, if all was moved together, else where it says."""
    output_dir = Path(str(config.get("output_dir", "")))
    if named.is_absolute() == output_dir.is_absolute():
        here = Path(os.path.normpath(folder.resolve() / os.path.relpath(named, output_dir)))
        if here.is_dir():
            return here
    return named


@dataclass(frozen=True)
class Training:
    """A training that has finished, with its data."""

    folder: Path  # where it left its model
    config: Mapping  # the content of its ``config.yaml``
    inputs: Mapping  # what its stamp says went into it
    train_dir: Path  # what it was trained on
    test_dir: Path  # what it was tested on
    train: list[Example]  # the utterances of the one
    test: list[Example]  # and of the other
    dev: list[Example]  # the utterances that chose its epoch, if any did

    @classmethod
    def find(cls, folder: Path, places: Places) -> "Training":
        """Reads what the model in a folder says of itself, and the data that it names. Raises InputError when something of it
        is missing or damaged.
        """
        config = read_yaml_mapping(folder / "config.yaml", missing="train it anew")
        for key in ("train_dir", "valid_dir", "fold_by", "max_epoch"):
            if not config.get(key):
                raise InputError(f"{folder / 'config.yaml'} does not name its {key}")
        train_dir, test_dir = (places.data(folder, config, key) for key in ("train_dir", "valid_dir"))
        dev = read_dev(test_dir.parent) if config.get("dev_dir") else []
        for data in (train_dir, test_dir):
            if not data.is_dir():
                raise InputError(f"{folder} names data in {data}, where there is none; say with --datadir where it lies now")
        inputs = Stamp(folder / DONE_FILE).inputs()
        return cls(folder, config, inputs, train_dir, test_dir, read_datadir(train_dir), read_datadir(test_dir), dev)

    def changed_files(self) -> Iterator[str]:
        """Its files against its stamp, and the stamp against the one of its beginning."""
        stamp = Stamp(self.folder / DONE_FILE)
        if changed := stamp.changed_outputs():
            yield from changed
            return
        trained_model_identity(self.folder, stage=3 if self.folder.parent.parent.name == "stage1" else 4)
        if fault := Stamp(self.folder / STARTED_FILE).changed_outputs():
            yield f"{STARTED_FILE}: {fault[0]}"
        elif Stamp(self.folder / STARTED_FILE).inputs() != self.inputs:
            yield f"{STARTED_FILE} and {DONE_FILE} name different inputs"
        yield from Stamp(self.folder / RECORDS_STAMP).changed_outputs()
        recorded = stamp.output_sha256()
        tokens = {name: recorded.get(f"{TOKENS_FOLDER}/{name}") for name in self.inputs.get("tokens") or {}}
        if tokens != (self.inputs.get("tokens") or {}):
            yield f"{TOKENS_FOLDER}/ is not the token list that went into it"
        epochs = {path.name for path in (self.folder / EPOCHS_FOLDER).iterdir() if is_epoch(path)}
        if unknown := sorted(epochs - {name.rpartition("/")[2] for name in recorded if name.startswith(f"{EPOCHS_FOLDER}/")}):
            yield f"{EPOCHS_FOLDER}/{unknown[0]} is none of its files"

    def changed_data(self) -> Iterator[str]:
        """Its data against what its stamp says, and against the stamp of stage 1 where there is one."""
        parts = {"train": (self.train_dir, self.train), "test": (self.test_dir, self.test)}
        parts["dev"] = (self.test_dir.with_name("dev"), self.dev)
        for key, (data, examples) in parts.items():
            if (data_identity(examples) if examples else None) != self.inputs.get(key):
                yield f"{data} is not what went into the training"
        fold, datadir = self.test_dir.parent.name, self.test_dir.parent.parent
        by = read_fold(datadir, fold.removeprefix("fold"))["by"]
        if not by == self.config["fold_by"] == self.inputs.get("fold_by"):
            yield f"{datadir / fold} holds out a {by}, which is not what it held out in the training"
        if (datadir / DATA_STAMP).exists():
            yield from (f"{datadir}: {change}" for change in Stamp(datadir / DATA_STAMP).changed_outputs(below=f"{fold}/"))

    def changed_audio(self) -> Iterator[str]:
        """Its audio files against what stage 1 read."""
        verify_audio([*self.train, *self.test, *self.dev])
        return iter(())

    def leaks(self) -> Iterator[str]:
        """What it was trained on against what it is tested on."""
        if self.config.get("trained_on") != describe_training_data(self.train):
            yield "config.yaml does not describe the training data"
        for trained_on in (self.config.get("trained_on"), describe_training_data(self.train)):
            check_leak(trained_on, [*self.test, *self.dev], self.config["fold_by"], self.folder)
        if began_with := self.config.get("pretrained_on"):
            check_leak(began_with, [*self.test, *self.dev], "speaker", f"what {self.folder} began with")
        check_shared_speech(self.train, [*self.test, *self.dev])
        check_shared_speech(self.dev, self.test)

    def wrong_epochs(self) -> Iterator[str]:
        """The predictions of each epoch against the utterances that they should be of."""
        for part, examples in (("test", self.test), *([("dev", self.dev)] if self.dev else [])):
            epochs = read_epochs(self.folder, part)
            if len(epochs) != self.config["max_epoch"]:
                yield f"predictions of {len(epochs)} epochs, where {self.config['max_epoch']} were trained"
            for number, lines in enumerate(epochs, 1):
                if [line["utt"] for line in lines] != [example.utt for example in examples]:
                    yield f"epoch {number} is not of the held-out utterances"
                    continue
                wrong = [e.utt for line, e in zip(lines, examples, strict=True) if not _matches(line, e)]
                if wrong:
                    yield f"epoch {number} was compared with other labels than {wrong[0]} has"


def _matches(line: Mapping, example: Example) -> bool:
    """Whether a prediction was compared with what its utterance is."""
    compared = all(line[task]["ref"] == example.reference(task) for task in TASKS if task in line)
    return compared and [line["speaker"], line["session"]] == [example.speaker, example.session]


def check_training(name: str, folder: Path, places: Places) -> Iterator[Finding]:
    """All that can be checked of one training by itself. ``name``: what to call it; ``folder``: where it left its model;
    ``places``: where its data may be.
    """
    try:
        training = Training.find(folder, places)
    except (InputError, *DAMAGE) as error:
        yield Finding(f"{name}: files of the model", tuple(Stamp(folder / DONE_FILE).changed_outputs()))
        yield Finding.of(f"{name}: configuration and data", lambda error=error: [str(error)])
        return
    yield Finding.of(f"{name}: files of the model", training.changed_files)
    yield Finding.of(f"{name}: data in {training.test_dir.parent}", training.changed_data)
    if places.audio:
        yield Finding.of(f"{name}: audio", training.changed_audio)
    elsewhere = training.config.get("stage1_from")
    unknown = f", as far as is known: the training data of {elsewhere} are not recorded here" if elsewhere else ""
    yield Finding.of(f"{name}: tested on nothing that it was trained on{unknown}", training.leaks)
    yield Finding.of(f"{name}: predictions of each epoch", training.wrong_epochs)
