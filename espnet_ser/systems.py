"""Systems: the rows of the paper's tables, as data.

A system is a file ``conf/systems/<name>.yaml`` that says which tasks each stage trains, how many Transformer layers, and
whether the gender head has the skip branch; how a stage is trained is another file's matter.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from espnet_ser.errors import InputError, unknown_name
from espnet_ser.yaml_mapping import read_yaml_mapping

PAPER_LAYERS = 12
"""wav2vec2-base's depth: layers in system files are counted on it and scaled to encoders of another depth."""

PAPER_FROZEN_LAYERS = 4
"""m, the lower layers that stage 2 freezes, and the layer that the skip branch taps (Sec. 3.2)."""

_TASKS = ("emotion", "asr", "gender", "style")


@dataclass(frozen=True)
class Stage:
    """One training.

    Attributes:
        tasks: What is trained, of emotion, asr, gender and style.
        trainable_layers: Transformer layers trained, from the top, on the paper's scale of 12.
        skip: Whether the gender head sees layer m's output beside the last one's (Sec. 2.3).
    """

    tasks: tuple[str, ...]
    trainable_layers: int = PAPER_LAYERS
    skip: bool = False

    def model_options(self, num_layers: int) -> dict[str, object]:
        """The options of the model for an encoder of ``num_layers`` layers.

        >>> Stage(("emotion",), trainable_layers=8).model_options(6)
        {'tasks': ['emotion'], 'trainable_layers': 4, 'skip_layer': None}
        """
        scale = num_layers / PAPER_LAYERS
        return {
            "tasks": list(self.tasks),
            "trainable_layers": round(self.trainable_layers * scale),
            "skip_layer": num_layers - round((PAPER_LAYERS - PAPER_FROZEN_LAYERS) * scale) if self.skip else None,
        }


@dataclass(frozen=True)
class System:
    """A row of a table.

    Attributes:
        name: ``asr_gender_skip__ser``.
        stage1: The first stage of a two-stage system; None for single-stage ones.
        ser: The stage that trains emotion.
        paper: The paper's figures for it: UA, WA, gender UA, WER in percent, where it gives them.
    """

    name: str
    stage1: Stage | None
    ser: Stage
    paper: Mapping[str, float]

    @property
    def stage1_name(self) -> str | None:
        """The name that systems with the same first stage share: ``asr_gender_skip``."""
        if self.stage1 is None:
            return None
        return "_".join(self.stage1.tasks) + ("_skip" if self.stage1.skip else "")


def load_system(conf_dir: Path, name: str) -> System:
    """Reads one system.

    Args:
        conf_dir: The folder ``conf`` of the recipe.
        name: The system's name.

    Raises:
        InputError: For an unknown system, key or task, or a value of the wrong kind; the nearest valid name is given.
    """
    folder = conf_dir / "systems"
    path = folder / f"{name}.yaml"
    names = list_systems(conf_dir)
    if name not in names:
        raise unknown_name("system", name, names)
    content = read_yaml_mapping(path, missing="it was there a moment ago")
    _check_keys(path, "key", content, ("stage1", "ser", "paper"))
    if "ser" not in content:
        raise InputError(f"{path}: the key 'ser' is missing")
    stage1 = _stage(path, content["stage1"]) if "stage1" in content else None
    paper = content.get("paper") or {}
    if not isinstance(paper, dict) or not all(isinstance(figure, int | float) for figure in paper.values()):
        raise InputError(f"{path}: paper must be a mapping of scores to numbers")
    _check_keys(path, "key of paper", paper, ("ua", "wa", "gender_ua", "wer"))
    system = System(name, stage1, _stage(path, content["ser"]), paper)
    if "emotion" not in system.ser.tasks:
        raise InputError(f"{path}: 'ser' must train emotion")
    return system


def list_systems(conf_dir: Path) -> list[str]:
    """The names of all systems, sorted."""
    return sorted(path.stem for path in (conf_dir / "systems").glob("*.yaml") if not path.name.startswith("."))


def _stage(path: Path, content: object) -> Stage:
    if not isinstance(content, dict) or not isinstance(content.get("tasks"), list):
        raise InputError(f"{path}: a stage is a mapping with a list of 'tasks'")
    _check_keys(path, "key of a stage", content, ("tasks", "trainable_layers", "skip"))
    for task in content["tasks"]:
        if task not in _TASKS:
            raise unknown_name("task", str(task), _TASKS, where=str(path))
    layers = content.get("trainable_layers", PAPER_LAYERS)
    if type(layers) is not int or not 0 <= layers <= PAPER_LAYERS:
        raise InputError(f"{path}: trainable_layers must be 0 to {PAPER_LAYERS}, not {layers!r}")
    if not isinstance(content.get("skip", False), bool):
        raise InputError(f"{path}: skip must be true or false, not {content['skip']!r}")
    if not content["tasks"] or len(set(content["tasks"])) < len(content["tasks"]):
        raise InputError(f"{path}: tasks must name at least one task, each once")
    if content.get("skip") and "gender" not in content["tasks"]:
        raise InputError(f"{path}: skip is a branch of the gender head, and gender is not among the tasks")
    return Stage(tuple(content["tasks"]), layers, content.get("skip", False))


def _check_keys(path: Path, kind: str, content: Mapping, known: tuple[str, ...]) -> None:
    for key in content:
        if key not in known:
            raise unknown_name(kind, str(key), known, where=str(path))
