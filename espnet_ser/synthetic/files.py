"""The text files of a synthetic release, in the formats and with the oddities of IEMOCAP's."""

import random
from collections.abc import Mapping

from espnet_ser.synthetic.plan import Dialog, Turn

Span = tuple[float, float]

_CATEGORIES = {
    "neu": "Neutral",
    "hap": "Happiness",
    "exc": "Excited",
    "sad": "Sadness",
    "ang": "Anger",
    "fru": "Frustration",
    "fea": "Fear",
    "sur": "Surprise",
    "dis": "Disgust",
    "oth": "Other",
}
# Mean valence, activation, dominance
_VAD = {
    "neu": (3.0, 2.6, 3.0),
    "hap": (4.0, 3.2, 3.0),
    "exc": (4.0, 3.8, 3.3),
    "sad": (2.2, 2.3, 2.6),
    "ang": (1.9, 3.7, 4.0),
    "fru": (2.2, 3.2, 3.4),
    "fea": (2.3, 3.4, 2.6),
    "sur": (3.0, 3.4, 2.9),
    "dis": (2.0, 3.0, 3.2),
    "oth": (2.9, 3.0, 3.0),
    "xxx": (2.8, 3.1, 3.1),
}
_COMMENTS = ("", "", "", "disbelief", "accusing again, but tired", "mixed")

# What macOS leaves besides a file on a disk that is not its own: an AppleDouble header, not text.
APPLE_DOUBLE = bytes.fromhex("00051607 00020000") + b"Mac OS X        " + bytes.fromhex("0002 00000009 00000032 0000007e b0ff")


def evaluation_text(dialog: Dialog, spans: Mapping[str, Span]) -> str:
    """The EmoEvaluation file of a dialog: a block per labelled turn, first all of F, then all of M. ``spans``: start and end,
    in s, of every turn.
    """
    rng = random.Random(dialog.seed)
    labelled = sorted((turn for turn in dialog.turns if turn.label is not None), key=lambda turn: turn.utt)
    lines = ["% [START_TIME - END_TIME] TURN_NAME EMOTION [V, A, D]", ""]
    for index, turn in enumerate(labelled):
        start_s, end_s = spans[turn.utt]
        ratings = [[_rating(mean, rng) for mean in _VAD[turn.label]] for _ in range(rng.choice((2, 2, 3)))]
        vad = [sum(values) / len(values) for values in zip(*ratings, strict=True)]
        if index == 0:
            vad[2] = (0.5, 5.5)[dialog.session % 2]  # the corpus has a few means beyond the scale
        means = ", ".join(f"{value:.4f}" for value in vad)
        lines.append(f"[{start_s:.4f} - {end_s:.4f}]\t{turn.utt}\t{turn.label}\t[{means}]")
        for rater in sorted(rng.sample(range(1, 7), rng.choice((3, 3, 4)))):
            lines.append(f"C-E{rater}:\t{_category(turn, rng)};\t({rng.choice(_COMMENTS)})")
        own = "" if index == 0 or rng.random() < 0.1 else _category(turn, rng)
        lines.append(f"C-{turn.gender}{turn.session}:\t{own};\t()")
        for rater, (valence, activation, dominance) in enumerate(ratings, start=1):
            lines.append(f"A-E{rater}:\tval {valence}; act {activation}; dom  {dominance};\t({rng.choice(_COMMENTS)})")
        lines.append("")
    return "\n".join(lines) + "\n"


def transcription_text(dialog: Dialog, spans: Mapping[str, Span]) -> str:
    """The transcription file of a dialog. ``spans``: start and end, in s, of every turn."""
    rng = random.Random(dialog.seed + 1)
    lines = [
        f"{turn.utt} [{spans[turn.utt][0]:08.4f}-{spans[turn.utt][1]:08.4f}]: {turn.transcript}"
        for turn in dialog.turns
        if turn.transcript is not None
    ]
    if dialog.out_of_order and len(lines) > 1:
        index = rng.randrange(len(lines) - 1)
        lines[index], lines[index + 1] = lines[index + 1], lines[index]
    if dialog.stray_line is not None:
        lines.insert(rng.randrange(len(lines) + 1), dialog.stray_line)
    return "\n".join(lines) + "\n"


def rater_files(dialog: Dialog) -> dict[str, str]:
    """Text by path below EmoEvaluation of the files that hold single raters' opinions, which no recipe reads."""
    rng = random.Random(dialog.seed + 2)
    labelled = [turn for turn in dialog.turns if turn.label is not None]
    attributes = "".join(
        f"{turn.utt} :act {_rating(3, rng)}; :val  {_rating(3, rng)}; :dom  {_rating(3, rng)}; ()\n" for turn in labelled
    )
    categories = {name: "".join(f"{turn.utt} :{_category(turn, rng)}; ()\n" for turn in labelled) for name in ("e2", "f1")}
    return {
        f"Attribute/{dialog.name}_e1_atr.txt": attributes,
        f"Categorical/{dialog.name}_e2_cat.txt": categories["e2"],
        f"Self-evaluation/{dialog.name}_f1_cat.txt": categories["f1"],
    }


def _rating(mean: float, rng: random.Random) -> int:
    return min(max(round(rng.gauss(mean, 0.7)), 1), 5)


def _category(turn: Turn, rng: random.Random) -> str:
    agreed = _CATEGORIES.get(turn.label)
    answer = agreed if agreed is not None and rng.random() < 0.7 else rng.choice(list(_CATEGORIES.values()))
    return answer if rng.random() < 0.9 else f"{answer}; Other"
