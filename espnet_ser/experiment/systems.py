"""Systems: the rows of the paper's tables, as data.

A system is a file ``conf/systems/<name>.yaml`` that holds only what tells it from the others: which tasks each finetuning
trains, how many Transformer layers, skip branch, gradient reversal; how a finetuning is trained is another file's matter.
"""

from collections.abc import Mapping
from dataclasses import dataclass, fields
from pathlib import Path

from espnet_ser.errors import InputError, unknown_name
from espnet_ser.models.encoders import ENCODERS, MAX_CTC_FRAME_MS
from espnet_ser.tasks_table import MAIN_TASK, TASKS, of_kind, reversible, skipping
from espnet_ser.utils.yaml_mapping import read_yaml_mapping

PAPER_LAYERS = 12
"""wav2vec2-base's depth: layers in system files are counted on it and scaled to encoders of another depth."""

PAPER_FROZEN_LAYERS = 4
"""m, the lower layers that SER finetuning freezes, and the layer that the skip branch taps (Sec. 3.2)."""

PAPER_SCORES = ("ua", "wa", "gender_ua", "wer")
"""What the paper's tables give."""

_TABLES = (1, 2, 3)
_RESERVED = ("stage1", "systems")


@dataclass(frozen=True)
class Finetuning:
    """One training.

    Attributes:
        tasks: What is trained, of :data:`espnet_ser.tasks_table.TASKS`.
        trainable_layers: Transformer layers trained, from the top, on the paper's scale of 12.
        skip_layer: The layer whose output the gender head sees next to the last one's (m = 4, Sec. 2.3), on the same scale.
        reversed: Tasks whose gradient is reversed on its way into the encoder (Eq. 2).
        encoder: One of :data:`espnet_ser.models.encoders.ENCODERS`; ``ssl`` is the pretrained encoder that the recipe is given.
        surgery: Whether conflicting gradients are projected apart (the paper's reference 25).
    """

    tasks: tuple[str, ...]
    trainable_layers: int = PAPER_LAYERS
    skip_layer: int | None = None
    reversed: tuple[str, ...] = ()
    encoder: str = "ssl"
    surgery: bool = False

    @property
    def name(self) -> str:
        """What tells it from other finetunings: ``asr_gender_skip``, ``asr_n8``, ``asr_gender_reversed``."""
        parts = [task + ("_reversed" if task in self.reversed else "") for task in self.tasks]
        if self.skip_layer is not None:
            parts.append("skip" if self.skip_layer == PAPER_FROZEN_LAYERS else f"skip{self.skip_layer}")
        parts += [f"n{self.trainable_layers}"] if self.trainable_layers < PAPER_LAYERS else []
        parts += ["pcgrad"] if self.surgery else []
        parts += [self.encoder] if self.encoder != "ssl" else []
        return "_".join(parts)

    def model_options(self, num_layers: int) -> dict[str, object]:
        """The options of the model for a pretrained encoder of ``num_layers`` layers.

        >>> options = Finetuning(("emotion",), trainable_layers=8).model_options(6)
        >>> options["trainable_layers"], options["skip_layer"]
        (4, None)
        """

        def scaled(layers: int) -> int:
            return max(min(layers, 1), int(layers * num_layers / PAPER_LAYERS + 0.5))

        return {
            "tasks": list(self.tasks),
            "reversed_tasks": list(self.reversed) or None,
            "encoder": self.encoder,
            "gradient_surgery": self.surgery,
            "trainable_layers": scaled(self.trainable_layers),
            "skip_layer": None if self.skip_layer is None else num_layers - scaled(PAPER_LAYERS - self.skip_layer),
        }


@dataclass(frozen=True)
class System:
    """A row of a table.

    Attributes:
        name: ``asr_gender_skip__ser``.
        intermediate: The finetuning before that; None for a system that has none.
        ser: The finetuning that trains emotion.
        rows: Table of the paper -> row in it, counted from 1; empty for a system of our own.
        paper: The paper's figures for it: UA, WA, gender UA, WER in percent, where it gives them.
    """

    name: str
    intermediate: Finetuning | None
    ser: Finetuning
    rows: Mapping[int, int]
    paper: Mapping[str, float]

    @property
    def intermediate_name(self) -> str | None:
        """The name that systems with the same intermediate finetuning share: ``asr_gender_skip``."""
        return None if self.intermediate is None else self.intermediate.name


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
    _check_keys(path, "key", content, ("stage1", "ser", "rows", "paper"))
    if "ser" not in content:
        raise InputError(f"{path}: the key 'ser' is missing")
    intermediate = _finetuning(path, content["stage1"]) if "stage1" in content else None
    paper = content.get("paper") or {}
    if not isinstance(paper, dict) or not all(_is_percentage(figure) for figure in paper.values()):
        raise InputError(f"{path}: paper must be a mapping of scores to percentages")
    _check_keys(path, "key of paper", paper, PAPER_SCORES)
    rows = content.get("rows") or {}
    if not isinstance(rows, dict) or not all(table in _TABLES and type(row) is int and row > 0 for table, row in rows.items()):
        raise InputError(f"{path}: rows must be a mapping of tables ({', '.join(map(str, _TABLES))}) to rows, such as {{2: 1}}")
    system = System(name, intermediate, _finetuning(path, content["ser"]), rows, paper)
    if intermediate and intermediate.encoder != system.ser.encoder:
        raise InputError(f"{path}: the two finetunings have different encoders; SER's starts from the intermediate one's")
    before = intermediate.tasks if intermediate else ()
    shared = skipping(task for task in before if task in system.ser.tasks)
    if shared and intermediate.skip_layer != system.ser.skip_layer:
        raise InputError(
            f"{path}: the {shared[0]} head goes on from the intermediate one's: give both finetunings the skip branch, or "
            f"neither"
        )
    if name in _RESERVED or name.startswith("table"):
        raise InputError(f"{path}: exp/{name} is the name of a folder of the recipe; rename the system")
    if MAIN_TASK not in system.ser.tasks:
        raise InputError(f"{path}: 'ser' must train {MAIN_TASK}")
    return system


def check_tag(conf_dir: Path, name: str, tag: str) -> None:
    """Stops a tag with which a system's folder would be another system's: ``stl`` with the tag ``n8``.

    Raises:
        InputError: Names both.
    """
    if tag and f"{name}_{tag}" in list_systems(conf_dir):
        raise InputError(
            f"--tag {tag}: with it the folder of {name} would be that of the system {name}_{tag}; take another tag"
        )


def list_systems(conf_dir: Path) -> list[str]:
    """The names of all systems, sorted.

    Raises:
        InputError: When there is none.
    """
    names = sorted(path.stem for path in (conf_dir / "systems").glob("*.yaml") if not path.name.startswith("."))
    if not names:
        raise InputError(f"{conf_dir / 'systems'}: no system's file there; give the recipe's folder of configurations (--conf)")
    return names


def systems_of_table(conf_dir: Path, table: str) -> list[str]:
    """The names of a table's systems, in the paper's order.

    Args:
        conf_dir: The folder ``conf`` of the recipe.
        table: ``1``, ``2``, ``3`` or ``all``.

    Raises:
        InputError: For another table.
    """
    if table not in (*map(str, _TABLES), "all"):
        raise unknown_name("table", table, (*map(str, _TABLES), "all"))
    wanted = _TABLES if table == "all" else (int(table),)
    places = {}
    for name in list_systems(conf_dir):
        rows = load_system(conf_dir, name).rows
        if found := [(number, rows[number]) for number in wanted if number in rows]:
            places[name] = min(found)
    return sorted(places, key=places.__getitem__)


def _finetuning(path: Path, content: object) -> Finetuning:
    if not isinstance(content, dict):
        raise InputError(f"{path}: a finetuning is a mapping with a list of 'tasks'")
    _check_keys(path, "key of a finetuning", content, tuple(field.name for field in fields(Finetuning)))
    finetuning = Finetuning(
        tasks=_tasks(path, "tasks", content.get("tasks")),
        trainable_layers=content.get("trainable_layers", PAPER_LAYERS),
        skip_layer=content.get("skip_layer"),
        reversed=_tasks(path, "reversed", content.get("reversed", [])),
        encoder=content.get("encoder", "ssl"),
        surgery=content.get("surgery", False),
    )
    if not finetuning.tasks:
        raise InputError(f"{path}: tasks must name at least one task")
    if type(finetuning.trainable_layers) is not int or not 0 <= finetuning.trainable_layers <= PAPER_LAYERS:
        raise InputError(f"{path}: trainable_layers must be 0 to {PAPER_LAYERS}, not {finetuning.trainable_layers!r}")
    if finetuning.skip_layer is not None and (
        type(finetuning.skip_layer) is not int or not 0 <= finetuning.skip_layer <= PAPER_LAYERS
    ):
        raise InputError(f"{path}: skip_layer must be 0 to {PAPER_LAYERS}, not {finetuning.skip_layer!r}")
    if not isinstance(finetuning.surgery, bool):
        raise InputError(f"{path}: surgery must be true or false, not {finetuning.surgery!r}")
    encoder = ENCODERS.get(str(finetuning.encoder))
    if encoder is None:
        raise unknown_name("encoder", str(finetuning.encoder), ENCODERS, where=str(path))
    which = f"encoder {finetuning.encoder}"
    if not encoder.pretrained and ("trainable_layers" in content or finetuning.skip_layer is not None):
        raise InputError(f"{path}: trainable_layers and skip_layer are of Transformer layers, and {which} has none")
    if encoder.frame_ms > MAX_CTC_FRAME_MS and (words := of_kind("ctc", finetuning.tasks)):
        frames = f"{which} gives a frame every {encoder.frame_ms} ms"
        raise InputError(f"{path}: {frames}, too few for the characters of {words[0]}")
    if finetuning.skip_layer is not None and not skipping(finetuning.tasks):
        skips = " or ".join(skipping(TASKS))
        raise InputError(f"{path}: skip_layer is a branch of the {skips} head, and {skips} is not among the tasks")
    if finetuning.surgery and len(finetuning.tasks) < 2:
        raise InputError(f"{path}: surgery is of the gradients of several tasks, and there is one")
    if not set(finetuning.reversed) <= set(finetuning.tasks) & set(reversible()):
        raise InputError(f"{path}: reversed may name {' and '.join(reversible())}, where they are among the tasks")
    return finetuning


def _tasks(path: Path, key: str, content: object) -> tuple[str, ...]:
    if not isinstance(content, list) or len(set(map(str, content))) < len(content):
        raise InputError(f"{path}: {key} must be a list of tasks, each once")
    for task in content:
        if str(task) not in TASKS:
            raise unknown_name("task", str(task), TASKS, where=str(path))
    return tuple(content)


def _is_percentage(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and 0 <= value <= 1000  # WER has no upper limit


def _check_keys(path: Path, kind: str, content: Mapping, known: tuple[str, ...]) -> None:
    for key in content:
        if key not in known:
            raise unknown_name(kind, str(key), known, where=str(path))
