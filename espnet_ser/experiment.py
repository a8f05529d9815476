"""One training of one fold: its folder, its inputs by content, and the ESPnet options that run it."""

import errno
import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import yaml

from espnet_ser import __version__
from espnet_ser.data.datadir import read_datadir
from espnet_ser.encoder_folder import encoder_identity, num_layers
from espnet_ser.errors import InputError, unknown_name
from espnet_ser.history import read_history
from espnet_ser.provenance import data_identity
from espnet_ser.recipe import (
    DONE_FILE,
    MODEL_FILE,
    read_fold,
    stage1_folder,
    system_folder,
    token_folder,
    trained_model_identity,
)
from espnet_ser.stamp import Stamp, disk_errors_as_input_errors, file_sha256
from espnet_ser.systems import System

STARTED_FILE = "started.json"


@dataclass(frozen=True)
class Experiment:
    """A training, told from every other by what goes into it.

    Attributes:
        folder: Where it leaves its model.
        inputs: All that its result depends on, by content; machine and number of GPUs are not among it.
        options: Names and values of the ESPnet options that run it.
        extra: Further ESPnet options, as the user wrote them.
    """

    folder: Path
    inputs: dict[str, object]
    options: dict[str, object]
    extra: tuple[str, ...]

    @classmethod
    def of_fold(
        cls,
        system: System,
        stage: str,
        fold: str,
        datadir: Path,
        dumpdir: Path,
        expdir: Path,
        ssl: str,
        config: Path,
        extra: Sequence[str] = (),
        token: tuple[str, int] = ("char", 0),
        stage1_data: str = "four",
        tags: tuple[str, str] = ("", ""),
        seed: int = 0,
    ) -> "Experiment":
        """The training of one fold of a system.

        Args:
            system: What to train.
            stage: ``stage1`` or ``ser``.
            fold: The fold's name.
            datadir: What recipe stage 1 left.
            dumpdir: What recipe stage 2 left.
            expdir: Where experiments go.
            ssl: Pretrained encoder: a folder or a hub name.
            config: YAML of ESPnet options.
            extra: Further ESPnet options; they outrank the configuration's.
            token: Token type and number of BPE tokens.
            stage1_data: ``four`` (the four classes) or ``all`` utterances of the training sessions for stage 1.
            tags: Suffixes of the system's and the stage-1 folder.
            seed: Random seed.

        Raises:
            InputError: When something that it needs is missing; the stage that makes it is named.
        """
        from espnet_ser.hub import resolve_encoder

        if stage == "stage1" and system.stage1 is None:
            raise InputError(f"system {system.name} has a single stage: it has no stage-1 model to train")
        part = system.stage1 if stage == "stage1" else system.ser
        train_set = "train_all" if stage == "stage1" and stage1_data == "all" else "train"
        train_dir, test_dir = datadir / f"fold{fold}" / train_set, datadir / f"fold{fold}" / "test"
        encoder = resolve_encoder(ssl)
        model_options = part.model_options(num_layers(encoder))
        stage1_dir = stage1_folder(expdir, system, fold, tags[1]) if stage == "ser" and system.stage1 is not None else None
        token_dir = token_folder(dumpdir, fold, *token) if "asr" in part.tasks else None
        folder = (
            stage1_folder(expdir, system, fold, tags[1])
            if stage == "stage1"
            else system_folder(expdir, system.name, tags[0]) / f"fold{fold}"
        )
        options = {
            **model_options,
            "train_dir": str(train_dir),
            "valid_dir": str(test_dir),
            "fold_by": read_fold(datadir, fold)["by"],
            "token_dir": str(token_dir) if token_dir else None,
            "ssl": str(encoder),
            "stage1_dir": str(stage1_dir) if stage1_dir else None,
            "seed": seed,
            "config": str(config),
        }
        inputs = {
            "model": model_options,
            "config": _read_config(config),
            "extra": list(extra),
            "seed": seed,
            "train": data_identity(read_datadir(train_dir)),
            "test": data_identity(read_datadir(test_dir)),
            "fold_by": options["fold_by"],
            "encoder": encoder_identity(encoder),
            "tokens": _token_identity(token_dir) if token_dir else None,
            "stage1": trained_model_identity(stage1_dir, stage=3) if stage1_dir else None,
            "espnet_ser": __version__,
        }
        return cls(folder, inputs, options, tuple(extra))

    def is_done(self) -> bool:
        """Whether this very training has finished, and its model is still what it left."""
        return Stamp(self.folder / DONE_FILE).difference(self.inputs) is None

    def begin(self) -> None:
        """Makes the folder ready: what an interrupted run of the same inputs left is kept, anything else is set aside.

        A model trained on other inputs is moved to ``<folder>.superseded-<n>`` rather than lost.
        """
        with disk_errors_as_input_errors(self.folder):
            started = Stamp(self.folder / STARTED_FILE)
            changes = started.difference(self.inputs)
            if changes is not None and self.folder.exists() and any(self.folder.iterdir()):
                number = 1
                while (aside := self.folder.with_name(f"{self.folder.name}.superseded-{number}")).exists():
                    number += 1
                os.rename(self.folder, aside)
                print(f"{self.folder}: trained on other inputs ({'; '.join(changes[:3])}); moved to {aside}")
            self.folder.mkdir(parents=True, exist_ok=True)
            started.write(self.inputs, [])

    def run(self, ngpu: int = 0) -> None:
        """Trains, and stamps the folder when it is done.

        Args:
            ngpu: GPUs; 0 for the CPU.

        Raises:
            InputError: For an unknown option, or whatever the task refuses.
        """
        from espnet_ser.tasks.ser import SERTask

        parser = SERTask.get_parser()
        _check_options(parser, self.options["config"], self.inputs["config"])
        command = ["--output_dir", str(self.folder), "--ngpu", str(ngpu)]
        if ngpu > 1:
            command += ["--multiprocessing_distributed", "true"]
        for name, value in self.options.items():
            if value is not None:
                command += [f"--{name}", *(map(str, value) if isinstance(value, list) else [str(value)])]
        args, unknown = parser.parse_known_args([*command, *self.extra])
        if unknown:
            known = [option for action in parser._actions for option in action.option_strings]
            raise unknown_name("ESPnet option", unknown[0], known, where="--args")
        with disk_errors_as_input_errors(self.folder):
            try:
                SERTask.main(args)
            except RuntimeError as error:
                # What torch.save says of a full disk; its own exceptions do not carry the cause.
                if "PytorchStreamWriter" not in str(error) and "unexpected pos" not in str(error):
                    raise
                raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC)) from error
            reached = max((record["epoch"] for record in read_history(self.folder)), default=0)
            if reached < args.max_epoch and args.patience is None:
                raise InputError(
                    f"{self.folder}: training stopped at epoch {reached} of {args.max_epoch}, its gradients infinite or NaN; "
                    f"try a lower learning rate (--optim_conf lr=...)"
                )
            Stamp(self.folder / DONE_FILE).write(self.inputs, [self.folder / MODEL_FILE, self.folder / "config.yaml"])


def _check_options(parser, path: object, config: dict) -> None:
    known = {action.dest for action in parser._actions}
    for key in config:
        if key not in known:
            raise unknown_name("option", key, known, where=str(path))


def _read_config(path: Path) -> dict:
    if not path.is_file():
        raise InputError(f"{path}: no such configuration file")
    try:
        config = yaml.safe_load(path.read_text(encoding="utf-8"))
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise InputError(f"{path}: not YAML: {str(error).splitlines()[0]}") from error
    if not isinstance(config, dict):
        raise InputError(f"{path}: not a mapping of ESPnet options")
    return config


def _token_identity(folder: Path) -> dict[str, str]:
    if not (folder / "tokens.txt").is_file():
        raise InputError(f"{folder}/tokens.txt is missing: run stage 2, which makes it")
    return {name: file_sha256(folder / name) for name in ("tokens.txt", "bpe.model") if (folder / name).is_file()}
