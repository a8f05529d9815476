"""What may leave the machine: the files that stage 7 makes, and nothing else.

IEMOCAP's licence lets nobody pass on its audio, labels or transcripts. So files are let through by name and by what they hold,
and whatever else lies in the folder stops the upload: a forgotten ``text``, predictions with their references, a sound.
"""

import re
from collections.abc import Iterable, Iterator
from pathlib import Path

from espnet_ser.data.tokens import BLANK, SPACE, UNKNOWN
from espnet_ser.errors import InputError
from espnet_ser.model_io.model_config import model_settings
from espnet_ser.tasks_table import MAIN_TASK, of_kind
from espnet_ser.utils.bounded import read_small_file
from espnet_ser.utils.yaml_mapping import read_yaml_mapping

_ALLOWED = (
    r"README\.md|meta\.yaml",
    r"(heads/(HEADS)/)?(config\.json|preprocessor_config\.json|model\.safetensors)",
    r"heads/ctc/(tokenizer\.json|tokenizer_config\.json|special_tokens_map\.json)",
    r"onnx/(README\.md|measured\.json|model\.onnx|model_int8\.onnx)",
    r"espnet/(ser|stage1)/(config\.yaml|frozen\.pth|latest\.pth|tokens/tokens\.txt)",
)
"""Paths within a packed fold; HEADS are what has a folder there: tasks, and ``ctc``.

A BPE model is not among them: its pieces are those of the transcripts.
"""

_NEEDED = ("README.md", "meta.yaml", "espnet/ser/config.yaml")
_MAX_TEXT_BYTES = 4 << 20
_SHOWN = 5


def publishable_files(folder: Path) -> list[str]:
    """The files of a packed fold, as paths within it, sorted; all of them may be published. ``folder``: what stage 7 left:
    ``exp/<system>/packed/fold<k>``. Raises InputError: names what may not be published, or what no packed fold lacks.
    """
    if not folder.is_dir():
        raise InputError(f"{folder}: no such folder; run stage 7, which packs a model")
    names = sorted(path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_symlink() or not path.is_dir())
    heads = "|".join([*(task for task in of_kind("classes") if task != MAIN_TASK), "ctc"])
    allowed = re.compile("|".join(f"(?:{pattern})" for pattern in _ALLOWED).replace("HEADS", heads))
    refused = [name for name in names if not allowed.fullmatch(name)]
    if refused:
        more = f" and {len(refused) - _SHOWN} more" if len(refused) > _SHOWN else ""
        raise InputError(
            f"{folder}: holds what is never published: {', '.join(refused[:_SHOWN])}{more}; move it elsewhere, or pack anew"
        )
    for name in _NEEDED:
        if name not in names:
            raise InputError(f"{folder}: {name} is missing; run stage 7, which packs a model")
    for name in names:
        for fault in _faults(folder / name):
            raise InputError(f"{folder / name}: {fault}, and is not published; move it elsewhere, or pack anew")
    return names


def _faults(path: Path) -> Iterator[str]:
    """Why a file is not what its name says."""
    if path.is_symlink() or not path.is_file():
        yield "is a link, or no file"
    elif path.suffix == ".safetensors":
        from espnet_ser.model_io.weights_file import tensors_in_safetensors

        tensors_in_safetensors(path)
    elif path.suffix == ".pth":
        from espnet_ser.model_io.weights_file import tensors_in_torch_file

        tensors_in_torch_file(path)
    elif path.suffix != ".onnx":
        read_small_file(path, _MAX_TEXT_BYTES)
        if path.name == "tokens.txt":
            yield from _fault_of_tokens(path.read_text(encoding="utf-8").splitlines())
        if path.name == "config.yaml":
            config = read_yaml_mapping(path, missing="pack the model anew")
            if unknown := sorted(config.keys() - model_settings(config).keys()):
                yield f"holds settings that no model is built from ({', '.join(unknown[:_SHOWN])})"
            yield from _fault_of_tokens(config.get("token_list") or [])


def _fault_of_tokens(tokens: Iterable[object]) -> Iterator[str]:
    pieces = [str(token) for token in tokens if len(str(token)) > 1 and token not in (BLANK, UNKNOWN, SPACE)]
    if pieces:
        yield f"holds pieces of the transcripts ({pieces[0]!r}; train with --token_type char to publish)"
