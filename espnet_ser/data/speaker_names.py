"""Names of speakers and sessions that are spelt otherwise and may be the same."""

import re
import unicodedata
from collections.abc import Iterable

# What Unicode has displays ignore and Python's categories of format and control characters leave out.
_UNSEEN = re.compile("[\u034f\u115f\u1160\u17b4\u17b5\u180b-\u180f\u3164\ufe00-\ufe0f\uffa0\U000e0100-\U000e01ef]")


def plain_spelling(name: str) -> str:
    """A name without what a reader does not see: case, width, composition, digits of other scripts, invisible characters.

    >>> plain_spelling("Zoe\u0308") == plain_spelling("ZO\u00cb\u200b")
    True
    >>> plain_spelling("spk\uff11"), plain_spelling("spk01")
    ('spk1', 'spk01')
    """
    text = unicodedata.normalize("NFKC", unicodedata.normalize("NFKC", _UNSEEN.sub("", name)).casefold())
    kept = (c for c in text if unicodedata.category(c) not in ("Cf", "Cc"))
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
