import re

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from espnet_ser.corpus.transcript import normalise


@pytest.mark.parametrize(
    ("raw", "expected"),
    [
        ("Excuse me.", "EXCUSE ME"),
        ("", ""),
        ("  well,\tI  -- I don't know.  ", "WELL I I DON'T KNOW"),
        ("[LAUGHTER]", ""),
        ("[LAUGHTER] Yes.[garbage]No", "YES NO"),
        ("about jobs.It's over", "ABOUT JOBS IT'S OVER"),
        ("uh-huh", "UH HUH"),
        ("my fianc\u00e9e na\u00efve", "MY FIANCEE NAIVE"),
        ("stra\u00dfe \u0153uvre \u4f60\u597d caf\u00e9", "STRASSE UVRE CAFE"),
        ("don\u2019t", "DON'T"),
        ("room 101", "ROOM"),
        ("an [unclosed tag", "AN UNCLOSED TAG"),
    ],
)
def test_keeps_only_spelt_words(raw, expected):
    assert normalise(raw) == expected


@pytest.mark.parametrize(
    ("raw", "expected"),
    [
        ("'hello'", "HELLO"),
        ("he said 'come here, dogs' and left", "HE SAID COME HERE DOGS AND LEFT"),
        ("'Cause I told 'em", "'CAUSE I TOLD 'EM"),
        ("I'm goin' to my parents' house", "I'M GOIN' TO MY PARENTS' HOUSE"),
        ("'em'", "'EM"),
        ("''hello''", "HELLO"),
        ("said''well''then", "SAID WELL THEN"),
        ("'hi' she's goin' on", "HI SHE'S GOIN' ON"),
        ("' '' '''", ""),
        ("wait' there", "WAIT THERE"),
    ],
)
def test_apostrophes_stay_and_quotes_go(raw, expected):
    assert normalise(raw) == expected


SPEECH = st.text(st.sampled_from("abSsNn emcause'\u2019[].- \t\u00e9\u01f0\u0131\u0149\ufb01\u00b4"), max_size=40)


@given(st.one_of(SPEECH, st.text(max_size=60)))
@example("'s'' s'")
@example("'n' n' 'n")
def test_is_idempotent_and_its_alphabet_is_closed(raw):
    spelt = normalise(raw)
    assert normalise(spelt) == spelt
    assert re.fullmatch(r"([A-Z']*[A-Z][A-Z']*( [A-Z']*[A-Z][A-Z']*)*)?", spelt)


@given(st.lists(st.from_regex(r"[A-Z]+('[A-Z]+)?", fullmatch=True), max_size=8))
def test_leaves_spelt_words_alone(words):
    assert normalise(" ".join(words)) == " ".join(words)
