"""Names of speakers, sessions and classes that look the same, or nearly, and are spelt otherwise."""

import re
import unicodedata
from collections.abc import Iterable

from espnet_ser.errors import InputError

# What Unicode has displays ignore and Python's categories of format and control characters leave out.
_UNSEEN = re.compile("[\u034f\u115f\u1160\u17b4\u17b5\u180b-\u180f\u3164\ufe00-\ufe0f\uffa0\U000e0100-\U000e01ef]")

_LATIN = str.maketrans("авекмнорстухіјѕԁԛԝαβεζηικμνορτυχ", "abekmhopctyxijsdqwabezhikmnoptyx")
"""Letters of Cyrillic and Greek that, small or capital, look like these."""


def plain_spelling(name: str) -> str:
    """A name without what a reader does not see: case, width, composition, invisible characters, the scripts of like letters.

    >>> plain_spelling("Zoe\u0308") == plain_spelling("ZO\u00cb\u200b"), plain_spelling("\u0430nna")
    (True, 'anna')
    >>> plain_spelling("spk\uff11"), plain_spelling("spk01")
    ('spk1', 'spk01')
    """
    text = unicodedata.normalize("NFKD", unicodedata.normalize("NFKC", _UNSEEN.sub("", name)).casefold()).translate(_LATIN)
    kept = (c for c in unicodedata.normalize("NFKC", text) if unicodedata.category(c) not in ("Cf", "Cc"))
    return "".join(str(unicodedata.decimal(c, c)) for c in kept).strip()


def loose_spelling(name: str) -> str:
    """As :func:`plain_spelling`, and without zeros in front of a number, and with one mark between words.

    >>> loose_spelling("Spk_007") == loose_spelling("spk-7")
    True
    """
    return re.sub("0*([0-9]+)", r"\1", re.sub(r"[-_.\s]+", "_", plain_spelling(name)))


def spelt_alike(names: Iterable[str], others: Iterable[str], spelling=plain_spelling) -> list[tuple[str, str]]:
    """Pairs of different names, one of each side, that are the same in this spelling; sorted.

    >>> spelt_alike(["Anna", "ben"], ["anna", "ben", "spk1"])
    [('Anna', 'anna')]
    """
    by_spelling: dict[str, set[str]] = {}
    for name in others:
        by_spelling.setdefault(spelling(name), set()).add(name)
    pairs = {(name, other) for name in names for other in by_spelling.get(spelling(name), ())}
    return sorted(pair for pair in pairs if pair[0] != pair[1])


def check_spellings(names: Iterable[str], kind: str, path: object) -> None:
    """Makes sure that names which look the same are the same.

    Args:
        names: All that a list holds.
        kind: What they name.
        path: The list, for errors.

    Raises:
        InputError: Two differ in case, width, invisible characters or the script of letters that look the same.
    """
    names = set(names)
    for name, other in spelt_alike(names, names)[:1]:
        raise InputError(
            f"{path}: {kind}s {name!a} and {other!a} look the same: write one {kind} alike everywhere, or give two {kind}s "
            "names that differ in more than case, width, script or invisible characters"
        )
