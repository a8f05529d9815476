"""Who says how many utterances of which emotion in a synthetic release: the slots that its plan fills.

A release of 10,039 utterances has every published count of IEMOCAP. A smaller one keeps five of six utterances in the four
classes, as even as can be over class, session and gender, so that training and leave-one-session-out tests make sense on it.
"""

import math
import random
from dataclasses import dataclass
from statistics import NormalDist

from espnet_ser.corpus.counts import (
    FOUR_CLASS,
    FOUR_CLASS_PER_STYLE,
    UTTERANCES_PER_LABEL,
    UTTERANCES_PER_SESSION,
)
from espnet_ser.corpus.iemocap import SESSIONS
from espnet_ser.errors import InputError
from espnet_ser.synthetic.espeak import SAMPLE_RATE

FOUR_CLASS_LABELS = ("hap", "exc", "sad", "ang", "neu")
# The rows of counts.py, by the genders of file names: hap (with exc), sad, ang, neu.
FULL_CLASSES = {(session, gender.upper()): row for (session, gender), row in FOUR_CLASS.items()}
FULL_HAPPY = {label: UTTERANCES_PER_LABEL[label] for label in ("hap", "exc")}
FULL_OTHER = {label: count for label, count in UTTERANCES_PER_LABEL.items() if label not in FOUR_CLASS_LABELS}
MIN_UTTERANCES, MAX_UTTERANCES = 20, sum(UTTERANCES_PER_SESSION.values())

_CLASSES = ("hap", "sad", "ang", "neu")
_NUM_SCRIPTED = (FOUR_CLASS_PER_STYLE["scripted"], 2667)  # of the four classes, of the others
_NUM_WORDLESS, _NUM_ONE_WORD = 31, 371  # of the four classes; some are a word to whom blanks part words, and two to others
_DURATION_SIGMA = 0.7  # of the logarithm of the usual durations


@dataclass
class Slot:
    """One labelled utterance, before it has a dialog and a text."""

    session: int  # 1 to 5
    gender: str  # ``F`` or ``M``, of the speaker
    label: str  # as EmoEvaluation has it (``hap`` and ``exc`` apart)
    scripted: bool = False  # said in a scripted dialog rather than an improvised one
    num_words: int | None = None  # 0 (tags only), 1, or None for any number from two
    num_samples: int | None = None  # length at 16 kHz, or None for as long as the speech lasts


def plan_slots(num_utts: int, rng: random.Random) -> list[Slot]:
    """Lay out the labelled utterances of a release. ``num_utts``: number of labelled utterances, 20 to 10,039; ``rng``: source
    of the choices that the counts leave open. Returns ``num_utts`` slots. Raises InputError if ``num_utts`` is out of range.
    """
    if not MIN_UTTERANCES <= num_utts <= MAX_UTTERANCES:
        raise InputError(f"num_utts {num_utts}: a release has {MIN_UTTERANCES} to {MAX_UTTERANCES} utterances")
    return _full_slots(rng) if num_utts == MAX_UTTERANCES else _small_slots(num_utts, rng)


def _small_slots(num_utts: int, rng: random.Random) -> list[Slot]:
    num_other = num_utts // 6
    slots = []
    for index in range(num_utts - num_other):
        # Session turns fastest, then class; gender alternates over both, and is the other one in the next round of 20.
        session, emotion, round_index = index % 5, index // 5 % 4, index // 20
        slots.append(Slot(session + 1, "FM"[(session + emotion + round_index) % 2], _CLASSES[emotion]))
        slots[-1].scripted = round_index // 2 % 2 == (emotion + session) % 2
    _split_happy(slots, rng)

    rare_first = list(FULL_OTHER)[:num_other]
    labels = rare_first + _in_proportion(FULL_OTHER, num_other - len(rare_first))
    for index, label in enumerate(labels):
        slots.append(Slot(index % 5 + 1, "FM"[index // 5 % 2], label, scripted=rng.random() < 0.5))

    few = rng.sample(slots, math.ceil(num_utts / 100) + math.ceil(num_utts / 25))
    for index, slot in enumerate(few):
        slot.num_words = 0 if index < math.ceil(num_utts / 100) else 1
    return slots


def _full_slots(rng: random.Random) -> list[Slot]:
    four = [
        Slot(session, gender, label)
        for (session, gender), counts in FULL_CLASSES.items()
        for label, count in zip(_CLASSES, counts, strict=True)
        for _ in range(count)
    ]
    _split_happy(four, rng)
    labels = [label for label, count in FULL_OTHER.items() for _ in range(count)]
    rng.shuffle(labels)
    other = []
    for session in SESSIONS:
        num_four = sum(map(sum, (FULL_CLASSES[session, gender] for gender in "FM")))
        for _ in range(UTTERANCES_PER_SESSION[session] - num_four):
            other.append(Slot(session, rng.choice("FM"), labels.pop()))

    durations_s = (
        _durations_s(len(four), num_short=27, num_long=78, total_s=6.99 * 3600),
        _durations_s(len(other), num_short=30, num_long=50, total_s=5.01 * 3600),
    )
    for slots, num_scripted, durations in zip((four, other), _NUM_SCRIPTED, durations_s, strict=True):
        for slot in rng.sample(slots, num_scripted):
            slot.scripted = True
        shuffled = rng.sample(slots, len(slots))
        for slot, duration_s in zip(shuffled, durations, strict=True):
            slot.num_samples = round(duration_s * SAMPLE_RATE)
        # Who says one word or none is brief.
        briefest = rng.sample(shuffled[: _NUM_WORDLESS + _NUM_ONE_WORD], _NUM_WORDLESS + _NUM_ONE_WORD)
        for index, slot in enumerate(briefest):
            slot.num_words = 0 if index < _NUM_WORDLESS else 1
    return four + other


def _split_happy(slots: list[Slot], rng: random.Random) -> None:
    """Call some of the happy ones excited, in the published proportion."""
    happy = [slot for slot in slots if slot.label == "hap"]
    labels = _in_proportion(FULL_HAPPY, len(happy))
    rng.shuffle(labels)
    for slot, label in zip(happy, labels, strict=True):
        slot.label = label


def _in_proportion(weights: dict[str, int], count: int) -> list[str]:
    """``count`` labels in proportion to their weights, by largest remainder."""
    total = sum(weights.values())
    counts = {label: count * weight // total for label, weight in weights.items()}
    by_remainder = sorted(weights, key=lambda label: -(count * weights[label] % total))
    for label in by_remainder[: count - sum(counts.values())]:
        counts[label] += 1
    return [label for label, number in counts.items() for _ in range(number)]


def _durations_s(count: int, num_short: int, num_long: int, total_s: float) -> list[float]:
    """Durations, ascending: 0.585 to under 1 s, log-normal from 1 to 15 s, and over 15 to 34.14 s; their sum is ``total_s``."""
    short = [0.585 + 0.4 * index / num_short for index in range(num_short)]
    long = [15.05 * (34.14 / 15.05) ** (index / (num_long - 1)) for index in range(num_long)]
    num_usual = count - num_short - num_long
    normal = NormalDist()
    spread = [math.exp(_DURATION_SIGMA * normal.inv_cdf((index + 0.5) / num_usual)) for index in range(num_usual)]
    usual_total_s = total_s - sum(short) - sum(long)
    low_s, high_s = 1.0, 15.0
    for _ in range(60):
        median_s = (low_s + high_s) / 2
        usual = [min(max(median_s * ratio, 1.0), 14.9) for ratio in spread]
        low_s, high_s = (median_s, high_s) if sum(usual) < usual_total_s else (low_s, median_s)
    return short + usual + long
