"""What a trained model's ``config.yaml`` may say: every setting that its model is built from is checked before it is."""

from argparse import Namespace
from collections.abc import Mapping
from pathlib import Path

from espnet_ser.characters import MAX_CLASSES
from espnet_ser.data.tokens import BLANK, MAX_TOKEN, MAX_TOKENS, UNKNOWN
from espnet_ser.errors import InputError
from espnet_ser.model_io.model_folder import CONFIG_FILE
from espnet_ser.models.encoders import ENCODERS
from espnet_ser.models.losses import CTC_REDUCTIONS
from espnet_ser.models.pooling import POOLINGS
from espnet_ser.models.wav2vec2 import FROZEN
from espnet_ser.tasks_table import TASKS, of_kind, reversible
from espnet_ser.utils.value_checks import (
    Check,
    check_settings,
    choice,
    flag,
    mapping,
    name,
    number,
    optional,
    positive,
    several,
    text,
    token,
    whole_number,
)
from espnet_ser.utils.yaml_mapping import read_yaml_mapping

MAX_SPEAKERS = 100_000

_CLASSES = several(name(), 1, MAX_CLASSES, unique=True)
_ALWAYS: dict[str, Check] = {
    "encoder": choice(ENCODERS),
    "pooling": choice(POOLINGS),
    "reversal_scale": positive(1e6),
    "dropout": number(0, 1),
    "aux_weight": number(0, 1),
    "literal_eq": flag(),
    "gradient_surgery": flag(),
    "ctc_reduction": choice(CTC_REDUCTIONS),
    "labels": mapping(),
}
_WITH_SSL: dict[str, Check] = {
    "encoder_config": mapping(),
    "encoder_conf": mapping(),
    "normalize_waveform": flag(),
    "trainable_layers": optional(whole_number(0, 1000)),
    "skip_layer": optional(whole_number(0, 1000)),
    "frozen": choice(FROZEN),
}
_WHERE_GIVEN: dict[str, Check] = {
    "recompute_above": optional(positive(1e9)),
    "trained_on": optional(mapping()),
    "pretrained_on": optional(mapping()),
    "ssl_source": optional(text(1000)),
}
_WITH_WORDS: dict[str, Check] = {"token_list": several(token(MAX_TOKEN), 2, MAX_TOKENS, unique=True)}
_MAY_BE_NONE = {"trainable_layers", "skip_layer"}


def _task_checks() -> dict[str, Check]:
    checks = {"tasks": several(choice(TASKS), 1, len(TASKS), unique=True)}
    return checks | {"reversed_tasks": several(choice(reversible()), 0, len(reversible()), unique=True)}


def check_model_config(config: Mapping[str, object], where: object) -> None:
    """Stops at a setting that is missing, or that no training would have left.

    Args:
        config: The content of ``config.yaml``.
        where: The file, named in errors.

    Raises:
        InputError: Names the setting and what it may be.
    """
    _check(config, _ALWAYS | _task_checks(), where)
    _check(config, _WITH_SSL if ENCODERS[config["encoder"]].pretrained else {}, where)
    check_settings(config, _WHERE_GIVEN, where)
    if not set(config["reversed_tasks"]) <= set(config["tasks"]):
        raise InputError(f"{where}: reversed_tasks names a task that is not among tasks; train the model again")
    check_names(config, where)


def check_names(config: Mapping[str, object], where: object) -> None:
    """Stops at names and tokens that would not be read back from a ``config.yaml``, or of which there are none.

    Args:
        config: Its ``tasks``, ``labels``, ``token_list`` and ``trained_on``.
        where: The file, named in errors.

    Raises:
        InputError: Names the setting and what it may be.
    """
    transcribes = bool(of_kind("ctc", config["tasks"]))
    _check(config, _WITH_WORDS if transcribes else {}, where)
    if transcribes and config["token_list"][:2] != [BLANK, UNKNOWN]:
        raise InputError(f"{where}: token_list must begin with {BLANK} and {UNKNOWN}; train the model again")
    _check(config["labels"], dict.fromkeys(of_kind("classes", config["tasks"]), _CLASSES), f"{where}: labels")
    names = several(name(), 0, MAX_SPEAKERS)
    for record in ("trained_on", "pretrained_on"):
        check_settings(config.get(record) or {}, dict.fromkeys(("sessions", "speakers"), names), f"{where}: {record}")


def model_settings(config: Mapping[str, object]) -> dict[str, object]:
    """Of a ``config.yaml``, what its model is built from and what it was trained on: all that it needs to be loaded anywhere.

    How it was trained, and where things lay on that machine, is left out.
    """
    known = {**_ALWAYS, **_task_checks(), **_WITH_SSL, **_WHERE_GIVEN, **_WITH_WORDS}
    return {key: config[key] for key in known if config.get(key) is not None or key in _MAY_BE_NONE & config.keys()}


def _check(config: Mapping[str, object], checks: Mapping[str, Check], where: object) -> None:
    for key, check in checks.items():
        if key not in config:
            raise InputError(f"{where}: {key} is missing, and must be {check.wanted}; train the model again")
    check_settings(config, checks, where)


def read_config(folder: Path) -> Namespace:
    """The ``config.yaml`` that training left in a folder, as far as the model is built from it, checked.

    Raises:
        InputError: When it is missing or no mapping, or a setting of the model is missing or not one that training leaves.
    """
    missing = "train the model first (stage 3 for intermediate models, stage 4 for SER)"
    config = read_yaml_mapping(folder / CONFIG_FILE, missing)
    check_model_config(config, folder / CONFIG_FILE)
    return Namespace(**config)
