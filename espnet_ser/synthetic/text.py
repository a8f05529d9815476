"""What is said in a synthetic release, and how a transcription file spells it.

The words say nothing about the emotion: only prosody carries it. They come from a vocabulary of about forty (:data:`PLAIN`),
so that a tiny model can learn to spell them, and are freely combined, so that it cannot learn whole sentences instead. A
release of full size says more (:data:`TALK`): hyphens, elisions and abbreviations, about whose words two ways to count
disagree. A third of the scripted turns repeat a transcript across sessions, as in the corpus.
"""

import random
import re
from dataclasses import dataclass

SCRIPT_LINES = (
    "I don't know.",
    "We need the money today.",
    "They want it now.",
    "Open the door again.",
    "Is it time to go home?",
    "You see the letter.",
    "Well, this is my house.",
    "No, they are not here.",
    "Yes, I want to go home.",
    "What do you need?",
    "Okay, open the letter now.",
    "It's my money.",
    "Do you see the door?",
    "We are home again.",
    "I know what they want.",
    "They are here tomorrow.",
    "Please don't go home.",
    "This is not the time.",
    "You and I know it.",
    "What is the time?",
)
TAGS = ("[LAUGHTER]", "[BREATHING]", "[GARBAGE]", "[garbage]", "[LIPSMACK]", "[laughter]")
_SCRIPT_LINE_SHARE = 0.3


@dataclass(frozen=True)
class Wording:
    """What sentences are made of: an opener that may be left out, who, do, what, and when, which may be left out."""

    openers: tuple[str, ...]
    who: tuple[str, ...]
    do: tuple[str, ...]
    what: tuple[str, ...]
    when: tuple[str, ...]
    one_word: tuple[str, ...]  # what is said where one word is asked for
    brief: tuple[str, ...]  # short sentences, for short durations


PLAIN = Wording(
    openers=("Well, ", "No, ", "Yes, ", "Okay, ", "Please, ", "Okay. ", "No. ", "What? "),
    who=("I", "you", "we", "they", "you and I"),
    do=("want", "need", "see", "know", "don't want", "don't need", "don't see", "don't know", "open", "don't open"),
    what=("it", "this", "the house", "the money", "the letter", "the door", "my house", "my money", "my letter", "my door"),
    when=(" now", " today", " tomorrow", " again", " here"),
    one_word=("Yes.", "No.", "Okay.", "Well.", "What?", "Please.", "Now.", "Tomorrow."),
    brief=("I know.", "We see.", "Open it.", "Not now.", "Go home.", "It's me."),
)
TALK = Wording(
    openers=(*PLAIN.openers, "'Cause ", "Uh-huh, ", "O.K., ", "Mm-hmm. ", "Well-- ", "No-- no, ", "Look... ", "Mr. Lee, "),
    who=(*PLAIN.who, "y'all", "you guys", "Mrs. Lee"),
    do=(*PLAIN.do, "wouldn't've seen", "keep sayin'", "are goin' to see", "gotta have"),
    what=(
        *PLAIN.what,
        "the D.M.V.",
        "an I.D.",
        "the Lees' house",
        "my mother-in-law",
        "nothin'",
        "a T.V.",
        "'em",
        "a so-called 'plan'",
    ),
    when=(*PLAIN.when, " in the U.S.", " 'til the a.m.", " all-in-all", ", right?", ", goddamnit", "-- you know"),
    one_word=(*PLAIN.one_word, "Uh-huh.", "O.K.", "Mm-hmm.", "'Kay.", "Good-bye.", "Mr. Lee?", "Y'all.", "D.M.V.", "N--no."),
    brief=(*PLAIN.brief, "O.K., O.K.", "C'mon.", "I'm goin'."),
)


def compose(rng: random.Random, scripted: bool, max_chars: int | None = None, wording: Wording = PLAIN) -> str:
    """Compose a text of two words or more.

    Args:
        rng: Source of the choices.
        scripted: Whether a fixed script line may be taken.
        max_chars: Sentences are added while they fit into this many characters, at least 8; None makes one sentence.
        wording: What sentences are made of.
    """
    if scripted and rng.random() < _SCRIPT_LINE_SHARE:
        line = rng.choice(SCRIPT_LINES)
        if max_chars is None or max_chars / 3 < len(line) <= max_chars:
            return line
    if max_chars is None:
        return _sentence(rng, wording)
    sentences = (_sentence(rng, wording) for _ in range(20))
    text = next((sentence for sentence in sentences if len(sentence) <= max_chars), rng.choice(wording.brief))
    while len(longer := f"{text} {_sentence(rng, wording)}") <= max_chars:
        text = longer
    return text


def _sentence(rng: random.Random, wording: Wording) -> str:
    opener = rng.choice(wording.openers) if rng.random() < 0.35 else ""
    when = rng.choice(wording.when) if rng.random() < 0.5 else ""
    body = f"{rng.choice(wording.who)} {rng.choice(wording.do)} {rng.choice(wording.what)}{when}".removesuffix(".") + "."
    return opener + (body[0].upper() + body[1:] if not opener or opener.endswith((". ", "? ")) else body)


def only_tags(rng: random.Random) -> str:
    """A transcript without a word, as ``[LAUGHTER]``."""
    return " ".join(rng.sample(TAGS, rng.choice((1, 1, 2))))


def _with_tag(text: str, rng: random.Random) -> str:
    tag = rng.choice(TAGS)
    return f"{tag} {text}" if rng.random() < 0.5 else f"{text} {tag}"


def _with_double_space(text: str, rng: random.Random) -> str:
    space = rng.choice([match.start() for match in re.finditer(" ", text)])
    return f"{text[:space]} {text[space:]}"


def _with_tab(text: str, _rng: random.Random) -> str:
    return text.replace(" ", "\t", 1)


def _glued(text: str, _rng: random.Random) -> str:
    return re.sub(r"([.?]) +(?=[A-Z])", r"\1", text, count=1)


def _lower_start(text: str, _rng: random.Random) -> str:
    return text[0].lower() + text[1:]


# What is done to a transcript, to which share of the lines, and which lines it can be done to. Tags come last, for the others
# look at the words.
_QUIRKS = (
    (_glued, 0.02, re.compile(r"[.?] [A-Z]")),
    (_lower_start, 0.03, re.compile(r"[A-Z][a-z]")),
    (_with_double_space, 1 / 3, re.compile(r"\w\S* \w")),
    (_with_tab, 0.003, re.compile(r"\w\S* \w")),
    (_with_tag, 0.03, re.compile(r"\w\S* \w")),
)


def spelled_as_in_corpus(texts: list[str], rng: random.Random) -> list[str]:
    """Spell texts as the corpus's transcription files do. ``texts``: words with plain punctuation, or tags only; ``rng``:
    chooses the lines. Returns the same words, in the same order, with double spaces in a third of the lines; in a few,
    sentences glued together, lower-case starts, an embedded tab, or a tag. Each kind occurs at least once where a line allows
    it.
    """
    spelled = list(texts)
    for change, share, allows in _QUIRKS:
        eligible = [index for index, text in enumerate(spelled) if allows.search(text) and not text.startswith("[")]
        for index in rng.sample(eligible, min(len(eligible), max(1, round(share * len(texts))))):
            spelled[index] = change(spelled[index], rng)
    return spelled
