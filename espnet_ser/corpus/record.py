"""What a corpus is called, its languages and its licence, as its owner says. What was not said is not guessed.

Stage 1 records it next to its data directories; it stands with the scores, and in the card of what was trained on the corpus.
"""

import json
import re
from collections.abc import Iterable
from dataclasses import asdict, dataclass
from pathlib import Path

from espnet_ser.characters import is_shown
from espnet_ser.errors import InputError
from espnet_ser.layout import SYNTHETIC_STAMP
from espnet_ser.utils.atomic import atomic_write, disk_errors_as_input_errors
from espnet_ser.utils.bounded import read_small_file

RECORD_FILE = "corpus.json"
_MAX_BYTES = 1 << 14
_MAX_LENGTH = 200


@dataclass(frozen=True)
class Corpus:
    """A corpus, as far as is known; what is not is empty. Raises ValueError when one of them cannot be such a thing."""

    name: str = ""  # what it is called
    lang: str = ""  # its languages, as tags of BCP 47 (``en``, ``pt-BR``), separated by spaces
    license: str = ""  # its licence: an identifier (``cc-by-4.0``) or a name
    url: str = ""  # where it is described

    def __post_init__(self):
        for key, text in asdict(self).items():
            if len(text) > _MAX_LENGTH or not all(map(is_shown, text)):
                raise ValueError(f"takes one line of at most {_MAX_LENGTH} characters, not {text[:40]!r}")
            if key == "lang" and not all(re.fullmatch(r"[A-Za-z]{2,3}(-[A-Za-z0-9]{1,8})*", tag) for tag in text.split()):
                raise ValueError(f"takes tags of languages (BCP 47), as en or pt-BR, separated by spaces, not {text[:40]!r}")
            if key == "url" and text and not re.fullmatch(r"https?://[\w.:-]+(/[\w.~:/?#@!$&*+,;=%-]*)?", text, re.ASCII):
                raise ValueError(f"takes an address of the web, https://..., not {text[:40]!r}")

    def or_else(self, other: "Corpus") -> "Corpus":
        """The same with what is not known of it taken from another."""
        return Corpus(**{key: text or getattr(other, key) for key, text in asdict(self).items()})

    @property
    def is_iemocap(self) -> bool:
        """Whether the paper's figures are of this corpus."""
        return self.name == IEMOCAP.name


IEMOCAP = Corpus("IEMOCAP", "en", "IEMOCAP release licence", "https://sail.usc.edu/iemocap/")
SYNTHETIC = Corpus("synthetic speech of espeak-ng", "en", "apache-2.0")
"""What ``espnet-ser synthesize`` speaks, from the recipe's own texts."""


def is_synthetic(wavs: Iterable[Path]) -> bool:
    """Whether files are of a release that ``espnet-ser synthesize`` spoke, which bears its mark."""
    folders = {Path(wav).parent for wav in wavs}
    return any((parent / SYNTHETIC_STAMP).is_file() for folder in folders for parent in (folder, *folder.parents))


def write_corpus(datadir: Path, corpus: Corpus) -> None:
    """Records it next to the data directories of stage 1. Raises InputError when the disk is full."""
    content = (json.dumps(asdict(corpus), ensure_ascii=False, indent=1) + "\n").encode()
    path = datadir / RECORD_FILE
    with disk_errors_as_input_errors(datadir):
        if not path.is_file() or path.read_bytes() != content:
            atomic_write(path, content)


def read_corpus(datadir: Path) -> Corpus:
    """What stage 1 recorded; nothing known where it recorded nothing. Raises InputError when the record is damaged."""
    path = datadir / RECORD_FILE
    if not path.is_file():
        return Corpus()
    try:
        return Corpus(**json.loads(read_small_file(path, _MAX_BYTES)))
    except (ValueError, TypeError) as error:
        raise InputError(f"{path}: not a record of a corpus ({error}); run stage 1 again") from error
