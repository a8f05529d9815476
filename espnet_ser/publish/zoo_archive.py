"""A trained fold as an archive of ESPnet's own kind.

:class:`espnet_model_zoo.downloader.ModelDownloader` unpacks it, :func:`espnet_ser.model_io.load.load_model` reads it as it is.
It holds the SER model, and next to it the intermediate model where that tells something (words, gender) that the SER
model does not. Settings are those that the models are built from, without the paths of the machine that trained them.
"""

import contextlib
import io
import os
import shutil
import zipfile
from collections.abc import Iterator
from pathlib import Path

import yaml

from espnet_ser.data.tokens import copy_tokenizer
from espnet_ser.layout import FROZEN_FILE, MODEL_FILE, TOKENS_FOLDER
from espnet_ser.model_io.encoder_config import encoder_settings
from espnet_ser.model_io.model_config import model_settings
from espnet_ser.model_io.model_folder import CONFIG_FILE, META_FILE
from espnet_ser.models.encoders import ENCODERS
from espnet_ser.models.ser_model import SERModel
from espnet_ser.tasks_table import of_kind
from espnet_ser.utils.atomic import atomic_path, atomic_write
from espnet_ser.utils.yaml_mapping import read_yaml_mapping

SER_FOLDER = "espnet/ser"
"""Where the archive, and the folder that it is made of, keep the SER model."""

INTERMEDIATE_FOLDER = "espnet/stage1"
"""Likewise the intermediate model."""


def copy_model(model: SERModel, source: Path, target: Path, model_file: Path | None = None) -> None:
    """Copies a trained model to a new folder: weights, tokens, and of the settings what the model is built from.

    Args:
        model: As :func:`espnet_ser.model_io.load.load_model` gave it from ``source``.
        source: What training left.
        target: Does not exist yet.
        model_file: What was trained as another epoch left it, not the last one.
    """
    settings = model_settings(read_yaml_mapping(source / CONFIG_FILE, missing="train the model first"))
    if ENCODERS[settings["encoder"]].pretrained:  # as transformers saved it, it may say where it lay
        known = {"model_type", *encoder_settings(type(model.encoder.wav2vec2.config))}
        settings["encoder_config"] = {key: value for key, value in settings["encoder_config"].items() if key in known}
    target.mkdir(parents=True)
    atomic_write(target / CONFIG_FILE, yaml.safe_dump(settings, allow_unicode=True))
    shutil.copyfile(source / FROZEN_FILE, target / FROZEN_FILE)
    shutil.copyfile(model_file or source / MODEL_FILE, target / MODEL_FILE)
    if of_kind("ctc", model.tasks):
        copy_tokenizer(source / TOKENS_FOLDER, target / TOKENS_FOLDER)


def write_archive(folder: Path, archive: Path, extra: tuple[str, ...] = ()) -> None:
    """Packs the models of a folder by ESPnet's ``pack``, and leaves its ``meta.yaml`` in the folder too.

    With it the folder itself is laid out as ESPnet's model zoo reads repositories of the Hugging Face hub.

    Args:
        folder: Holds :data:`SER_FOLDER`, and may hold :data:`INTERMEDIATE_FOLDER`.
        archive: The archive to write; its ending says of which kind.
        extra: Further files of the folder that go with the models.
    """
    from espnet2.main_funcs.pack_funcs import pack

    config, model = f"{SER_FOLDER}/{CONFIG_FILE}", f"{SER_FOLDER}/{MODEL_FILE}"
    models = [
        path for name in (SER_FOLDER, INTERMEDIATE_FOLDER) for path in sorted((folder / name).rglob("*")) if path.is_file()
    ]
    others = [path.relative_to(folder).as_posix() for path in models]
    others = [*(name for name in others if name not in (config, model)), *extra]
    with atomic_path(archive.absolute()) as unfinished, _working_in(folder), contextlib.redirect_stdout(io.StringIO()):
        # The keys are the arguments of ESPnet's inference.
        pack({"ser_model_file": model}, {"ser_train_config": config}, unfinished, others)
    with zipfile.ZipFile(archive) as packed:
        atomic_write(folder / META_FILE, packed.read(META_FILE))


@contextlib.contextmanager
def _working_in(folder: Path) -> Iterator[None]:
    """The working directory while the body runs: ESPnet names files in an archive as they are named from there."""
    before = os.getcwd()
    os.chdir(folder)
    try:
        yield
    finally:
        os.chdir(before)
