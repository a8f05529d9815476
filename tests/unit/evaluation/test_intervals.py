"""Spread over folds, and intervals over utterances and over speakers."""

import time

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sklearn.metrics import accuracy_score, balanced_accuracy_score
from sklearn.metrics import confusion_matrix as sklearn_confusion

from espnet_ser.evaluation.intervals import accuracies_of_counts, bootstrap_counts, intervals, jackknife_interval, mean_and_std
from espnet_ser.evaluation.metrics import unweighted_accuracy, weighted_accuracy

LABELS = ["angry", "happy", "neutral", "sad"]
pairs = st.lists(st.tuples(st.sampled_from(LABELS), st.sampled_from(LABELS)), min_size=1, max_size=60)


def fold_of(size, rng, share=0.7):
    refs = rng.choice(LABELS, size).tolist()
    return refs, [ref if rng.random() < share else "sad" for ref in refs]


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


def test_interval_over_utterances_is_that_of_a_slow_bootstrap_with_the_same_draws():
    refs = [["sad", "sad", "happy", "angry", "sad"], ["happy", "angry", "angry"]]
    hyps = [["sad", "happy", "happy", "sad", "sad"], ["happy", "angry", "sad"]]
    rng = np.random.default_rng(4)
    draws = [rng.integers(0, len(fold), size=(1000, len(fold))) for fold in refs]
    samples = []
    for number in range(1000):
        drawn = [(refs[fold][i], hyps[fold][i]) for fold in (0, 1) for i in draws[fold][number]]
        samples.append([score_of(*zip(*drawn, strict=True)) for score_of in (unweighted_accuracy, weighted_accuracy)])
    low, high = np.percentile(samples, [2.5, 97.5], axis=0)
    made = intervals(refs, hyps, [["a"] * 5, ["b"] * 3], seed=4)
    assert made["ua"]["ci95"] == pytest.approx([low[0], high[0]])
    assert made["wa"]["ci95"] == pytest.approx([low[1], high[1]])


def test_interval_over_utterances_holds_the_score_and_narrows_with_data():
    rng = np.random.default_rng(0)
    widths = []
    for size in (50, 2000):
        refs, hyps = zip(*(fold_of(size, rng) for _ in range(3)), strict=True)
        low, high = intervals(refs, hyps, [["a"] * size] * 3)["ua"]["ci95"]
        assert low < unweighted_accuracy(sum(refs, []), sum(hyps, [])) < high
        widths.append(high - low)
    assert widths[1] < widths[0] / 4
    # binomial: 1.96 * sqrt(0.7 * 0.3 / 6000) is 1.2 points to either side for accuracy
    low, high = intervals(refs, hyps, [["a"] * size] * 3)["wa"]["ci95"]
    assert high - low == pytest.approx(2 * 1.96 * 100 * np.sqrt(0.775 * 0.225 / 6000), rel=0.15)


def test_interval_over_speakers_by_hand():
    # Right of 4: speaker a 4, b 2, c 3, one class. Without one: 5/8, 7/8, 6/8; deviation sqrt(2/3 * 2 * (1/8)^2); t(2) = 4.3027
    refs, speakers = [["sad"] * 12], [["a"] * 4 + ["b"] * 4 + ["c"] * 4]
    hyps = [["sad"] * 4 + ["sad"] * 2 + ["happy"] * 2 + ["sad"] * 3 + ["happy"]]
    margin = 4.302653 * 100 * np.sqrt(4 / 3) / 8
    for score in intervals(refs, hyps, speakers).values():
        assert score["ci95_speakers"] == pytest.approx([75 - margin, min(75 + margin, 100)], abs=1e-4)
    assert jackknife_interval(75.0, np.array([62.5, 87.5, 75.0])) == pytest.approx([75 - margin, 75 + margin], abs=1e-4)


def test_of_one_speaker_there_is_no_interval_over_speakers():
    made = intervals([["sad", "happy"], ["sad"]], [["sad", "sad"], ["sad"]], [["a", "a"], ["a"]])
    assert made["ua"]["ci95_speakers"] is made["wa"]["ci95_speakers"] is None


def test_speakers_of_a_single_class_and_folds_without_one_give_numbers(recwarn):
    refs = [["sad"] * 3 + ["happy"] * 2, ["sad"] * 4]
    hyps = [["sad", "sad", "angry", "happy", "sad"], ["sad", "sad", "happy", "angry"]]
    made = intervals(refs, hyps, [["a"] * 3 + ["b"] * 2, ["c"] * 2 + ["d"] * 2])
    for score in made.values():
        for low, high in score.values():
            assert 0 <= low < high <= 100
    assert not recwarn.list


@pytest.mark.parametrize(("num_folds", "speakers_in_fold"), [(5, 2), (10, 1)])
def test_interval_over_speakers_holds_the_true_score_in_95_of_100_cases(num_folds, speakers_in_fold):
    """Where a speaker's recalls vary by 8 points around 70; a bootstrap of speakers within folds holds it in 77 or none."""
    rng = np.random.default_rng(1)
    num_speakers, held, within = num_folds * speakers_in_fold, 0, 0
    for _ in range(400):
        recalls = np.clip(0.7 + rng.normal(0, 0.08, (num_speakers, 1)) + rng.normal(0, 0.04, (num_speakers, 4)), 0, 1)
        total = rng.multinomial(140, [0.2, 0.3, 0.3, 0.2], size=num_speakers)
        correct = rng.binomial(total, recalls)
        score, without = (
            accuracies_of_counts(c, t)["ua"]
            for c, t in ((correct.sum(0), total.sum(0)), (correct.sum(0) - correct, total.sum(0) - total))
        )
        low, high = jackknife_interval(float(score), without)
        held += low <= 70 <= high
        weights = np.concatenate(
            [rng.multinomial(speakers_in_fold, [1 / speakers_in_fold] * speakers_in_fold, 200) for _ in range(num_folds)], 1
        )
        low, high = np.percentile(accuracies_of_counts(weights @ correct, weights @ total)["ua"], [2.5, 97.5])
        within += low <= 70 <= high
    assert held / 400 == pytest.approx(0.95, abs=0.03)
    assert within / 400 < 0.85


def test_a_whole_corpus_takes_no_time():
    rng = np.random.default_rng(0)
    refs, hyps = zip(*(fold_of(1106, rng) for _ in range(5)), strict=True)
    speakers = [[f"{fold}{i % 2}" for i in range(1106)] for fold in range(5)]
    start_s = time.process_time()
    for _ in range(3):
        intervals(refs, hyps, speakers)
    assert time.process_time() - start_s < 3.0  # of three selections; measured: 0.4 s
