"""What the reports say in words: the ways of choosing an epoch, notes, and titles of figures."""

from collections.abc import Iterable

SELECTION_NOTES = {
    "cross": "each speaker of the held-out session is scored at the epoch that is best for the session's other speaker; "
    "no speaker chooses its own epoch",
    "last": "the last epoch; nothing is chosen",
    "oracle": "the epoch that is best on the test fold itself, chosen with its labels: an upper bound and no estimate; "
    "shown because published figures are often this",
}
"""Every way of choosing the epoch, in the order shown: the three stand side by side always."""

FIGURES = {
    "confusion": "Confusion matrix",
    "curves": "Training curves",
    "embeddings": "Utterance embeddings of each fold's model",
}
"""Figures of a system: name of the PNG -> title, in the order shown."""

TABLE_FIGURES = {"bars": "UA of each system beside the paper's", "layers": "UA over the number of finetuned layers"}
"""Figures of a table, likewise."""


def notes(selections: Iterable[str], starred: bool, beside_paper: bool) -> list[str]:
    """What a reader must know of a table of scores, as sentences with code in backticks.

    Args:
        selections: Those shown, of :data:`SELECTION_NOTES`.
        starred: Whether some scores are told by the stage-1 model.
        beside_paper: Whether the paper's figures are shown.
    """
    lines = [f"`{name}`: {note}." for name, note in SELECTION_NOTES.items() if name in set(selections)]
    lines.append("UA: mean recall over classes; WA: accuracy. All scores in percent; the deviation over folds is the sample's.")
    lines.append("Gender UA, style UA and WER, like the slices, are of the headline's predictions.")
    lines.append("95 % intervals are of the pooled score, by bootstrap over utterances within folds.")
    if starred:
        lines.append("`*` told by the stage-1 model, as in the paper's Table 3.")
    if beside_paper:
        lines.append(
            "The paper's figures are for IEMOCAP (5,531 utterances, four emotions, five sessions). Scores on any other corpus, "
            "synthetic ones above all, cannot be compared with them: there, the difference means nothing."
        )
    return lines
