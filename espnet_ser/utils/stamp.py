"""Stamps: small files that say what was made from what, so that a stage whose inputs have not changed does nothing."""

import json
import os
from collections.abc import Iterable, Mapping
from pathlib import Path

from espnet_ser.utils.atomic import atomic_write
from espnet_ser.utils.hashing import _canonical_json, file_sha256, fingerprint

_SHOWN_CHARACTERS = 60


class Stamp:
    """A small JSON file saying which inputs a stage last finished with, and what it left. Outputs are kept relative to the
    stamp, so that a folder moved together with its stamp is still up to date. The file holds a checksum of itself: a stamp that
    was edited, or damaged in whatever byte, counts as none. ``path``: where the stamp lies, usually a hidden file in the
    stage's own output folder.
    """

    def __init__(self, path: Path | str):
        self.path = Path(path)

    def difference(self, inputs: Mapping[str, object]) -> None | list[str]:
        """What has changed since the stage last finished. ``inputs``: everything that the outputs depend on: JSON values and
        paths, nested as you like. Returns None when up to date; else one readable line per change, such as ``'seed: 1 -> 2'``,
        or ``['not run yet']``.
        """
        stamp, fault = self._read()
        if fault:
            return fault
        old_inputs, changes = flat(stamp["inputs"]), []
        new_inputs = flat(json.loads(_canonical_json(inputs)))
        for key in sorted(old_inputs.keys() | new_inputs.keys()):
            old, new = (_shown(values[key]) if key in values else "absent" for values in (old_inputs, new_inputs))
            if (key in old_inputs) != (key in new_inputs) or old_inputs.get(key) != new_inputs.get(key):
                changes.append(f"{key}: {old} -> {new}")
        return changes + self._changed_outputs(stamp["outputs"]) or None

    def write(self, inputs: Mapping[str, object], outputs: Iterable[Path | str]) -> None:
        """Records that the stage has finished. ``inputs``: as given to :meth:`difference`; ``outputs``: the files it left; a
        folder stands for every file below it, but hidden ones: file managers and network file systems leave theirs everywhere.
        """
        files: list[Path] = []
        for output in map(Path, outputs):
            if output.is_dir():
                files += [path for path in output.rglob("*") if path.is_file() and not path.name.startswith(".")]
            else:
                files.append(output)
        records = {
            os.path.relpath(file, self.path.parent): {"size": file.stat().st_size, "sha256": file_sha256(file)}
            for file in sorted(files)
            if file != self.path
        }
        atomic_write(self.path, _stamp_text(json.loads(_canonical_json(inputs)), records))

    def changed_outputs(self, below: str = "") -> list[str]:
        """What is no longer as the stage left it, whatever its inputs: one readable line per output, none if all is well. A
        missing or damaged stamp is a line too. Of the outputs only those whose names begin with ``below`` are looked at.
        """
        stamp, fault = self._read()
        return fault or self._changed_outputs({n: record for n, record in stamp["outputs"].items() if n.startswith(below)})

    def inputs(self) -> dict:
        """The inputs that the stage last finished with; nothing where it has not run."""
        return self._read()[0]["inputs"]

    def output_sha256(self) -> dict[str, str]:
        """File -> SHA-256 (hex), as the stage left them; nothing where it has not run."""
        return {name: record["sha256"] for name, record in self._read()[0]["outputs"].items()}

    def _read(self) -> tuple[dict[str, dict], list[str]]:
        """What the stamp says, and what is wrong with it: nothing, or a single line."""
        try:
            text = self.path.read_text(encoding="utf-8")
            stamp = json.loads(text)
            outputs = {name: {key: record[key] for key in ("size", "sha256")} for name, record in stamp["outputs"].items()}
            # The first stamps had no checksum.
            if stamp.keys() == {"inputs", "outputs"} or text == _stamp_text(stamp["inputs"], stamp["outputs"]):
                return {"inputs": dict(stamp["inputs"]), "outputs": outputs}, []
            fault = f"{self.path} was changed since it was written"
        except (FileNotFoundError, NotADirectoryError):
            fault = "not run yet"
        except (OSError, ValueError, KeyError, TypeError, AttributeError, RecursionError):
            fault = f"{self.path} is not a stamp"
        return {"inputs": {}, "outputs": {}}, [fault]

    def _changed_outputs(self, outputs: Mapping[str, Mapping[str, object]]) -> list[str]:
        changes = []
        for name, record in sorted(outputs.items()):
            file = self.path.parent / name
            if not file.is_file():
                changes.append(f"output {name}: missing")
            elif file.stat().st_size != record["size"] or file_sha256(file) != record["sha256"]:
                changes.append(f"output {name}: changed since it was written")
        return changes


def _stamp_text(inputs: object, outputs: object) -> str:
    content = {"inputs": inputs, "outputs": outputs}
    return json.dumps({**content, "sha256": fingerprint(content)}, indent=1, sort_keys=True) + "\n"


def flat(value: object, prefix: str = "") -> dict[str, object]:
    """Nested mappings as one, by dotted name; an empty one within stays as it is.

    >>> flat({"model": {"tasks": ["asr"], "skip": None}, "seed": 1})
    {'model.tasks': ['asr'], 'model.skip': None, 'seed': 1}
    """
    if not isinstance(value, dict) or (prefix and not value):
        return {prefix: value}
    values: dict[str, object] = {}
    for key, inner in value.items():
        values |= flat(inner, f"{prefix}.{key}" if prefix else key)
    return values


def _shown(value: object) -> str:
    text = json.dumps(value, sort_keys=True, ensure_ascii=False)
    if isinstance(value, str) and len(value) == 64:
        return value[:12]
    return text if len(text) <= _SHOWN_CHARACTERS else text[: _SHOWN_CHARACTERS - 3] + "..."
