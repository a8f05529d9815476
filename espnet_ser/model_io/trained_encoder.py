"""An encoder that was exported from a trained model says what it was trained on; it is not tested on that."""

from collections.abc import Iterable, Mapping
from pathlib import Path

from espnet_ser.data.datadir import Example
from espnet_ser.data.leakage import all_of, check_leak
from espnet_ser.errors import InputError
from espnet_ser.model_io.encoder_folder import read_encoder_config
from espnet_ser.utils.yaml_mapping import read_yaml_mapping

OURS = "espnet_ser"  # under which key of ``config.json`` stage 7 keeps what a model was trained on


def encoder_trained_on(folder: Path) -> dict[str, list[str]] | None:
    """What an encoder that stage 7 exported says it was trained on, wherever its folder lies; None for a public one. Its
    ``config.json`` says so, and the models that were packed next to it. Returns ``{"sessions": [...], "speakers": [...]}``.
    Raises InputError when what it says cannot be read.
    """
    ours = read_encoder_config(folder).get(OURS)
    records = [(folder / "config.json", ours.get("trained_on") if isinstance(ours, dict) else ours)]
    for path in (folder / "config.yaml", *sorted(folder.glob("espnet/*/config.yaml"))):
        if path.is_file():
            model = read_yaml_mapping(path, missing="copy the model again")
            records += [(path, model.get(key)) for key in ("trained_on", "pretrained_on")]
    known = []
    for path, record in records:
        if record is None:
            continue
        lists = [record.get(key) for key in ("sessions", "speakers")] if isinstance(record, Mapping) else [None]
        if not all(isinstance(names, list) and all(isinstance(name, str) for name in names) for names in lists):
            raise InputError(f"{path}: does not say what it was trained on as stage 7 does; copy the model again")
        known.append(record)
    return all_of(*known)


def check_encoder_leak(folder: Path, test: Iterable[Example]) -> dict[str, list[str]] | None:
    """Stops an encoder that stage 7 exported from a model trained on what is to be tested on. Speakers count. A session is but
    a number, and that of another corpus is another session. ``folder``: as transformers saved it. Returns from
    :func:`encoder_trained_on`. Raises InputError when a held-out speaker was trained on.
    """
    if known := encoder_trained_on(folder):
        check_leak(known, test, "speaker", f"the encoder {folder}", "take an encoder, or the model of a fold, that was not")
    return known
