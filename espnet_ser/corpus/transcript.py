"""Transcripts as the CTC head spells them: words of A-Z and apostrophes, nothing else."""

import re
import unicodedata

_APOSTROPHES = str.maketrans(dict.fromkeys("\u2018\u2019\u02bc\u02b9\u2032\u0060\u00b4\uff07", "'"))
_TAG = re.compile(r"\[[^\[\]]*\]")
_NOT_SPELT = re.compile(r"[^A-Z']|''+")  # two apostrophes in a row are a typed double quote
_ELISIONS = frozenset({"BOUT", "CAUSE", "COURSE", "EM", "KAY", "N", "ROUND", "S", "TIL", "TILL", "TIS", "TWAS"})


def normalise(raw: str) -> str:
    """Spells a raw transcript in upper-case words with single spaces between them; idempotent. Tags in brackets are removed.
    Punctuation, hyphens, digits and letters without a Latin base become spaces, accents are dropped, so glued sentences come
    apart. Apostrophes stay within words, before known elisions ('CAUSE) and after a final S or N (PARENTS', GOIN'); those that
    quote are dropped.

    >>> normalise("It's about jobs.It's good-bye, [LAUGHTER]  my fianc\u00e9e.")
    "IT'S ABOUT JOBS IT'S GOOD BYE MY FIANCEE"
    >>> normalise("'Cause I'm goin' to the Smiths' 'big party'")
    "'CAUSE I'M GOIN' TO THE SMITHS' BIG PARTY"
    >>> normalise("[BREATHING]")
    ''
    """
    text = unicodedata.normalize("NFKD", raw.translate(_APOSTROPHES)).upper()
    text = "".join(character for character in text if not unicodedata.combining(character))
    text = _NOT_SPELT.sub(" ", _TAG.sub(" ", text.translate(_APOSTROPHES)))
    words = []
    quote_is_open = False
    for token in text.split():
        word = token.strip("'")
        if not word:
            continue
        elided = token.startswith("'") and word in _ELISIONS
        quote_is_open |= token.startswith("'") and not elided
        closes = token.endswith("'") and quote_is_open
        keeps_end = token.endswith("'") and not closes and word.endswith(("S", "N"))
        quote_is_open &= not closes
        words.append("'" * elided + word + "'" * keeps_end)
    return " ".join(words)
