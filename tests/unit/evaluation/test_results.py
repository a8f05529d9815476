import json
import statistics

import pytest

from espnet_ser.errors import InputError
from espnet_ser.evaluation.predictions import predictions_path, read_predictions, write_predictions
from espnet_ser.evaluation.results import summarise
from espnet_ser.layout import HISTORY_FILE
from espnet_ser.train.history import append_record, read_history

LABELS = ["angry", "happy", "neutral", "sad"]


def line(number, ref, hyp, gender="f", session="1"):
    return {
        "utt": f"u{number}",
        "speaker": f"Ses0{session}_F",
        "session": session,
        "emotion": {"ref": ref, "hyp": hyp, "scores": {label: 0.25 for label in LABELS}},
        "gender": {"ref": "f", "hyp": gender, "scores": {"f": 0.5, "m": 0.5}},
        "asr": {"ref": "A B", "hyp": "A C"},
        "from_stage1": ["asr", "gender"],
    }


def predictions():
    one = [line(i, "angry", "angry") for i in range(6)] + [line(i, "sad", "angry") for i in range(6, 8)]
    two = [line(i, "angry", "sad", gender="m") for i in range(2)] + [line(i, "sad", "sad") for i in range(2, 4)]
    return {"1": {"last": one}, "2": {"last": two}}


def test_results_by_hand():
    results = summarise("mine", predictions())
    first = results["folds"]["1"]
    assert first.pop("absent") == {"emotion": ["happy", "neutral"]}
    assert first == {"last": {"ua": 50.0, "wa": 75.0}, "gender_ua": 100.0, "style_ua": None, "wer": 50.0, "cer": 33.33, "n": 8}
    assert results["folds"]["2"]["last"] == {"ua": 50.0, "wa": 50.0}
    wa = results["summary"]["last"]["wa"]
    assert wa["mean"] == 62.5
    assert wa["std"] == pytest.approx(statistics.stdev([75, 50]), abs=0.01)
    assert wa["pooled"] == pytest.approx(100 * 8 / 12, abs=0.01)
    assert results["summary"]["last"]["ua"]["pooled"] == pytest.approx((100 * 6 / 8 + 100 * 2 / 4) / 2, abs=0.01)
    low, high = results["summary"]["last"]["ua"]["ci95"]
    assert low < 62.5 < high
    assert results["summary"]["gender_ua"] == {"mean": 75.0, "std": pytest.approx(35.36), "pooled": pytest.approx(83.33)}
    assert results["summary"]["style_ua"] is None
    assert results["from_stage1"] == ["asr", "gender"]
    assert json.loads(json.dumps(results)) == results


def test_what_the_means_hide_stands_beside_them():
    folds = predictions()
    folds["2"]["last"] = [{**each, "speaker": "Ses02_F"} for each in folds["2"]["last"]]
    last = summarise("mine", folds)["summary"]["last"]
    assert last["per_class"] == {
        "angry": {"recall": 75.0, "precision": 75.0, "f1": 75.0, "support": 8},  # 6 right, 2 taken for sad; 2 sad taken for it
        "happy": {"recall": None, "precision": None, "f1": None, "support": 0},
        "neutral": {"recall": None, "precision": None, "f1": None, "support": 0},
        "sad": {"recall": 50.0, "precision": 50.0, "f1": 50.0, "support": 4},
    }
    assert last["macro_f1"] == 62.5
    assert last["confusion"] == {"labels": LABELS, "counts": [[6, 0, 0, 2], [0] * 4, [0] * 4, [2, 0, 0, 2]]}
    assert last["speakers"] == {
        "Ses01_F": {"fold": "1", "n": 8, "classes": 2, "ua": 50.0, "wa": 75.0},
        "Ses02_F": {"fold": "2", "n": 4, "classes": 2, "ua": 50.0, "wa": 50.0},
    }
    assert last["ua"]["ci95_speakers"] == [62.5, 62.5]  # 50 without either speaker
    assert last["wa"]["ci95_speakers"] == [0, 100]  # 50 and 75: of two speakers little is known


def test_folds_and_speakers_may_lack_classes_and_nothing_is_nan(recwarn):
    one = [line(i, "angry", "sad" if i else "angry") for i in range(4)]
    two = [line(i, "sad", "neutral", gender="m", session="2") for i in range(4, 6)] + [line(6, "happy", "happy", session="2")]
    results = summarise("mine", {"1": {"last": one}, "2": {"last": two}})
    assert results["folds"]["1"]["absent"] == {"emotion": ["happy", "neutral", "sad"]}
    assert results["folds"]["2"]["absent"] == {"emotion": ["angry", "neutral"]}
    assert [results["folds"][fold]["last"]["ua"] for fold in "12"] == [25.0, 50.0]  # of angry alone; of happy and sad
    ua = results["summary"]["last"]["ua"]
    assert (ua["mean"], ua["pooled"]) == (37.5, pytest.approx((25 + 0 + 100) / 3, abs=0.01))
    assert results["summary"]["last"]["per_class"]["neutral"] == {"recall": None, "precision": 0.0, "f1": 0.0, "support": 0}
    assert "NaN" not in json.dumps(results)
    assert not recwarn.list


def test_predictions_round_trip_with_six_decimals(tmp_path):
    path = predictions_path(tmp_path, "last")
    lines = [{**line(0, "sad", "sad"), "emotion": {"ref": "sad", "hyp": "sad", "scores": {"sad": 1 / 3}}}]
    write_predictions(path, lines)
    assert read_predictions(path)[0]["emotion"]["scores"] == {"sad": 0.333333}
    assert path.name == "predictions_last.jsonl"


@pytest.mark.parametrize(
    ("content", "message"), [("{}\n", "line 1: not a prediction"), ("", "is empty"), ('{"utt": 1', "line 1")]
)
def test_damaged_predictions_are_named(tmp_path, content, message):
    path = predictions_path(tmp_path, "last")
    with pytest.raises(InputError, match="run stage 5"):
        read_predictions(path)
    path.write_text(content)
    with pytest.raises(InputError, match=message):
        read_predictions(path)


def test_history_keeps_the_last_account_of_an_epoch(tmp_path):
    assert read_history(tmp_path) == []
    for epoch, loss in ((1, 3.0), (2, 2.0), (2, 1.5)):
        record = {"epoch": epoch, "max_epoch": 2, "seconds": 1.0, "train": {"loss": loss}, "valid": {"loss": loss}}
        append_record(tmp_path / HISTORY_FILE, record)
    with open(tmp_path / "history.jsonl", "a") as file:
        file.write('{"epoch": 3, "tra')  # killed in mid-line
    assert [(r["epoch"], r["train"]["loss"]) for r in read_history(tmp_path)] == [(1, 3.0), (2, 1.5)]
