"""Scores (Sec. 3.2): unweighted and weighted accuracy, word error rate, and what becomes of each class. All in percent.

Each is computed over utterances at once; a mean over batches would be another number. UA and macro-F1 are over the classes that
occur in the references: a class that is predicted and never right lowers the recall of those that it is taken for, and is no
class of its own.
"""

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from math import fsum

import numpy as np


def confusion_matrix(refs: Sequence[str], hyps: Sequence[str], labels: Sequence[str]) -> np.ndarray:
    """Counts of (reference, hypothesis): int [labels, labels], a row per reference.

    >>> confusion_matrix(["a", "a", "b"], ["a", "b", "b"], ["a", "b"]).tolist()
    [[1, 1], [0, 1]]
    """
    index = {label: i for i, label in enumerate(labels)}
    counts = np.zeros((len(labels), len(labels)), dtype=np.int64)
    np.add.at(counts, ([index[ref] for ref in refs], [index[hyp] for hyp in hyps]), 1)
    return counts


def unweighted_accuracy(refs: Sequence[str], hyps: Sequence[str]) -> float:
    """UA: the mean of the recalls of the classes that occur in the references.

    >>> unweighted_accuracy(["a", "a", "a", "b"], ["a", "a", "a", "a"])
    50.0
    """
    _require_pairs(refs, hyps)
    total, correct = Counter(refs), Counter(ref for ref, hyp in zip(refs, hyps, strict=True) if ref == hyp)
    return 100.0 * fsum(correct[label] / num for label, num in total.items()) / len(total)


def weighted_accuracy(refs: Sequence[str], hyps: Sequence[str]) -> float:
    """WA: the share of utterances that are right.

    >>> weighted_accuracy(["a", "a", "a", "b"], ["a", "a", "a", "a"])
    75.0
    """
    _require_pairs(refs, hyps)
    return float(100.0 * np.mean([ref == hyp for ref, hyp in zip(refs, hyps, strict=True)]))


def word_error_rate(refs: Sequence[str], hyps: Sequence[str]) -> float | None:
    """WER over all words of the references together; references without a word are left out. None where none has words.

    >>> word_error_rate(["A B C D", ""], ["A X C", "NOISE"])
    50.0
    """
    import jiwer

    return _error_rate(jiwer.wer, refs, hyps)


def character_error_rate(refs: Sequence[str], hyps: Sequence[str]) -> float | None:
    """CER, the same over characters, blanks between words among them: for scripts that do not separate words.

    >>> character_error_rate(["今天天气", ""], ["今天天", "NOISE"])
    25.0
    """
    import jiwer

    return _error_rate(jiwer.cer, refs, hyps)


def _error_rate(rate: Callable[[list[str], list[str]], float], refs: Sequence[str], hyps: Sequence[str]) -> float | None:
    pairs = [(ref, hyp) for ref, hyp in zip(refs, hyps, strict=True) if ref.split()]
    if not pairs:
        return None
    return float(100.0 * rate([ref for ref, _ in pairs], [hyp for _, hyp in pairs]))


def class_scores(counts: np.ndarray, labels: Sequence[str]) -> dict[str, dict[str, float | int | None]]:
    """What becomes of each class; None where there is nothing to divide by. ``counts``: from :func:`confusion_matrix`;
    ``labels``: the classes of its rows and columns. Returns class -> ``{"recall", "precision", "f1", "support"}``: recall is
    None of a class that does not occur, precision of one that is never predicted, F1 of one that does neither; support is the
    number of its utterances.

    >>> class_scores(np.array([[1, 1], [0, 0]]), ["a", "b"])["a"]
    {'recall': 50.0, 'precision': 100.0, 'f1': 66.66666666666667, 'support': 2}
    """
    correct, occur, predicted = counts.diagonal(), counts.sum(1), counts.sum(0)

    def percent(part: int, whole: int) -> float | None:
        return 100.0 * float(part) / float(whole) if whole else None

    return {
        label: {
            "recall": percent(correct[i], occur[i]),
            "precision": percent(correct[i], predicted[i]),
            "f1": percent(2 * correct[i], occur[i] + predicted[i]),
            "support": int(occur[i]),
        }
        for i, label in enumerate(labels)
    }


def macro_f1(by_class: Mapping[str, Mapping]) -> float:
    """The mean of the F1 of the classes that occur, of what :func:`class_scores` gives."""
    f1 = [scores["f1"] for scores in by_class.values() if scores["support"]]
    return fsum(f1) / len(f1)


def accuracies(predictions: Sequence[Mapping]) -> dict[str, float | None]:
    """``ua`` and ``wa`` of one set of predictions; None where emotion is not predicted."""
    emotion = [(p["ref"], p["hyp"]) for p in predictions if p.get("hyp") is not None]
    return {
        "ua": unweighted_accuracy(*zip(*emotion, strict=True)) if emotion else None,
        "wa": weighted_accuracy(*zip(*emotion, strict=True)) if emotion else None,
    }


def part_scores(predictions: Sequence[Mapping]) -> dict[str, float | int | None]:
    """Size and accuracies of a part of the predictions, such as a speaker's. Returns ``{"n", "classes", "ua", "wa"}``: UA is
    over those ``classes`` (how many) that occur in the part.
    """
    classes = {line["ref"] for line in predictions}
    return {"n": len(predictions), "classes": len(classes), **accuracies(predictions)}


def score(predictions: Sequence[Mapping]) -> dict[str, float | int | None]:
    """Every score of one set of predictions (lines of ``predictions_*.jsonl``); None where a task has no output. Returns
    ``ua``, ``wa``, ``gender_ua``, ``style_ua``, ``wer``, ``cer``, ``n``.
    """
    scores: dict[str, float | int | None] = accuracies(predictions)
    for task in ("gender", "style"):
        pairs = [(p[task]["ref"], p[task]["hyp"]) for p in predictions if p.get(task)]
        scores[f"{task}_ua"] = unweighted_accuracy(*zip(*pairs, strict=True)) if pairs else None
    texts = [(p["text_ref"], p["text_hyp"]) for p in predictions if p.get("text_hyp") is not None]
    scores["wer"] = word_error_rate(*zip(*texts, strict=True)) if texts else None
    scores["cer"] = character_error_rate(*zip(*texts, strict=True)) if texts else None
    scores["n"] = len(predictions)
    return scores


def _require_pairs(refs: Sequence, hyps: Sequence) -> None:
    if len(refs) != len(hyps) or len(refs) == 0:
        raise ValueError(f"as many hypotheses as references are needed, and at least one: {len(refs)} and {len(hyps)}")
