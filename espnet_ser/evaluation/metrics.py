"""Scores (Sec. 3.2): unweighted and weighted accuracy, word error rate, and what becomes of each class. All in percent, and so
is the concordance of numbers.

Each is computed over utterances at once; a mean over batches would be another number. UA and macro-F1 are over the classes that
occur in the references: a class that is predicted and never right lowers the recall of those that it is taken for, and is no
class of its own.
"""

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from math import fsum

import numpy as np

from espnet_ser.tasks_table import MAIN_TASK, auxiliary


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


def concordance(refs: Sequence[float], hyps: Sequence[float]) -> float:
    """Lin's concordance correlation coefficient (Biometrics 45, 1989), times 100: at most 100, and 0 for constants.

    With means m, variances v and covariance c: 2 c / (v_ref + v_hyp + (m_ref - m_hyp)^2).

    >>> round(concordance([1.0, 2.0, 3.0], [2.0, 3.0, 4.0]), 4), concordance([1.0, 2.0], [1.5, 1.5])
    (57.1429, 0.0)
    """
    _require_pairs(refs, hyps)
    x, y = np.asarray(refs, dtype=float), np.asarray(hyps, dtype=float)
    scale = x.var() + y.var() + (x.mean() - y.mean()) ** 2
    return float(200.0 * ((x - x.mean()) * (y - y.mean())).mean() / scale) if scale > 0 else 0.0


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
    refs, hyps = refs_and_hyps(predictions)
    return {"ua": unweighted_accuracy(refs, hyps) if refs else None, "wa": weighted_accuracy(refs, hyps) if refs else None}


def part_scores(predictions: Sequence[Mapping]) -> dict[str, float | int | None]:
    """Size and accuracies of a part of the predictions, such as a speaker's. Returns ``{"n", "classes", "ua", "wa"}``: UA is
    over those ``classes`` (how many) that occur in the part.
    """
    refs, _ = refs_and_hyps(predictions)
    return {"n": len(predictions), "classes": len(set(refs)), **accuracies(predictions)}


def score(predictions: Sequence[Mapping]) -> dict[str, float | int | None]:
    """Every score of one set of predictions (lines of ``predictions_*.jsonl``); None where a task has no output. Returns
    ``ua``, ``wa``, those of :func:`auxiliary_scores` (``gender_ua``, ``style_ua``, ``wer``, ``cer``, ...), ``n``.
    """
    scores: dict[str, float | int | None] = accuracies(predictions)
    for spec in auxiliary():
        refs, hyps = refs_and_hyps(predictions, spec.name)
        for metric, of in METRICS[spec.kind].items():
            scores[spec.score(metric)] = of(refs, hyps) if refs else None
    return {**scores, "n": len(predictions)}


METRICS: Mapping[str, Mapping[str, Callable]] = {
    "classes": {"ua": unweighted_accuracy},
    "regression": {"ccc": concordance},
    "ctc": {"wer": word_error_rate, "cer": character_error_rate},
}
"""Kind of an auxiliary task -> its scores, the main one first, from references and hypotheses."""

METRIC_NAMES = {"ua": "UA", "wa": "WA", "ccc": "CCC", "wer": "WER", "cer": "CER"}


def auxiliary_scores() -> dict[str, str]:
    """What is scored besides the main task -> the task that it is a score of.

    >>> auxiliary_scores()
    {'gender_ua': 'gender', 'style_ua': 'style', 'wer': 'asr', 'cer': 'asr'}
    """
    return {spec.score(metric): spec.name for spec in auxiliary() for metric in METRICS[spec.kind]}


def score_names() -> dict[str, str]:
    """Every score as it is called in tables and figures: ``wer`` is WER, ``gender_ua`` gender UA."""
    names = {metric: METRIC_NAMES[metric] for metric in ("ua", "wa")}
    for spec in auxiliary():
        prefix = f"{spec.name} " if spec.prefixed else ""
        names |= {spec.score(metric): prefix + METRIC_NAMES[metric] for metric in METRICS[spec.kind]}
    return names


def refs_and_hyps(predictions: Sequence[Mapping], task: str = MAIN_TASK) -> tuple[list, list]:
    """A task's references and hypotheses, of those predictions that are of it."""
    of_task = [line[task] for line in predictions if task in line]
    return [each["ref"] for each in of_task], [each["hyp"] for each in of_task]


def _require_pairs(refs: Sequence, hyps: Sequence) -> None:
    if len(refs) != len(hyps) or len(refs) == 0:
        raise ValueError(f"as many hypotheses as references are needed, and at least one: {len(refs)} and {len(hyps)}")
