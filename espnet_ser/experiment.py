"""One training of one fold: its folder, its inputs by content, and the ESPnet options that run it."""

import fcntl
import os
from argparse import Namespace
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import count
from pathlib import Path

from espnet_ser import __version__
from espnet_ser.data.datadir import read_datadir
from espnet_ser.encoder_folder import encoder_identity, num_layers
from espnet_ser.errors import InputError
from espnet_ser.provenance import data_identity
from espnet_ser.recipe import (
    DONE_FILE,
    MODEL_FILE,
    TOKENS_FOLDER,
    read_fold,
    stage1_folder,
    system_folder,
    token_folder,
    trained_model_identity,
)
from espnet_ser.stamp import Stamp, disk_errors_as_input_errors, file_sha256
from espnet_ser.systems import System
from espnet_ser.yaml_mapping import read_yaml_mapping

STARTED_FILE = "started.json"

MAY_CHANGE = {"tasks", "trainable_layers", "skip_layer"}
"""What a system says of its model and the user may say otherwise, among the further options."""


@dataclass(frozen=True)
class Experiment:
    """A training, told from every other by what goes into it.

    Attributes:
        folder: Where it leaves its model.
        inputs: All that its result depends on, by content; machine and number of GPUs are not among it.
        options: Names and values of the ESPnet options that run it.
        config: YAML of further ones.
        extra: Further ESPnet options, as the user wrote them.
    """

    folder: Path
    inputs: dict[str, object]
    options: dict[str, object]
    config: Path
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
        encoder_files = encoder_identity(encoder)
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
        }
        inputs = {
            "model": model_options,
            "config": read_yaml_mapping(config, missing="name a file with --stage1_config or --stage2_config"),
            "extra": list(extra),
            "seed": seed,
            "train": data_identity(read_datadir(train_dir)),
            "test": data_identity(read_datadir(test_dir)),
            "fold_by": options["fold_by"],
            "encoder": encoder_files,
            "tokens": _token_identity(token_dir) if token_dir else None,
            "stage1": _stage1_identity(stage1_dir, encoder_files, ssl) if stage1_dir else None,
            "espnet_ser": __version__,
        }
        return cls(folder, inputs, options, config, tuple(extra))

    def is_done(self) -> bool:
        """Whether this very training has finished, and its model is still what it left."""
        return Stamp(self.folder / DONE_FILE).difference(self.inputs) is None

    def check(self, ngpu: int = 0) -> Namespace:
        """Reads the options and tries them out, before anything is written.

        Args:
            ngpu: GPUs; 0 for the CPU.

        Returns:
            ESPnet's options.

        Raises:
            InputError: For an unknown option or key (the nearest is named), a value that makes no model, or whatever the task
                refuses.
        """
        from espnet_ser.tasks.options import parse_options, try_options

        command = ["--output_dir", str(self.folder), "--ngpu", str(ngpu), "--config", str(self.config)]
        if ngpu > 1:
            command += ["--multiprocessing_distributed", "true"]
        for name, value in self.options.items():
            if value is not None:
                command += [f"--{name}", *(map(str, value) if isinstance(value, list) else [str(value)])]
        args = parse_options(
            command, self.config, self.inputs["config"], self.extra, set_by_recipe=set(self.options) - MAY_CHANGE
        )
        try_options(args)
        return args

    def run(self, args: Namespace) -> None:
        """Trains, going on with what an interrupted run left, and stamps the folder when it is done.

        A model trained on other inputs is moved to ``<folder>.superseded-<n>`` rather than lost.

        Args:
            args: From :meth:`check`.

        Raises:
            InputError: When another run trains here already, the disk is full, or the training fails.
        """
        from espnet_ser.tasks.ser import SERTask

        with disk_errors_as_input_errors(self.folder), self._alone():
            self._make_folder_ready()
            SERTask.main(args)
            outputs = [self.folder / name for name in (MODEL_FILE, "config.yaml", TOKENS_FOLDER)]
            Stamp(self.folder / DONE_FILE).write(self.inputs, [output for output in outputs if output.exists()])

    @contextmanager
    def _alone(self) -> Iterator[None]:
        self.folder.parent.mkdir(parents=True, exist_ok=True)
        with open(self.folder.with_name(f".{self.folder.name}.lock"), "a") as lock:
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError as error:
                raise InputError(
                    f"{self.folder}: another run is training here; wait for it, or give this one a --tag"
                ) from error
            yield

    def _make_folder_ready(self) -> None:
        started = Stamp(self.folder / STARTED_FILE)
        changes = started.difference(self.inputs)
        if changes is None:
            return
        left = [path for path in self.folder.iterdir() if path.name != STARTED_FILE] if self.folder.exists() else []
        if left:
            numbers = count(1)
            while (aside := self.folder.with_name(f"{self.folder.name}.superseded-{next(numbers)}")).exists():
                pass
            os.rename(self.folder, aside)
            print(f"{self.folder}: trained on other inputs ({'; '.join(changes[:3])}); moved to {aside}", flush=True)
        self.folder.mkdir(exist_ok=True)
        started.write(self.inputs, [])


def _token_identity(folder: Path) -> dict[str, str]:
    if not (folder / "tokens.txt").is_file():
        raise InputError(f"{folder}/tokens.txt is missing: run stage 2, which makes it")
    return {name: file_sha256(folder / name) for name in ("tokens.txt", "bpe.model") if (folder / name).is_file()}


def _stage1_identity(folder: Path, encoder: dict[str, str], ssl: str) -> dict[str, str]:
    identity = trained_model_identity(folder, stage=3)
    if Stamp(folder / DONE_FILE).inputs().get("encoder") != encoder:
        raise InputError(
            f"{folder} was trained from another encoder than --ssl {ssl}: give that one, or run stage 3 for this one"
        )
    return identity
