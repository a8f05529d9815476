"""The plan of a synthetic release: every dialog, turn, label and text, before any sound is made.

``plan_release(10_039)`` takes a second or two, has every published count of IEMOCAP and speaks as people do, so that whatever
checks those counts can be tried without the corpus.
"""

import random
import zlib
from dataclasses import dataclass

from espnet_ser.corpus.counts import DIALOGS_PER_SESSION
from espnet_ser.corpus.iemocap import SESSIONS
from espnet_ser.synthetic.espeak import SAMPLE_RATE
from espnet_ser.synthetic.slots import MAX_UTTERANCES, Slot, plan_slots
from espnet_ser.synthetic.text import PLAIN, TALK, Wording, compose, only_tags, spelled_as_in_corpus

_TURNS_PER_DIALOG = 12  # in a small release
_SPOKEN_CHARS_PER_S = 10  # few enough for the slowest voice, mostly
_OUT_OF_ORDER_SHARE = 67 / 151
_SCRIPTS = ("script01_1", "script01_2", "script01_3", "script02_1", "script02_2", "script03_1", "script03_2")
# The first ones are in every release, so that odd names are.
_IMPROVISED = {
    1: ("F_impro01", "M_impro01"),
    2: ("F_impro01", "M_impro01"),
    3: ("F_impro06", "M_impro08b", "M_impro05a", "M_impro05b", "M_impro08a"),
    4: ("F_impro01", "M_impro01"),
    5: ("F_impro01", "M_impro01"),
}


@dataclass(frozen=True)
class Turn:
    """One turn of a dialog."""

    utt: str  # utterance id, as ``Ses01F_impro01_M003``
    session: int  # 1 to 5
    gender: str  # ``F`` or ``M``, of the speaker
    label: str | None  # as EmoEvaluation has it; None if it has no such turn
    words: str  # what is spoken, with plain punctuation; empty if only noise is heard
    transcript: str | None  # the line in the transcription file; None if it has none
    num_samples: int | None  # length at 16 kHz; None if it lasts as long as the words
    has_audio: bool  # whether there is a WAV
    seed: int  # seeds everything that is random about its sound


@dataclass(frozen=True)
class Dialog:
    """One dialog."""

    name: str  # as ``Ses01F_impro01``
    session: int  # 1 to 5
    turns: tuple[Turn, ...]  # in order of time
    out_of_order: bool  # whether the transcription file leaves that order
    stray_line: str | None  # a line of the transcription file without an id; None if it has none
    seed: int  # seeds what is random about its files


def plan_release(num_utts: int, seed: int = 0) -> tuple[Dialog, ...]:
    """Plan a release. ``num_utts``: number of labelled utterances, 20 to 10,039; a few turns without a label come on top;
    ``seed``: another seed gives other texts, orders and lengths. Returns the dialogs, sorted by name. Raises InputError if
    ``num_utts`` is out of range.

    >>> len(plan_release(10_039))
    151
    """
    rng = random.Random(f"plan {num_utts} {seed}")
    slots = plan_slots(num_utts, rng)
    is_full = num_utts == MAX_UTTERANCES
    words = [_words(slot, rng, TALK if is_full else PLAIN) for slot in slots]
    transcripts = spelled_as_in_corpus([text or only_tags(rng) for text in words], rng)
    cast = _cast(list(zip(slots, words, transcripts, strict=True)), is_full, rng)

    names = sorted(cast)
    out_of_order = set(rng.sample(names, round(len(names) * _OUT_OF_ORDER_SHARE)))
    stray = set(rng.sample(names, max(1, len(names) // 10)))
    first_improvised = {_dialog_names(session)[0][0] for session in SESSIONS}
    dialogs = []
    for name in names:
        turns = _numbered(name, cast[name], seed)
        if name in first_improvised:
            turns += _turns_with_xx(name, rng, seed)
        rng.shuffle(turns)
        stray_line = f"{rng.choice('FM')}: {compose(rng, scripted=False)}" if name in stray else None
        session = int(name[4])
        dialogs.append(Dialog(name, session, _in_turn(turns), name in out_of_order, stray_line, _seed_of(seed, name)))
    return tuple(dialogs)


def _words(slot: Slot, rng: random.Random, wording: Wording) -> str:
    if slot.num_words == 0:
        return ""
    if slot.num_words == 1:
        return rng.choice(wording.one_word)
    max_chars = None if slot.num_samples is None else int(_SPOKEN_CHARS_PER_S * slot.num_samples / SAMPLE_RATE)
    return compose(rng, slot.scripted, max_chars, wording)


def _dialog_names(session: int) -> tuple[list[str], list[str]]:
    """All improvised and all scripted dialogs of a session, those first that a small release keeps."""
    scripted = [f"{letter}_{script}" for script in _SCRIPTS for letter in "FM"]
    if session == 5:
        scripted.insert(1, "M_script01_1b")
    improvised = list(_IMPROVISED[session])
    for number in range(1, 9):
        improvised += [f"{letter}_impro{number:02d}" for letter in "FM"]
    if session == 3:
        improvised = [name for name in improvised if name not in ("M_impro05", "M_impro08")]
    improvised = list(dict.fromkeys(improvised))[: DIALOGS_PER_SESSION[session] - len(scripted)]
    return [f"Ses{session:02d}{name}" for name in improvised], [f"Ses{session:02d}{name}" for name in scripted]


def _cast(parts: list[tuple[Slot, str, str]], full: bool, rng: random.Random) -> dict[str, list[tuple[Slot, str, str]]]:
    """Deal the utterances to dialogs of their session and scenario."""
    cast: dict[str, list[tuple[Slot, str, str]]] = {}
    for session in SESSIONS:
        for scripted, names in zip((False, True), _dialog_names(session), strict=True):
            here = [part for part in parts if part[0].session == session and part[0].scripted == scripted]
            rng.shuffle(here)
            if not full:
                names = names[: max(1, round(len(here) / _TURNS_PER_DIALOG))]
            for index, part in enumerate(here):
                cast.setdefault(names[index % len(names)], []).append(part)
    return cast


def _numbered(dialog: str, parts: list[tuple[Slot, str, str]], seed: int) -> list[Turn]:
    numbers = {"F": 0, "M": 0}
    turns = []
    for slot, words, transcript in parts:
        utt = f"{dialog}_{slot.gender}{numbers[slot.gender]:03d}"
        numbers[slot.gender] += 1
        seed_of_utt = _seed_of(seed, utt)
        turns.append(Turn(utt, slot.session, slot.gender, slot.label, words, transcript, slot.num_samples, True, seed_of_utt))
    return turns


def _turns_with_xx(dialog: str, rng: random.Random, seed: int) -> list[Turn]:
    """Turns that nobody labelled: a line without WAV, a WAV without line, and both."""
    turns = []
    for name, has_line, has_audio in (("FXX0", True, False), ("FXX1", False, True), ("MXX0", True, True)):
        utt, words = f"{dialog}_{name}", compose(rng, scripted=False)
        transcript = words if has_line else None
        turns.append(Turn(utt, int(dialog[4]), name[0], None, words, transcript, None, has_audio, _seed_of(seed, utt)))
    return turns


def _in_turn(turns: list[Turn]) -> tuple[Turn, ...]:
    """Shuffled turns in an order of time that keeps each speaker's numbers ascending."""
    by_gender = {
        gender: sorted((turn for turn in turns if turn.gender == gender), key=lambda turn: turn.utt) for gender in "FM"
    }
    queues = {gender: iter(queue) for gender, queue in by_gender.items()}
    return tuple(next(queues[turn.gender]) for turn in turns)


def _seed_of(seed: int, name: str) -> int:
    return zlib.crc32(f"{seed} {name}".encode())
