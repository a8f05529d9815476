import jiwer
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sklearn.metrics import accuracy_score, balanced_accuracy_score
from sklearn.metrics import confusion_matrix as sklearn_confusion

from espnet_ser.scoring import (
    accuracies_of_counts,
    bootstrap_counts,
    bootstrap_interval,
    confusion_matrix,
    mean_and_std,
    score,
    unweighted_accuracy,
    weighted_accuracy,
    word_error_rate,
)

LABELS = ["angry", "happy", "neutral", "sad"]
pairs = st.lists(st.tuples(st.sampled_from(LABELS), st.sampled_from(LABELS)), min_size=1, max_size=60)


@given(pairs)
@pytest.mark.filterwarnings("ignore:y_pred contains classes not in y_true")
def test_accuracies_are_those_of_scikit_learn(rows):
    refs, hyps = zip(*rows, strict=True)
    assert unweighted_accuracy(refs, hyps) == pytest.approx(100 * balanced_accuracy_score(refs, hyps))
    assert weighted_accuracy(refs, hyps) == pytest.approx(100 * accuracy_score(refs, hyps))
    assert (confusion_matrix(refs, hyps, LABELS) == sklearn_confusion(refs, hyps, labels=LABELS)).all()


def test_unweighted_accuracy_by_hand():
    refs = ["angry"] * 8 + ["sad"] * 2
    hyps = ["angry"] * 6 + ["sad"] * 2 + ["sad", "angry"]
    assert unweighted_accuracy(refs, hyps) == pytest.approx((75 + 50) / 2)
    assert weighted_accuracy(refs, hyps) == pytest.approx(70)


def test_word_errors_are_counted_over_all_words_and_empty_references_do_not_count():
    refs, hyps = ["A B C", "", "D"], ["A X C D", "Y Y Y", ""]
    assert word_error_rate(refs, hyps) == pytest.approx(100 * (1 + 1 + 1) / 4)
    assert word_error_rate(refs, hyps) == pytest.approx(100 * jiwer.wer(["A B C", "D"], ["A X C D", ""]))
    assert word_error_rate([""], ["A"]) is None


def test_no_utterance_has_no_score():
    with pytest.raises(ValueError, match="at least one"):
        unweighted_accuracy([], [])


def test_deviation_is_the_sample_one():
    assert mean_and_std([70.0, 72.0, 77.0]) == {"mean": pytest.approx(73.0), "std": pytest.approx(np.std([70, 72, 77], ddof=1))}
    assert mean_and_std([70.0]) == {"mean": 70.0, "std": None}


@given(pairs)
@pytest.mark.filterwarnings("ignore:y_pred contains classes not in y_true")
@pytest.mark.filterwarnings("ignore:A single label was found")
def test_accuracies_of_counts_are_those_of_the_utterances(rows):
    refs, hyps = zip(*rows, strict=True)
    matrix = sklearn_confusion(refs, hyps, labels=LABELS)
    scores = accuracies_of_counts(np.stack([matrix.diagonal()] * 3), np.stack([matrix.sum(1)] * 3))
    assert scores["ua"] == pytest.approx([100 * balanced_accuracy_score(refs, hyps)] * 3)
    assert scores["wa"] == pytest.approx([100 * accuracy_score(refs, hyps)] * 3)


def test_each_draw_takes_as_many_utterances_of_a_fold_as_it_has():
    folds = [np.zeros(7, dtype=int), np.array([1, 2, 2, 2])]
    counts = bootstrap_counts(folds, num_cells=4, num_draws=5000, seed=0)
    assert (counts[:, 0] == 7).all()
    assert (counts[:, 1:].sum(1) == 4).all()
    assert (counts[:, 3] == 0).all()
    assert counts[:, 1].mean() == pytest.approx(1.0, abs=0.05)  # binomial: 4 draws of 1/4 each
    assert counts[:, 1].var() == pytest.approx(0.75, abs=0.05)


def test_interval_is_that_of_a_slow_bootstrap_with_the_same_draws():
    refs = [["sad", "sad", "happy", "angry", "sad"], ["happy", "angry", "angry"]]
    hyps = [["sad", "happy", "happy", "sad", "sad"], ["happy", "angry", "sad"]]
    rng = np.random.default_rng(4)
    draws = [rng.integers(0, len(fold), size=(1000, len(fold))) for fold in refs]
    samples = []
    for number in range(1000):
        drawn = [(refs[fold][i], hyps[fold][i]) for fold in (0, 1) for i in draws[fold][number]]
        samples.append([score_of(*zip(*drawn, strict=True)) for score_of in (unweighted_accuracy, weighted_accuracy)])
    low, high = np.percentile(samples, [2.5, 97.5], axis=0)
    interval = bootstrap_interval(refs, hyps, seed=4)
    assert interval == {"ua": pytest.approx((low[0], high[0])), "wa": pytest.approx((low[1], high[1]))}


def test_interval_holds_the_score_and_narrows_with_data():
    rng = np.random.default_rng(0)

    def fold(size):
        refs = rng.choice(LABELS, size).tolist()
        return refs, [ref if rng.random() < 0.7 else "sad" for ref in refs]

    widths = []
    for size in (50, 2000):
        folds = [fold(size) for _ in range(3)]
        refs, hyps = [f[0] for f in folds], [f[1] for f in folds]
        low, high = bootstrap_interval(refs, hyps)["ua"]
        assert low < unweighted_accuracy(sum(refs, []), sum(hyps, [])) < high
        widths.append(high - low)
    assert widths[1] < widths[0] / 4
    # binomial: 1.96 * sqrt(0.7 * 0.3 / 6000) is 1.2 points to either side for accuracy
    low, high = bootstrap_interval(refs, hyps)["wa"]
    assert high - low == pytest.approx(2 * 1.96 * 100 * np.sqrt(0.775 * 0.225 / 6000), rel=0.15)


def test_score_of_predictions():
    gender = {"ref": "f", "hyp": "f"}
    lines = [
        {"ref": "sad", "hyp": "sad", "gender": gender, "text_ref": "A B", "text_hyp": "A"},
        {"ref": "happy", "hyp": "sad", "gender": {"ref": "m", "hyp": "f"}, "text_ref": "", "text_hyp": "X"},
    ]
    assert score(lines) == {"ua": 50.0, "wa": 50.0, "gender_ua": 50.0, "style_ua": None, "wer": 50.0, "n": 2}
    assert score([{"ref": "sad", "hyp": None}])["ua"] is None
