import math

import numpy as np
import pytest
from scipy.stats import norm
from sklearn.metrics import accuracy_score, balanced_accuracy_score

from espnet_ser.errors import InputError
from espnet_ser.evaluation import intervals
from espnet_ser.evaluation.significance import compare, comparison_text, conclusion

LABELS = ["angry", "happy", "neutral", "sad"]


def line(utt, ref, hyp, speaker="Ses01_F"):
    return {"utt": utt, "speaker": speaker, "emotion": {"ref": ref, "hyp": hyp}}


def systems(sizes, share_a, share_b, seed=0):
    """Folds of two systems that are right in a share of the utterances, each on its own."""
    rng = np.random.default_rng(seed)
    folds = {}, {}
    for fold, size in enumerate(sizes, 1):
        refs = rng.choice(LABELS, size, p=[0.2, 0.3, 0.3, 0.2]).tolist()
        for by_fold, share in zip(folds, (share_a, share_b), strict=True):
            hyps = [
                ref if right else LABELS[LABELS.index(ref) - 1]
                for ref, right in zip(refs, rng.random(size) < share, strict=True)
            ]
            by_fold[str(fold)] = [
                line(f"u{fold}-{i:04d}", ref, hyp, f"Ses0{fold}_{'FM'[i % 2]}")
                for i, (ref, hyp) in enumerate(zip(refs, hyps, strict=True))
            ]
    return folds


def of_right_or_wrong(pairs):
    """One fold of a single class from (A is right, B is right)."""
    hyp = {True: "sad", False: "happy"}
    return tuple({"1": [line(f"u{i:04d}", "sad", hyp[pair[side]]) for i, pair in enumerate(pairs)]} for side in (0, 1))


def scikit_learn_scores(lines):
    refs, hyps = ([each["emotion"][key] for each in lines] for key in ("ref", "hyp"))
    return {"ua": 100 * balanced_accuracy_score(refs, hyps), "wa": 100 * accuracy_score(refs, hyps)}


def test_scores_are_scikit_learns_over_all_folds_together():
    a, b = systems((60, 45), 0.6, 0.7)
    result = compare(a, b, num_draws=10)
    for name, by_fold in (("a", a), ("b", b)):
        for score, value in scikit_learn_scores([each for lines in by_fold.values() for each in lines]).items():
            assert result[score][name] == pytest.approx(value)
    assert result["ua"]["difference"] == pytest.approx(result["ua"]["b"] - result["ua"]["a"], abs=1e-8)
    assert (result["n"], result["num_speakers"]) == (105, 4)


def test_bootstrap_is_a_slow_one_with_the_same_draws():
    a, b = systems((40, 25), 0.6, 0.7)
    result = compare(a, b, num_draws=200, seed=3)
    rng = np.random.default_rng(3)
    drawn = [rng.integers(0, len(a[fold]), size=(200, len(a[fold]))) for fold in ("1", "2")]
    differences = {"ua": [], "wa": []}
    for draw in range(200):
        scores_a, scores_b = (
            scikit_learn_scores([by[fold][i] for fold, rows in zip(("1", "2"), drawn, strict=True) for i in rows[draw]])
            for by in (a, b)
        )
        for name, values in differences.items():
            values.append(round(scores_b[name] - scores_a[name], 9))
    for name, values in differences.items():
        assert result[name]["ci95"] == pytest.approx(np.percentile(values, [2.5, 97.5]).tolist())
    tails = sum(d <= 0 for d in differences["ua"]), sum(d >= 0 for d in differences["ua"])
    assert 0 < min(tails) < 100
    assert result["ua"]["p"] == pytest.approx(2 * (min(tails) + 1) / 201)


def test_interval_and_p_value_are_the_normal_ones_of_many_utterances():
    # With one class UA is WA: the mean of (B - A) over pairs, whose deviation is known.
    pairs = [(True, False)] * 260 + [(False, True)] * 300 + [(True, True)] * 1000 + [(False, False)] * 440
    result = compare(*of_right_or_wrong(pairs))["ua"]
    deviation = 100 * math.sqrt((560 / 2000 - (40 / 2000) ** 2) / 2000)
    assert result["difference"] == 2.0
    assert result["ci95"] == pytest.approx([2 - 1.96 * deviation, 2 + 1.96 * deviation], abs=0.1)
    assert result["p"] == pytest.approx(2 * norm.sf(2 / deviation), abs=0.015)


@pytest.mark.parametrize("chunk", [1, 1000])
def test_memory_at_a_time_changes_nothing(monkeypatch, chunk):
    a, b = systems((40, 25), 0.6, 0.7)
    whole = compare(a, b, num_draws=300)
    monkeypatch.setattr(intervals, "MAX_DRAWN_AT_A_TIME", chunk)
    assert compare(a, b, num_draws=300) == whole


def test_mcnemar_by_hand():
    pairs = [(True, False)] * 2 + [(False, True)] * 8 + [(True, True)] * 5
    wa = compare(*of_right_or_wrong(pairs), num_draws=10)["wa"]
    assert (wa["only_a_right"], wa["only_b_right"]) == (2, 8)
    assert wa["p"] == pytest.approx(2 * sum(math.comb(10, k) for k in range(3)) / 2**10)


def test_jackknife_over_speakers_by_hand():
    a, b = systems((30, 20), 0.6, 0.7)
    lines = {
        "a": [each for part in a.values() for each in part],
        "b": [each for part in b.values() for each in part],
    }
    without_one = []
    for speaker in ("Ses01_F", "Ses01_M", "Ses02_F", "Ses02_M"):
        ua = {k: scikit_learn_scores([each for each in v if each["speaker"] != speaker])["ua"] for k, v in lines.items()}
        without_one.append(ua["b"] - ua["a"])
    margin = 3.182446305 * math.sqrt(3 / 4 * sum((d - sum(without_one) / 4) ** 2 for d in without_one))  # t(0.975, 3)
    result = compare(a, b, num_draws=10)["ua"]
    assert result["ci95_speakers"] == pytest.approx([result["difference"] - margin, result["difference"] + margin])


def test_one_speaker_says_nothing_of_others():
    result = compare(*of_right_or_wrong([(True, False)] * 3 + [(False, True)] * 40), num_draws=100)
    assert result["ua"]["ci95_speakers"] is None
    assert "over speakers" in comparison_text(result)
    assert "other speakers might tell otherwise" in conclusion(result)


def test_a_system_is_no_better_than_itself():
    a, _ = systems((60, 45), 0.6, 0.7)
    result = compare(a, a, num_draws=100)
    for name in ("ua", "wa"):
        assert result[name]["difference"] == 0
        assert result[name]["ci95"] == [0, 0]
        assert result[name]["ci95_speakers"] == [0, 0]
        assert result[name]["p"] == 1
    assert conclusion(result) == "No difference was found (p = 1.000 on UA, p = 1.000 on WA)."


def test_equal_scores_differ_by_nothing_even_where_rounding_errors_do():
    def system(num_sad_right, num_happy_right):
        lines = [line(f"s{i}", "sad", "sad" if i < num_sad_right else "calm") for i in range(2)]
        return {"1": lines + [line(f"h{i}", "happy", "happy" if i < num_happy_right else "calm") for i in range(6)]}

    result = compare(system(0, 5), system(1, 2), num_draws=10)["ua"]  # 0/2 + 5/6 = 1/2 + 2/6
    assert result["a"] == pytest.approx(100 * 5 / 12)
    assert result["difference"] == 0


def test_swapping_the_systems_mirrors_the_outcome():
    a, b = systems((60, 45), 0.6, 0.7)
    forth, back = compare(a, b, num_draws=500), compare(b, a, num_draws=500)
    for name in ("ua", "wa"):
        assert back[name]["difference"] == -forth[name]["difference"]
        for interval in ("ci95", "ci95_speakers"):
            assert back[name][interval] == pytest.approx([-bound for bound in reversed(forth[name][interval])])
        assert back[name]["p"] == forth[name]["p"]
    assert back["wa"]["only_a_right"] == forth["wa"]["only_b_right"]


def test_the_order_of_lines_and_folds_changes_nothing():
    a, b = systems((60, 45), 0.6, 0.7)
    mixed_a, mixed_b = ({fold: list(reversed(by_fold[fold])) for fold in reversed(by_fold)} for by_fold in (a, b))
    for other in (b, mixed_b):
        assert compare(mixed_a, other, num_draws=50) == compare(a, b, num_draws=50)


def test_a_truly_better_system_is_found_and_says_so():
    a, b = systems((400, 400, 400), 0.6, 0.7)
    result = compare(a, b, num_draws=2000)
    assert result["ua"]["ci95"][0] > 0
    assert result["ua"]["p"] < 0.01
    assert conclusion(result) == "B is better on UA (p < 0.001); B is better on WA (p < 0.001)."
    assert conclusion(compare(b, a, num_draws=2000)).startswith("A is better on UA (p < 0.001); A is better on WA")


def test_equal_systems_are_told_apart_as_rarely_as_promised():
    p_values = [compare(*systems((80, 80), 0.7, 0.7, seed), num_draws=400) for seed in range(200)]
    for name in ("ua", "wa"):
        share = sum(result[name]["p"] < 0.05 for result in p_values) / 200
        assert share < 0.1  # 0.05 and 3 standard errors


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda b: b["1"].pop(), "fold 1: utterances in A that are not in B: 1, such as u1-0002"),
        (lambda b: b["1"].append(line("new", "sad", "sad")), "fold 1: utterances in B that are not in A: 1, such as new"),
        (
            lambda b: b["2"][0]["emotion"].update(ref="calm"),
            "fold 2: utterances whose 'ref' .*: 1, such as u2-0000 .'.*' in A, 'calm' in B",
        ),
        (lambda b: b["1"][1].update(speaker="Ses09_F"), "fold 1: utterances whose 'speaker' .*: 1, such as u1-0001"),
        (lambda b: b["1"][1]["emotion"].update(hyp=None), "fold 1 of B, line 2: 'hyp' is None, not a name"),
        (lambda b: b["1"][1].update(utt=["u"]), "fold 1 of B, line 2: 'utt' is .*, not a name"),
        (lambda b: b["1"].append(b["1"][0]), "fold 1 of B, line 4: u1-0000 is there twice"),
        (lambda b: b.pop("1"), "folds of A: 1 2; of B: 2; compare them over the same folds"),
        (lambda b: b["1"].clear(), "fold 1 of B: no prediction"),
    ],
)
def test_what_cannot_be_paired_is_named(change, message):
    a, b = systems((3, 2), 0.6, 0.7)
    change(b)
    with pytest.raises(InputError, match=message):
        compare(a, b, num_draws=10)


def test_an_utterance_in_two_folds_is_named():
    a, b = systems((3, 2), 0.6, 0.7)
    for by_fold in (a, b):
        by_fold["2"].append(by_fold["1"][1])
    with pytest.raises(InputError, match=r"fold 2: utterances that are in another fold too: 1, such as u1-0001 \(fold 1\)"):
        compare(a, b, num_draws=10)


def test_the_table_shows_scores_intervals_counts_and_conclusion():
    score = {"a": 72.301, "b": 76.1, "difference": 3.799, "ci95": [2.0, 5.55], "ci95_speakers": [-0.004, 7.6], "p": 0.0121}
    wa = {**score, "difference": -0.001, "p": 0.7, "only_a_right": 31, "only_b_right": 52}
    text = comparison_text({"n": 5531, "num_speakers": 10, "ua": score, "wa": wa}, "exp/stl", "exp/mine")
    lines = [" ".join(each.split()) for each in text.splitlines()]
    assert lines[:3] == ["A: exp/stl", "B: exp/mine", "5531 utterances of 10 speakers"]
    assert "UA 72.30 76.10 +3.80 +2.00 to +5.55 +0.00 to +7.60 p = 0.012" in lines
    assert "WA 72.30 76.10 +0.00 +2.00 to +5.55 +0.00 to +7.60 p = 0.700" in lines
    assert "utterances that only A has right: 31; only B: 52" in lines
    assert lines[-1] == (
        "B is better on UA (p = 0.012), though other speakers might tell otherwise; on WA no difference was found (p = 0.700)."
    )
