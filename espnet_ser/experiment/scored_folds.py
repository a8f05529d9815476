"""The folds of a system, shown to be alike, read for scoring.

Scores are pooled over folds as if one system had made them. So every fold must have been trained in the same way, and the
epochs of all of them chosen together, from the models that are here now.
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from espnet_ser.data.identity import corpus_sha256
from espnet_ser.errors import InputError
from espnet_ser.evaluation.predictions import SELECTIONS, WITHOUT_DEV, headline, predictions_path, read_predictions
from espnet_ser.evaluation.results import common_selections, summarise
from espnet_ser.evaluation.slices import slices_of
from espnet_ser.experiment.trained_fold import TrainedFold, describe_run
from espnet_ser.layout import DONE_FILE, EMBEDDINGS_FILE, ENVIRONMENT_FILE, HISTORY_FILE, SELECTED_FILE
from espnet_ser.train.history import read_history
from espnet_ser.utils.hashing import file_sha256, fingerprint
from espnet_ser.utils.stamp import Stamp, flat
from espnet_ser.utils.yaml_mapping import read_yaml_mapping

_OF_THE_FOLD = ("train", "test", "dev", "tokens", "stage1")
"""What goes into a training and differs between folds by nature."""

_ALWAYS_SHOWN = ("max_epoch", "optim_conf")
"""Settings of the intermediate finetuning that are shown even where SER finetuning has the same."""


@dataclass(frozen=True)
class PooledFolds:
    """Folds that may be scored together."""

    folds: Mapping[str, TrainedFold]  # fold -> what trainings left of it
    # fold -> selection -> lines of predictions; a selection that a fold lacks is left out
    predictions: Mapping[str, Mapping[str, list[dict]]]
    train_texts: Mapping[str, set[str]]  # fold -> the transcripts of all that its models were trained on

    @classmethod
    def read(cls, folds: Mapping[str, TrainedFold]) -> "PooledFolds":
        """Reads the predictions of all folds. ``folds``: fold -> what trainings left of it; at least one. Raises InputError
        when predictions are missing or have changed, folds were trained differently, their epochs were not chosen together, or
        something was trained again since.
        """
        for fold in folds.values():
            if changed := Stamp(fold.folder / SELECTED_FILE).changed_outputs():
                raise InputError(f"predictions in {fold.folder}: {'; '.join(changed)}; run stage 5 again")
        _check_alike({fold.folder: _recorded_training(fold.folder) for fold in folds.values()})
        _check_alike({fold.intermediate: _recorded_training(fold.intermediate) for fold in folds.values() if fold.intermediate})
        _check_outdated(folds)
        predictions = {}
        for name, fold in folds.items():
            paths = {selection: predictions_path(fold.folder, selection) for selection in SELECTIONS}
            predictions[name] = {s: read_predictions(path) for s, path in paths.items() if s == WITHOUT_DEV or path.is_file()}
            if {line["utt"] for line in predictions[name][WITHOUT_DEV]} != {example.utt for example in fold.test}:
                raise InputError(
                    f"predictions in {fold.folder} are not of the utterances that this fold holds out; run stage 5"
                )
        return cls(folds, predictions, {name: fold.train_texts() for name, fold in folds.items()})

    def identity(self) -> dict[str, object]:
        """All that is read of the folds, by content."""
        return {
            "settings": self.settings(),
            "trained_with": self.trained_with(),
            "predictions": {
                name: {s: file_sha256(predictions_path(self.folds[name].folder, s)) for s in by}
                for name, by in self.predictions.items()
            },
            "train_texts": {name: fingerprint(sorted(texts)) for name, texts in self.train_texts.items()},
            "embeddings": {name: file_sha256(path) for name, path in self.embeddings_paths().items()},
            "histories": {
                title: {name: fingerprint([{**record, "seconds": None} for record in records]) for name, records in by.items()}
                for title, by in self.histories().items()
            },
            "trace": self.trace(),
            "trained_by": self.trained_by(),
        }

    def trace(self) -> dict[str, object]:
        """What the figures come from, by content: the same in two equal runs, wherever and whenever they were made. Returns
        ``{"corpus": SHA-256 of all held-out utterances, "seed", "espnet_ser": version that trained, "trainings": {fold:
        {"stage1", "ser"}}}``; a training is the SHA-256 of all that went into it but an intermediate model's weights.
        """
        inputs = Stamp(next(iter(self.folds.values())).folder / DONE_FILE).inputs()
        return {
            "corpus": corpus_sha256(example for fold in self.folds.values() for example in fold.test),
            "seed": inputs.get("seed"),
            "espnet_ser": inputs.get("espnet_ser"),
            "trainings": {
                name: {finetuning: _training_sha256(folder) for finetuning, folder in _trainings(fold).items()}
                for name, fold in self.folds.items()
            },
        }

    def trained_by(self) -> dict[str, dict[str, dict[str, str]]]:
        """Fold -> finetuning -> the command that trained, the machine's name, the SHA-256 of the training's ``config.yaml``.
        Raises InputError when a fold's record is damaged.
        """
        return {
            name: {finetuning: _trained_by(folder) for finetuning, folder in _trainings(fold).items()}
            for name, fold in self.folds.items()
        }

    def settings(self) -> dict[str, object]:
        """With what the folds were trained, and what of the intermediate finetuning differs from it or matters as much."""
        first = next(iter(self.folds.values()))
        settings = describe_run(first.folder)
        if first.intermediate is None:
            return settings
        data = {"train": "utterances of the classes", "train_all": "all utterances"}
        name = _data_of(first.intermediate)
        intermediate = {
            key: v for key, v in describe_run(first.intermediate).items() if key in _ALWAYS_SHOWN or settings.get(key) != v
        }
        return {
            **settings,
            **{f"intermediate: {key}": value for key, value in {"data": data.get(name, name), **intermediate}.items()},
        }

    def trained_with(self) -> dict[str, str]:
        """Machine, versions, commit and date of the SER trainings; where folds differ, each value with its folds. Raises
        InputError when a fold's record is damaged.
        """
        environments = {name: _run_record(fold.folder)["environment"] for name, fold in self.folds.items()}
        environments = {name: environment for name, environment in environments.items() if environment}
        trained_with = {}
        for key in dict.fromkeys(key for environment in environments.values() for key in environment):
            by_value: dict[str, list[str]] = {}
            for name, environment in environments.items():
                by_value.setdefault(environment.get(key, "not recorded"), []).append(name)
            several = len(by_value) > 1
            trained_with[key] = ", ".join(
                f"{value} (fold {' '.join(names)})" if several else value for value, names in by_value.items()
            )
        return trained_with

    def summarise(self, system: str, num_folds: int) -> dict:
        """The content of ``results.json``: scores, and under ``trace`` what they come from. ``num_folds``: how many folds the
        recipe has, these among them.
        """
        slices = slices_of(self.headline_lines(), {name: fold.test for name, fold in self.folds.items()}, self.train_texts)
        return {**summarise(system, self.predictions, slices, num_folds), "trace": self.trace()}

    def headline_lines(self) -> dict[str, list[dict]]:
        """Fold -> its predictions by the selection whose scores are put first."""
        main = headline(common_selections(self.predictions))
        return {name: by[main] for name, by in self.predictions.items()}

    def histories(self) -> dict[str, dict[str, list[dict]]]:
        """Title of a finetuning -> fold -> records of ``history.jsonl``. Raises InputError when a record lacks what is drawn of
        it.
        """
        intermediate = {name: _history(fold.intermediate) for name, fold in self.folds.items() if fold.intermediate}
        ser = {name: _history(fold.folder) for name, fold in self.folds.items()}
        return {**({"stage1": intermediate} if intermediate else {}), "SER": ser}

    def embeddings_paths(self) -> dict[str, Path]:
        """Fold -> the embeddings of its held-out utterances, where there are any."""
        return {name: path for name, fold in self.folds.items() if (path := fold.folder / EMBEDDINGS_FILE).is_file()}


def _history(folder: Path) -> list[dict]:
    records = read_history(folder)
    for record in records:
        parts = [record.get("train"), record.get("valid")]
        if not all(isinstance(part, dict) and isinstance(part.get("loss"), int | float) for part in parts):
            raise InputError(
                f"{folder / HISTORY_FILE}: the record of epoch {record['epoch']} has no losses; remove the file, or train anew"
            )
    return records


def _recorded_training(folder: Path) -> dict[str, object]:
    """All inputs of a training, by dotted name, but for what is the fold's own."""
    inputs = Stamp(folder / DONE_FILE).inputs()
    inputs = {key: value for key, value in inputs.items() if key not in _OF_THE_FOLD}
    # A token list is the fold's own, as the utterances are; of what kind they are is not.
    return flat({**inputs, "data": _data_of(folder), "files of the token list": sorted(inputs.get("tokens") or ())})


def _data_of(folder: Path) -> str:
    """Which of the fold's data directories a model was trained on."""
    return Path(read_yaml_mapping(folder / "config.yaml", missing="train it anew").get("train_dir", "")).name


def _check_alike(trainings: Mapping[Path, Mapping[str, object]]) -> None:
    first = next(iter(trainings), None)
    for folder, training in trainings.items():
        for key in sorted(training.keys() | trainings[first].keys()):
            ours, others = (values.get(key, "unset") for values in (training, trainings[first]))
            if ours != others:
                raise InputError(
                    f"{folder} was trained with {key} {ours}, {first} with {others}: scores of different systems are not "
                    f"pooled; run stages 3 to 5 for all folds alike"
                )


def _check_outdated(folds: Mapping[str, TrainedFold]) -> None:
    """Stops at epochs that were chosen apart, or from other models than are here now."""
    chosen_from = {name: Stamp(fold.folder / SELECTED_FILE).inputs() for name, fold in folds.items()}
    first = next(iter(folds))
    for name, fold in folds.items():
        if chosen_from[name] != chosen_from[first]:
            raise InputError(
                f"{fold.folder} and {folds[first].folder}: epochs were not chosen together; run stage 5 again, for all folds"
            )
        if fingerprint(chosen_from[name].get("folds", {}).get(name)) != fingerprint(fold.identity()):
            raise InputError(
                f"{fold.folder}: its epochs were chosen from other models or data than are here now; run stage 5 again"
            )


def _trainings(fold: TrainedFold) -> dict[str, Path]:
    return {**({"stage1": fold.intermediate} if fold.intermediate else {}), "ser": fold.folder}


def _training_sha256(folder: Path) -> str:
    """All that went into a training; equal trainings leave equal weights, but not files of the same bytes."""
    return fingerprint({**Stamp(folder / DONE_FILE).inputs(), "stage1": None})


def _trained_by(folder: Path) -> dict[str, str]:
    record, config = _run_record(folder), Stamp(folder / DONE_FILE).output_sha256().get("config.yaml", "")
    return {"command": record["command"], "host": record["host"], "config_sha256": config}


def _run_record(folder: Path) -> dict:
    """What ``environment.json`` says: ``command``, ``host``, ``environment``; empty where it does not."""
    path = folder / ENVIRONMENT_FILE
    try:
        record = json.loads(path.read_text(encoding="utf-8"))
        environment = {str(key): str(value) for key, value in record["environment"].items()}
        return {"command": str(record.get("command", "")), "host": str(record.get("host", "")), "environment": environment}
    except FileNotFoundError:
        return {"command": "", "host": "", "environment": {}}
    except (OSError, ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        raise InputError(f"{path}: not a record of machine and versions; remove it, or train the fold again") from error
