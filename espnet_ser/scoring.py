"""Scores (Sec. 3.2): unweighted and weighted accuracy, word error rate, and how far to trust them. All in percent.

Each is computed over utterances at once; a mean over batches would be another number.
"""

from collections import Counter
from collections.abc import Mapping, Sequence
from math import fsum

import numpy as np

NUM_BOOTSTRAP = 1000
MAX_DRAWN_AT_A_TIME = 1_000_000
"""Utterances that a bootstrap holds in memory at a time; no effect on the result."""


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

    pairs = [(ref, hyp) for ref, hyp in zip(refs, hyps, strict=True) if ref.split()]
    if not pairs:
        return None
    return float(100.0 * jiwer.wer([ref for ref, _ in pairs], [hyp for _, hyp in pairs]))


def bootstrap_interval(
    refs_by_fold: Sequence[Sequence[str]], hyps_by_fold: Sequence[Sequence[str]], seed: int = 0
) -> dict[str, tuple[float, float]]:
    """95 % intervals of pooled UA and WA: utterances drawn again with replacement within each fold.

    Args:
        refs_by_fold: References of each fold.
        hyps_by_fold: Hypotheses of each fold.
        seed: Of the draws.

    Returns:
        ``{"ua": (low, high), "wa": (low, high)}``.
    """
    labels = sorted({ref for refs in refs_by_fold for ref in refs})
    cells_by_fold = [
        np.array([2 * labels.index(ref) + (ref == hyp) for ref, hyp in zip(refs, hyps, strict=True)])
        for refs, hyps in zip(refs_by_fold, hyps_by_fold, strict=True)
    ]
    counts = bootstrap_counts(cells_by_fold, 2 * len(labels), NUM_BOOTSTRAP, seed).reshape(-1, len(labels), 2)
    samples = accuracies_of_counts(correct=counts[..., 1], total=counts.sum(-1))
    return {name: tuple(float(v) for v in np.percentile(values, [2.5, 97.5])) for name, values in samples.items()}


def bootstrap_counts(cells_by_fold: Sequence[np.ndarray], num_cells: int, num_draws: int, seed: int) -> np.ndarray:
    """How many utterances of each kind every draw of a bootstrap holds; all that a score of counts needs of the draw.

    Each draw takes as many utterances from a fold as the fold has, with replacement; the same seed takes the same ones,
    whatever their cells are.

    Args:
        cells_by_fold: For each fold, the kind of each utterance (say, its class and whether it is right): int in
            [0, num_cells), [utterances].
        num_cells: How many kinds there are.
        num_draws: How often to draw.
        seed: Of the draws.

    Returns:
        Counts, summed over folds: int [num_draws, num_cells].
    """
    rng = np.random.default_rng(seed)
    counts = np.zeros((num_draws, num_cells), dtype=np.int64)
    for cells in cells_by_fold:
        rows_at_a_time = max(1, MAX_DRAWN_AT_A_TIME // len(cells))
        for start in range(0, num_draws, rows_at_a_time):
            block = counts[start : start + rows_at_a_time]
            drawn = cells[rng.integers(0, len(cells), size=(len(block), len(cells)))]  # [rows, utterances]
            drawn += num_cells * np.arange(len(block))[:, None]  # a range of cells to each row, so that all are counted at once
            block += np.bincount(drawn.ravel(), minlength=block.size).reshape(block.shape)
    return counts


def accuracies_of_counts(correct: np.ndarray, total: np.ndarray) -> dict[str, np.ndarray]:
    """UA and WA of many sets of utterances at once, as :func:`unweighted_accuracy` and :func:`weighted_accuracy` of each.

    Args:
        correct: Right utterances of each class: [..., labels].
        total: All utterances of each class, at least one in each set: [..., labels].

    Returns:
        ``{"ua", "wa"}``: float [...].
    """
    recalls = np.divide(correct, total, out=np.full(np.shape(correct), np.nan), where=total > 0)
    return {"ua": 100.0 * np.nanmean(recalls, axis=-1), "wa": 100.0 * correct.sum(-1) / total.sum(-1)}


def mean_and_std(values: Sequence[float]) -> dict[str, float | None]:
    """Mean and sample standard deviation (n - 1) over folds; of a single value no deviation is known, and it is None.

    >>> mean_and_std([1.0, 3.0])
    {'mean': 2.0, 'std': 1.4142135623730951}
    """
    return {"mean": float(np.mean(values)), "std": float(np.std(values, ddof=1)) if len(values) > 1 else None}


def score(predictions: Sequence[Mapping]) -> dict[str, float | int | None]:
    """Every score of one set of predictions (lines of ``predictions_*.jsonl``); None where a task has no output.

    Returns:
        ``ua``, ``wa``, ``gender_ua``, ``style_ua``, ``wer``, ``n``.
    """
    emotion = [(p["ref"], p["hyp"]) for p in predictions if p.get("hyp") is not None]
    scores: dict[str, float | int | None] = {
        "ua": unweighted_accuracy(*zip(*emotion, strict=True)) if emotion else None,
        "wa": weighted_accuracy(*zip(*emotion, strict=True)) if emotion else None,
    }
    for task in ("gender", "style"):
        pairs = [(p[task]["ref"], p[task]["hyp"]) for p in predictions if p.get(task)]
        scores[f"{task}_ua"] = unweighted_accuracy(*zip(*pairs, strict=True)) if pairs else None
    texts = [(p["text_ref"], p["text_hyp"]) for p in predictions if p.get("text_hyp") is not None]
    scores["wer"] = word_error_rate(*zip(*texts, strict=True)) if texts else None
    scores["n"] = len(predictions)
    return scores


def _require_pairs(refs: Sequence, hyps: Sequence) -> None:
    if len(refs) != len(hyps) or len(refs) == 0:
        raise ValueError(f"as many hypotheses as references are needed, and at least one: {len(refs)} and {len(hyps)}")
