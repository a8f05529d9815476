"""One training of one fold: its folder, its inputs by content, and the ESPnet options that run it."""

import json
import os
from argparse import Namespace
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from espnet_ser.data.datadir import read_datadir
from espnet_ser.data.identity import data_identity
from espnet_ser.data.targets import check_has_targets
from espnet_ser.data.unchanged import check_unchanged_data, token_identity
from espnet_ser.errors import InputError
from espnet_ser.experiment.folds import read_dev, read_fold, token_folder
from espnet_ser.experiment.processes import ALONE, Ranks
from espnet_ser.experiment.setup import Setup
from espnet_ser.experiment.systems import PAPER_LAYERS, System
from espnet_ser.experiment.trained_fold import trained_model_identity
from espnet_ser.layout import (
    CHECKPOINT_FILE,
    DONE_FILE,
    EMBEDDINGS_FILE,
    ENVIRONMENT_FILE,
    EPOCHS_FOLDER,
    FROZEN_FILE,
    HISTORY_FILE,
    MODEL_FILE,
    RECORDS_STAMP,
    STARTED_FILE,
    TOKENS_FOLDER,
)
from espnet_ser.model_io.encoder_folder import check_has_ctc, encoder_identity, encoder_name, encoder_source, num_layers
from espnet_ser.model_io.hub import resolve_encoder
from espnet_ser.model_io.trained_encoder import check_encoder_leak
from espnet_ser.models.encoders import ENCODERS
from espnet_ser.tasks_table import of_kind
from espnet_ser.utils.atomic import atomic_write, disk_errors_as_input_errors, remove_unfinished
from espnet_ser.utils.environment import describe_environment, host_name
from espnet_ser.utils.locks import lock_file
from espnet_ser.utils.replacing import set_aside
from espnet_ser.utils.say import say
from espnet_ser.utils.stamp import Stamp
from espnet_ser.utils.yaml_mapping import read_yaml_mapping
from espnet_ser.version import __version__

OUTPUTS = (MODEL_FILE, FROZEN_FILE, "config.yaml", TOKENS_FOLDER, EPOCHS_FOLDER, EMBEDDINGS_FILE)
"""What a training leaves, apart from the models that a selection may choose."""

MAY_CHANGE = {"trainable_layers", "skip_layer"}
"""What a system says of its model and the user may say otherwise, among the further options."""


@dataclass(frozen=True)
class Experiment:
    """A training, identified by everything that goes into it.

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
    def of_fold(cls, system: System, finetuning: str, fold: str, setup: Setup, planned: bool = False) -> "Experiment":
        """The training of one fold of a system.

        Args:
            system: What to train.
            finetuning: ``stage1`` or ``ser``.
            fold: The fold's name.
            setup: With what, and where.
            planned: Whether it is only to be tried out, before its intermediate finetuning is trained.

        Raises:
            InputError: When something that it needs is missing; the stage that makes it is named.
        """
        if finetuning == "stage1" and system.intermediate is None:
            raise InputError(f"system {system.name} has no intermediate finetuning: there is nothing to train")
        if setup.stage1_from:
            _check_stage1_from(system, finetuning)
        part = system.intermediate if finetuning == "stage1" else system.ser
        train_set = "train_all" if finetuning == "stage1" and setup.stage1_data == "all" else "train"
        train_dir, test_dir = setup.datadir / f"fold{fold}" / train_set, setup.datadir / f"fold{fold}" / "test"
        check_unchanged_data(setup.datadir, fold)
        train = read_datadir(train_dir)
        check_has_targets(part.tasks, train, train_dir)
        dev = read_dev(test_dir.parent) if finetuning == "ser" else []
        named = (setup.stage1_from, "--stage1_from") if setup.stage1_from else (setup.ssl, "--ssl")
        encoder = resolve_encoder(*named) if ENCODERS[part.encoder].pretrained else None
        test = read_datadir(test_dir)
        if setup.stage1_from:
            check_has_ctc(encoder)
        if encoder:
            check_encoder_leak(encoder, [*test, *dev])
        model_options = part.model_options(num_layers(encoder) if encoder else PAPER_LAYERS)
        has_own_intermediate = finetuning == "ser" and system.intermediate is not None and not setup.stage1_from and not planned
        intermediate = cls.of_fold(system, "stage1", fold, setup) if has_own_intermediate else None
        stage1_dir = intermediate.folder if intermediate else None
        token_dir = token_folder(setup.dumpdir, fold, *setup.token) if of_kind("ctc", part.tasks) else None
        options = {
            **model_options,
            "train_dir": str(train_dir),
            "valid_dir": str(test_dir),
            "dev_dir": str(test_dir.with_name("dev")) if dev else None,
            "fold_by": read_fold(setup.datadir, fold)["by"],
            "token_dir": str(token_dir) if token_dir else None,
            "ssl": str(encoder) if encoder else None,
            "stage1_dir": str(stage1_dir) if stage1_dir else None,
            "stage1_from": encoder_name(encoder) if setup.stage1_from else None,
            "seed": setup.seed,
            "cache": setup.cache,
            "cache_dir": str(setup.dumpdir / "cache"),
            "cache_dtype": setup.cache_dtype,
            "save_every_min": setup.save_every_min,
        }
        config, extra = setup.configs[finetuning], setup.extras[finetuning]
        cached = {} if setup.cache == "none" else {"cache": [setup.cache, setup.cache_dtype]}
        inputs = {
            "model": model_options,
            "config": read_yaml_mapping(config, missing="name a file with --stage1_config or --stage2_config"),
            "extra": list(extra),
            "seed": setup.seed,
            "train": data_identity(train),
            "test": data_identity(test),
            "dev": data_identity(dev) if dev else None,
            "fold_by": options["fold_by"],
            "tokens": token_identity(token_dir, train) if token_dir else None,
            "stage1": intermediate.trained_identity() if intermediate else None,
            "espnet_ser": __version__,
            **cached,
        }
        begun_in = "ser" if setup.stage1_from or system.intermediate is None else "stage1"  # whose encoder goes on
        is_said = any(_says_waveform(setup, training) for training in {begun_in, finetuning})
        inputs["encoder"] = encoder_identity(encoder, is_said) if encoder else None
        return cls(setup.folder(system, finetuning, fold), inputs, options, config, extra)

    def trained_identity(self) -> dict[str, str]:
        """The trained model by content.

        Raises:
            InputError: When it is missing, has changed, or was trained on other inputs than these.
        """
        identity = trained_model_identity(self.folder, stage=3)
        changes = Stamp(self.folder / DONE_FILE).difference(self.inputs)
        if changes is not None:
            raise InputError(
                f"{self.folder} was trained on other inputs ({'; '.join(changes[:3])}): run stage 3 for these, or give the "
                f"seed, encoder, --stage1_config, --stage1_args and so on that it was trained with"
            )
        return identity

    def is_done(self) -> bool:
        """Whether this very training has finished, and its model is still what it left."""
        return Stamp(self.folder / DONE_FILE).difference(self.inputs) is None

    def check(self, ngpu: int = 0, following: "Experiment | None" = None) -> Namespace:
        """Reads the options and tries them out, before anything is written.

        Args:
            ngpu: GPUs of this machine; 0 for the CPU.
            following: The planned SER finetuning of this training, which is tried out as well: what it refuses would otherwise
                come to light when this one has been trained.

        Returns:
            ESPnet's options.

        Raises:
            InputError: For an unknown option or key (the nearest is named), a value that makes no model, or whatever the task
                refuses.
        """
        from espnet_ser.tasks.options import try_options

        args = self._parse(ngpu)
        tried = try_options(args)
        if following is not None:
            try:
                try_options(following._parse(ngpu), intermediate=tried)
            except InputError as error:
                raise InputError(f"stage 4, which goes on from this: {error}") from error
        return args

    def _parse(self, ngpu: int) -> Namespace:
        from espnet_ser.tasks.options import parse_options

        command = ["--output_dir", str(self.folder), "--ngpu", str(ngpu), "--config", str(self.config)]
        for name, value in self.options.items():
            if value is not None:
                command += [f"--{name}", *(map(str, value) if isinstance(value, list) else [str(value)])]
        return parse_options(
            command, self.config, self.inputs["config"], self.extra, set_by_recipe=set(self.options) - MAY_CHANGE
        )

    def run(self, args: Namespace, command: str = "", ranks: Ranks = ALONE) -> None:
        """Trains, going on with what an interrupted run left, and stamps the folder when it is done.

        A model trained on other inputs, or changed since, is moved to ``<folder>.superseded-<n>`` rather than lost.

        Args:
            args: From :meth:`check`.
            command: The command line to record with machine and versions.
            ranks: The processes that train together. The first machine's keeps the folder; on the others it is only read.

        Raises:
            InputError: When another run trains here already, the disk is full, or the training fails.
        """
        if ranks.node > 0:
            ranks.train(args)
            return
        with disk_errors_as_input_errors(self.folder), self._alone():
            self._make_folder_ready()
            remove_unfinished(self.folder)
            if self.is_done():
                (self.folder / CHECKPOINT_FILE).unlink(missing_ok=True)
                return
            ranks.train(args)
            encoder = {"encoder": encoder_source(Path(self.options["ssl"]))} if self.options["ssl"] else {}
            environment = {**describe_environment(), **encoder}
            record = {"command": command, "host": host_name(), "environment": environment}
            atomic_write(self.folder / ENVIRONMENT_FILE, json.dumps(record, indent=1) + "\n")
            records = [self.folder / name for name in (ENVIRONMENT_FILE, HISTORY_FILE)]
            Stamp(self.folder / RECORDS_STAMP).write({}, [path for path in records if path.exists()])
            outputs = [self.folder / name for name in OUTPUTS]
            Stamp(self.folder / DONE_FILE).write(self.inputs, [output for output in outputs if output.exists()])
            (self.folder / CHECKPOINT_FILE).unlink(missing_ok=True)

    @contextmanager
    def _alone(self) -> Iterator[None]:
        self.folder.parent.mkdir(parents=True, exist_ok=True)
        with open(self.folder.with_name(f".{self.folder.name}.lock"), "a") as lock:
            if not lock_file(lock):
                raise InputError(f"{self.folder}: another run is training here; wait for it, or give this one a --tag")
            yield

    def _make_folder_ready(self) -> None:
        changes = self._unlike(self.folder)
        if changes is None:
            return
        left = [path for path in self.folder.iterdir() if path.name != STARTED_FILE] if self.folder.exists() else []
        if left:
            aside = set_aside(self.folder)
            say(f"{self.folder}: not this very training ({'; '.join(changes[:3])}); moved to {aside}", flush=True)
        if not self.folder.exists():
            for earlier in sorted(self.folder.parent.glob(f"{self.folder.name}.superseded-*")):
                if self._unlike(earlier) is None:
                    os.rename(earlier, self.folder)
                    say(f"{earlier} was trained on these very inputs: moved back to {self.folder}", flush=True)
                    return
        self.folder.mkdir(exist_ok=True)
        Stamp(self.folder / STARTED_FILE).write(self.inputs, [])

    def _unlike(self, folder: Path) -> None | list[str]:
        """Why this training cannot go on with what lies in a folder; None when it can.

        Nor with what was changed after its training had finished: that would stamp it as if it had been made so.
        """
        changes = Stamp(folder / STARTED_FILE).difference(self.inputs)
        if changes is None and (folder / DONE_FILE).exists():
            changes = Stamp(folder / DONE_FILE).difference(self.inputs)
        return changes


def _says_waveform(setup: Setup, finetuning: str) -> bool:
    """Whether a finetuning's options say if the waveform is normalised, which the encoder's folder need not do then."""
    config = read_yaml_mapping(setup.configs[finetuning], missing="name a file with --stage1_config or --stage2_config")
    return "normalize_waveform" in config or any(
        option.partition("=")[0] == "--normalize_waveform" for option in setup.extras[finetuning]
    )


def _check_stage1_from(system: System, finetuning: str) -> None:
    """Refuses an ASR model in the place of an intermediate finetuning that is none, or that learns more than ASR."""
    if finetuning == "stage1":
        raise InputError(
            "--stage1_from takes the intermediate finetuning from elsewhere: there is none to train; go on with stage 4"
        )
    if system.intermediate is None or list(system.intermediate.tasks) != of_kind("ctc", system.intermediate.tasks):
        learns = (
            "has no intermediate finetuning"
            if system.intermediate is None
            else f"learns {' and '.join(system.intermediate.tasks)} in its own"
        )
        raise InputError(
            f"--stage1_from: system {system.name} {learns}, and an ASR model has learnt asr alone; take asr__ser, "
            f"asr__ser_asr or asr__ser_gender"
        )
