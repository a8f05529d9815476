"""The page as a Space of the Hugging Face hub: a folder that the hub builds and serves."""

import importlib.metadata
import re
import shutil
import sys
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

import espnet_ser
from espnet_ser.errors import InputError
from espnet_ser.publish.allowlist import publishable_files
from espnet_ser.utils.atomic import replace_folder
from espnet_ser.utils.replacing import temporary_folder

_HEADER = """---
title: Speech emotion
emoji: 🗣️
colorFrom: blue
colorTo: green
sdk: gradio
sdk_version: {gradio}
python_version: "{python}"
app_file: app.py
short_description: Tells emotion from speech
models: [{models}]
---

The page of `espnet-ser demo`, which tells emotion from what is uploaded or recorded. Models: {named}.

`requirements.txt` has the versions that it was made with, `espnet_ser/` the program (Apache-2.0, `LICENSE`). The licence of
the data that a model was trained on binds whoever publishes or uses the model.
"""
_APP = '''"""Serves the page, here or on the hub, which says where in the environment."""

import os
from pathlib import Path

from espnet_ser.bin.main import main

here = Path(__file__).resolve().parent
models = [{models}]
host, port = (os.environ.get(f"GRADIO_SERVER_{{name}}") for name in ("NAME", "PORT"))
options = [f"--model={{model}}" for model in models] + ["--max_seconds={max_seconds}", f"--host={{host or '127.0.0.1'}}"]
options += [f"--allow_host={{name.strip()}}" for name in os.environ.get("SPACE_HOST", "").split(",") if name.strip()]
main(["demo", *options, *([f"--port={{port}}"] if port else [])])
'''


def write_space(folder: Path, models: Sequence[str], max_seconds: int) -> None:
    """Writes the folder; it appears whole or not at all. ``folder``: to be made; it may be there if it is empty; ``models``:
    each a model's name on the hub, or what stage 7 left of a fold (``exp/NAME/packed/fold1``), which is copied;
    ``max_seconds``: longer recordings are refused. Raises InputError when there is something in the folder, a model is neither,
    what it holds may not be published, or something is not installed that the Space needs.
    """
    folder = folder.absolute()
    if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        raise InputError(f"{folder}: there is something already; name a new folder")
    if not models:
        raise InputError("--space: of which --model? Give a name of the hub, or what stage 7 left (exp/NAME/packed/fold1)")
    packed = {model: publishable_files(_packed(model)) for model in models if Path(model).exists()}
    names = [model for model in models if model not in packed]
    for name in names:
        if not re.fullmatch(r"[A-Za-z0-9][\w.-]*/[A-Za-z0-9][\w.-]*", name, re.ASCII):
            raise InputError(f"--model {name}: neither a folder here nor a name of the hub (owner/name); check it")
    requirements = _requirements()

    with temporary_folder(folder) as building:
        included = []
        for number, (model, files) in enumerate(packed.items(), 1):
            included += _include(Path(model), files, building, f"models/{number}")
        _write(building, names, included, max_seconds, requirements)
        replace_folder(building, folder)


def _packed(model: str) -> Path:
    path = Path(model)
    if not (path / "espnet" / "ser").is_dir():
        raise InputError(f"--model {model}: not a packed fold; run stage 7, and name what it leaves (exp/NAME/packed/fold1)")
    return path


def _include(model: Path, files: Sequence[str], building: Path, place: str) -> list[str]:
    """Copies what espnet-ser reads of a packed fold; the places of its SER model and of its intermediate one, if any."""
    for file in files:
        if file.startswith("espnet/"):
            (building / place / file).parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(model / file, building / place / file)
    return [f"{place}/espnet/{name}" for name in ("ser", "stage1") if (building / place / "espnet" / name).is_dir()]


def _write(folder: Path, names: Sequence[str], included: Sequence[str], max_seconds: int, needed: Mapping[str, str]) -> None:
    """Everything but the models."""
    source = Path(espnet_ser.__file__).parent
    shutil.copytree(source, folder / "espnet_ser", ignore=shutil.ignore_patterns("__pycache__"))
    shutil.copyfile(source.parent / "LICENSE", folder / "LICENSE")
    models = ", ".join([*map(repr, names), *(f"here / {place!r}" for place in included)])
    (folder / "app.py").write_text(_APP.format(models=models, max_seconds=max_seconds))
    (folder / "requirements.txt").write_text("".join(f"{line}\n" for line in needed.values()))
    header = _HEADER.format(
        gradio=needed["gradio"].partition("==")[2],
        python=f"{sys.version_info.major}.{sys.version_info.minor}",
        models=", ".join(names),
        named=", ".join([*names, *included]),
    )
    (folder / "README.md").write_text(header, encoding="utf-8")


def _requirements() -> dict[str, str]:
    """All that the page needs, itself or by way of others, at the versions of ``constraints.txt``: name -> line."""
    path = Path(espnet_ser.__file__).parents[1] / "constraints.txt"
    if not path.is_file():
        raise InputError(f"{path} is missing: a Space is made from a checkout of the repository, with its versions")
    lines = [line for line in path.read_text().splitlines() if line and not line.startswith("#")]
    pins = {_normal(re.split(r"[=;]", line)[0]): line for line in lines if _holds(line)}
    try:
        needed = _closure(["espnet-ser[demo]"]) - {"espnet-ser"}
    except importlib.metadata.PackageNotFoundError as error:
        raise InputError(f"{error.name} is not installed: pip install 'espnet-ser[demo]'") from error
    return {name: pins[name].partition(";")[0].strip() for name in sorted(needed) if name in pins}


def _closure(texts: Iterable[str]) -> set[str]:
    """The names of distributions, and of all that they need here."""
    from packaging.requirements import Requirement

    seen: set[tuple[str, str]] = set()
    waiting = [Requirement(text) for text in texts]
    while waiting:
        requirement = waiting.pop()
        for extra in ("", *sorted(requirement.extras)):
            if (key := (_normal(requirement.name), extra)) not in seen:
                seen.add(key)
                needs = map(Requirement, importlib.metadata.requires(requirement.name) or ())
                waiting += [need for need in needs if need.marker is None or need.marker.evaluate({"extra": extra})]
    return {name for name, _ in seen}


def _holds(line: str) -> bool:
    """Whether a line of the constraints is for this Python."""
    from packaging.markers import Marker

    _, _, marker = line.partition(";")
    return not marker or Marker(marker).evaluate()


def _normal(name: str) -> str:
    return re.sub(r"[-_.]+", "-", name).strip().lower()
