"""The published counts of IEMOCAP, and the check of a full release against them.

They catch what no file by itself shows: a dialog lost in copying, speakers taken from the dialog's name, another mapping of
labels to classes. What is derived (words, which depend on how they are separated, and durations, which depend on rounding) is
compared with the figures of one reading of the corpus, and is never an error.
"""

from collections import Counter
from collections.abc import Mapping, Sequence

from espnet_ser.corpus.iemocap import EMOTIONS, SESSIONS, Utterance
from espnet_ser.corpus.transcript import normalise
from espnet_ser.errors import CorpusError, unknown_name
from espnet_ser.utils.say import aligned

DIALOGS_PER_SESSION = {1: 28, 2: 30, 3: 32, 4: 30, 5: 31}
UTTERANCES_PER_SESSION = {1: 1819, 2: 1811, 3: 2136, 4: 2103, 5: 2170}
UTTERANCES_PER_LABEL = {
    "xxx": 2507,
    "fru": 1849,
    "neu": 1708,
    "ang": 1103,
    "sad": 1084,
    "exc": 1041,
    "hap": 595,
    "sur": 107,
    "fea": 40,
    "oth": 3,
    "dis": 2,
}
# (session, gender) -> happy, sad, angry, neutral: the order of EMOTIONS.
FOUR_CLASS = {
    (1, "f"): (132, 78, 147, 171),
    (1, "m"): (146, 116, 82, 213),
    (2, "f"): (166, 113, 67, 135),
    (2, "m"): (161, 84, 70, 227),
    (3, "f"): (128, 172, 92, 130),
    (3, "m"): (158, 133, 148, 190),
    (4, "f"): (185, 62, 205, 76),
    (4, "m"): (118, 81, 122, 182),
    (5, "f"): (159, 132, 78, 221),
    (5, "m"): (283, 113, 92, 163),
}
FOUR_CLASS_PER_STYLE = {"scripted": 2588, "improvised": 2943}
# As this project's `normalise` has the words; durations as printed, with so many decimals.
DERIVED = {
    "without a word": "31",
    "of one word or none": "402",
    "under 1 s": "27",
    "over 15 s": "78",
    "hours": "6.99",
    "shortest in s": "0.585",
    "longest in s": "34.14",
    "mean in s": "4.55",
}
"""Of the four-class utterances."""

_TOTAL = sum(UTTERANCES_PER_SESSION.values())
_MODES = ("auto", "full", "partial")


def check_counts(utterances: Sequence[Utterance], mode: str = "auto") -> str:
    """Compares a full release with the published counts; a smaller one passes. ``utterances``: every labelled utterance of the
    release; ``mode``: ``'full'`` checks, ``'partial'`` does not; ``'auto'`` checks a release that has at least half of the
    published 10,039 utterances, or all 151 dialogs. Returns for people to read: the derived figures next to :data:`DERIVED`;
    ``''`` for a release that is not checked. Raises CorpusError: lists every published count that differs.
    """
    if mode not in _MODES:
        raise unknown_name("way to check counts", mode, _MODES)
    num_dialogs = len({utterance.dialog for utterance in utterances})
    is_full = 2 * len(utterances) >= _TOTAL or num_dialogs >= sum(DIALOGS_PER_SESSION.values())
    if mode == "partial" or (mode == "auto" and not is_full):
        return ""
    found = _found_counts(utterances)
    problems = [
        f"count of {name}: expected {expected}, found {found[name]}"
        for name, expected in published_counts().items()
        if found[name] != expected
    ]
    if problems:
        raise CorpusError(
            "the release is not IEMOCAP as published (copy again what it lacks; or, for a part of it or a changed one, "
            "--check_counts partial goes on without this check)",
            problems,
        )
    return _beside_expected(derived_figures(utterances))


def published_counts() -> dict[str, int]:
    """Name -> published count of everything that :func:`check_counts` refuses to differ from."""
    cells = {(*key, emotion): count for key, row in FOUR_CLASS.items() for emotion, count in zip(EMOTIONS, row, strict=True)}
    return _named_counts(DIALOGS_PER_SESSION, UTTERANCES_PER_SESSION, UTTERANCES_PER_LABEL, cells, FOUR_CLASS_PER_STYLE)


def _found_counts(utterances: Sequence[Utterance]) -> dict[str, int]:
    four = [utterance for utterance in utterances if utterance.emotion is not None]
    return _named_counts(
        Counter(session for session, _ in {(utterance.session, utterance.dialog) for utterance in utterances}),
        Counter(utterance.session for utterance in utterances),
        Counter(utterance.label for utterance in utterances),
        Counter((utterance.session, utterance.gender, utterance.emotion) for utterance in four),
        Counter(utterance.style for utterance in four),
    )


def _named_counts(dialogs: Mapping, sessions: Mapping, labels: Mapping, cells: Mapping, styles: Mapping) -> dict[str, int]:
    def four(place: int, value: object) -> int:
        return sum(count for key, count in cells.items() if key[place] == value)

    counts = {"utterances": sum(sessions.values()), "dialogs": sum(dialogs.values())}
    counts |= {f"dialogs in session {session}": dialogs[session] for session in SESSIONS}
    counts |= {f"utterances in session {session}": sessions[session] for session in SESSIONS}
    counts |= {f"utterances labelled {label}": labels[label] for label in UTTERANCES_PER_LABEL}
    counts |= {"four-class utterances": sum(cells.values())}
    counts |= {f"four-class utterances in session {session}": four(0, session) for session in SESSIONS}
    counts |= {f"{emotion} utterances": four(2, emotion) for emotion in EMOTIONS}
    counts |= {
        f"{emotion} utterances in session {session}, gender {gender}": cells[session, gender, emotion]
        for session, gender in FOUR_CLASS
        for emotion in EMOTIONS
    }
    return counts | {f"four-class {style} utterances": styles[style] for style in FOUR_CLASS_PER_STYLE}


def derived_figures(utterances: Sequence[Utterance]) -> dict[str, str]:
    """The counterpart of :data:`DERIVED`, from these utterances."""
    four = [utterance for utterance in utterances if utterance.emotion is not None]
    num_words = [len(normalise(utterance.transcript).split()) for utterance in four]
    durations_s = [utterance.duration_s for utterance in four] or [0.0]
    return {
        "without a word": f"{num_words.count(0)}",
        "of one word or none": f"{num_words.count(0) + num_words.count(1)}",
        "under 1 s": f"{sum(duration_s < 1 for duration_s in durations_s)}",
        "over 15 s": f"{sum(duration_s > 15 for duration_s in durations_s)}",
        "hours": f"{sum(durations_s) / 3600:.2f}",
        "shortest in s": f"{min(durations_s):.3f}",
        "longest in s": f"{max(durations_s):.2f}",
        "mean in s": f"{sum(durations_s) / len(durations_s):.2f}",
    }


def _beside_expected(found: Mapping[str, str]) -> str:
    lines = [f"{'four-class utterances, derived:':<32}{'here':>8}{'usual':>8}"]
    for name, usual in DERIVED.items():
        lines.append(f"{'  ' + name:<32}{found[name]:>8}{usual:>8}{'  differs' if found[name] != usual else ''}")
    return "\n".join([*lines, "the published counts are all there; where a derived figure differs, nothing need be done"])


def summary_table(utterances: Sequence[Utterance]) -> str:
    """Sessions against gender and class, with totals, for people to read."""
    four = [utterance for utterance in utterances if utterance.emotion is not None]
    cells = Counter((utterance.session, utterance.gender, utterance.emotion) for utterance in four)
    columns = [(gender, emotion) for gender in "fm" for emotion in EMOTIONS]
    rows = [["session", *(f"{gender.upper()} {emotion}" for gender, emotion in columns), "four", "all"]]
    for session in SESSIONS:
        values = [cells[session, gender, emotion] for gender, emotion in columns]
        num_all = sum(utterance.session == session for utterance in utterances)
        rows.append([str(session), *map(str, values), str(sum(values)), str(num_all)])
    totals = [sum(int(row[column]) for row in rows[1:]) for column in range(1, len(rows[0]))]
    rows.append(["total", *map(str, totals)])
    hours = sum(utterance.duration_s for utterance in four) / 3600
    return "\n".join([*aligned(rows, right=True), f"four classes: {hours:.2f} h of speech; all: every utterance with a label"])
