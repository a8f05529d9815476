import math
from pathlib import Path

import numpy as np
import pytest
from sklearn.metrics import accuracy_score, balanced_accuracy_score

from espnet_ser.data.datadir import Example
from espnet_ser.errors import InputError
from espnet_ser.evaluation.slices import slices_of


def example(utt, gender="f", style="improvised", text="YES", seconds=1.0):
    return Example(
        utt=utt,
        speaker="Ses01_F",
        session="1",
        gender=gender,
        emotion="sad",
        label="sad",
        style=style,
        text=text,
        wav=Path("a.wav"),
        num_samples=round(16000 * seconds),
        sha256="",
    )


def line(utt, ref="sad", hyp="sad"):
    return {"utt": utt, "speaker": "Ses01_F", "emotion": {"ref": ref, "hyp": hyp}}


def test_slices_by_hand():
    tests = {
        "1": [
            example("a", "f", "improvised", "I KNOW", 1.0),
            example("b", "m", "scripted", "NO WAY", 3.0),
            example("c", "m", "scripted", "", 5.0),
            example("d", "m", "scripted", "NO WAY", 9.0),
        ]
    }
    lines = {"1": [line("a"), line("b", "sad", "happy"), line("c", "sad", "sad"), line("d", "angry", "angry")]}
    one = {"n": 1, "classes": 1}
    assert slices_of(lines, tests, {"1": {"NO WAY"}}) == {
        "style": {
            "improvised": {**one, "ua": 100.0, "wa": 100.0},
            "scripted": {"n": 3, "classes": 2, "ua": (50 + 100) / 2, "wa": pytest.approx(200 / 3)},
        },
        "transcript": {"seen": {"n": 2, "classes": 2, "ua": 50.0, "wa": 50.0}, "unseen": {**one, "ua": 100.0, "wa": 100.0}},
        "gender": {
            "f": {**one, "ua": 100.0, "wa": 100.0},
            "m": {"n": 3, "classes": 2, "ua": 75.0, "wa": pytest.approx(200 / 3)},
        },
        "duration": {
            "under 2 s": {**one, "ua": 100.0, "wa": 100.0},
            "2 to 4 s": {**one, "ua": 0.0, "wa": 0.0},
            "4 to 8 s": {**one, "ua": 100.0, "wa": 100.0},
            "8 s and over": {**one, "ua": 100.0, "wa": 100.0},
        },
    }


def test_a_transcript_is_seen_only_in_the_training_part_of_its_own_fold():
    tests = {"1": [example("a", text="I KNOW")], "2": [example("b", text="I KNOW")]}
    lines = {"1": [line("a")], "2": [line("b", hyp="happy")]}
    by_transcript = slices_of(lines, tests, {"1": {"I KNOW"}, "2": {"I KNOW IT", "KNOW", ""}})["transcript"]
    assert {name: (scores["n"], scores["wa"]) for name, scores in by_transcript.items()} == {
        "seen": (1, 100.0),
        "unseen": (1, 0.0),
    }


def test_an_empty_transcript_is_neither_seen_nor_unseen():
    assert "transcript" not in slices_of({"1": [line("a")]}, {"1": [example("a", text="")]}, {"1": {"", "YES"}})


def test_what_the_corpus_does_not_say_makes_no_slicing():
    assert set(slices_of({"1": [line("a")]}, {"1": [example("a", style="")]}, {"1": set()})) == {
        "transcript",
        "gender",
        "duration",
    }


@pytest.mark.parametrize(
    ("num_samples", "band"),
    [
        (1, "under 2 s"),
        (31999, "under 2 s"),
        (32000, "2 to 4 s"),
        (63999, "2 to 4 s"),
        (64000, "4 to 8 s"),
        (128000, "8 s and over"),
        (10**7, "8 s and over"),
    ],
)
def test_the_end_of_a_duration_band_belongs_to_the_next(num_samples, band):
    tests = {"1": [example("a", seconds=num_samples / 16000)]}
    assert list(slices_of({"1": [line("a")]}, tests, {"1": set()})["duration"]) == [band]


def test_bands_come_in_order_of_duration_and_scores_are_scikit_learns():
    rng = np.random.default_rng(0)
    labels, seconds = ["angry", "happy", "neutral", "sad"], rng.gamma(3.0, 1.6, 400)
    refs, hyps = rng.choice(labels, 400), rng.choice(labels, 400)
    utts = [f"u{i}" for i in range(400)]
    half = {"1": slice(0, 150), "2": slice(150, 400)}
    lines = [line(*values) for values in zip(utts, refs.tolist(), hyps.tolist(), strict=True)]
    tests = [example(utt, seconds=s) for utt, s in zip(utts, seconds, strict=True)]
    bands = slices_of({k: lines[s] for k, s in half.items()}, {k: tests[s] for k, s in half.items()}, {"1": (), "2": ()})[
        "duration"
    ]
    assert list(bands) == ["under 2 s", "2 to 4 s", "4 to 8 s", "8 s and over"]
    for (start, end), scores in zip([(0, 2), (2, 4), (4, 8), (8, math.inf)], bands.values(), strict=True):
        inside = (seconds >= start) & (seconds < end)
        assert scores["n"] == inside.sum()
        assert scores["ua"] == pytest.approx(100 * balanced_accuracy_score(refs[inside], hyps[inside]))
        assert scores["wa"] == pytest.approx(100 * accuracy_score(refs[inside], hyps[inside]))


def test_a_prediction_of_another_utterance_is_named():
    with pytest.raises(InputError, match="fold 1: b is predicted but not held out; run stage 5 again"):
        slices_of({"1": [line("b")]}, {"1": [example("a")]}, {"1": set()})
