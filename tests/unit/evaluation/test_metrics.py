import jiwer
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sklearn.metrics import accuracy_score, balanced_accuracy_score, f1_score, precision_recall_fscore_support
from sklearn.metrics import confusion_matrix as sklearn_confusion

from espnet_ser.evaluation.metrics import (
    character_error_rate,
    class_scores,
    confusion_matrix,
    macro_f1,
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


@given(pairs)
@pytest.mark.filterwarnings("ignore:y_pred contains classes not in y_true")
def test_class_scores_and_macro_f1_are_those_of_scikit_learn(rows):
    refs, hyps = zip(*rows, strict=True)
    by_class = class_scores(confusion_matrix(refs, hyps, LABELS), LABELS)
    theirs = precision_recall_fscore_support(refs, hyps, labels=LABELS, zero_division=np.nan)
    for name, values in zip(("precision", "recall", "f1", "support"), theirs, strict=True):
        scale = 1 if name == "support" else 100
        ours = [np.nan if by_class[label][name] is None else by_class[label][name] for label in LABELS]
        assert ours == pytest.approx([scale * value for value in values], nan_ok=True), name
    occurring = sorted(set(refs))
    assert macro_f1(by_class) == pytest.approx(100 * f1_score(refs, hyps, labels=occurring, average="macro", zero_division=0))


def test_a_class_that_is_predicted_and_never_right_is_no_class_of_its_own():
    refs, hyps = ["sad", "sad", "happy", "happy"], ["sad", "angry", "angry", "happy"]
    assert unweighted_accuracy(refs, hyps) == 50.0
    by_class = class_scores(confusion_matrix(refs, hyps, LABELS), LABELS)
    assert by_class["angry"] == {"recall": None, "precision": 0.0, "f1": 0.0, "support": 0}
    assert by_class["neutral"] == {"recall": None, "precision": None, "f1": None, "support": 0}
    assert by_class["sad"] == {"recall": 50.0, "precision": 100.0, "f1": pytest.approx(200 / 3), "support": 2}
    assert macro_f1(by_class) == pytest.approx(200 / 3)  # of happy and sad


def test_words_that_nothing_separates_are_counted_by_characters():
    refs, hyps = ["今天天气很好", "สวัสดี", ""], ["今天天气不好", "สวัสดี", "無"]
    assert word_error_rate(refs, hyps) == 50.0  # of two words
    assert character_error_rate(refs, hyps) == pytest.approx(100 * 1 / 12)
    assert character_error_rate(["", " "], ["a", "b"]) is None


def test_score_of_predictions():
    gender = {"ref": "f", "hyp": "f"}
    lines = [
        {"emotion": {"ref": "sad", "hyp": "sad"}, "gender": gender, "asr": {"ref": "A B", "hyp": "A"}},
        {"emotion": {"ref": "happy", "hyp": "sad"}, "gender": {"ref": "m", "hyp": "f"}, "asr": {"ref": "", "hyp": "X"}},
    ]
    assert score(lines) == {
        "ua": 50.0,
        "wa": 50.0,
        "gender_ua": 50.0,
        "style_ua": None,
        "wer": 50.0,
        "cer": pytest.approx(200 / 3),
        "n": 2,
    }
    assert score([{"gender": gender}])["ua"] is None
