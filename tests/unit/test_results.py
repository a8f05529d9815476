import json
import statistics

import numpy as np
import pytest

from espnet_ser.errors import InputError
from espnet_ser.history import append_epoch, read_history
from espnet_ser.predictions import predictions_path, read_predictions, write_predictions
from espnet_ser.report import plot_confusion, plot_curves, results_markdown
from espnet_ser.results import summarise

LABELS = ["angry", "happy", "neutral", "sad"]


def line(number, ref, hyp, gender="f", session="1"):
    return {
        "utt": f"u{number}",
        "speaker": f"Ses0{session}_F",
        "session": session,
        "ref": ref,
        "hyp": hyp,
        "scores": {label: 0.25 for label in LABELS},
        "gender": {"ref": "f", "hyp": gender, "scores": {"f": 0.5, "m": 0.5}},
        "style": None,
        "text_ref": "A B",
        "text_hyp": "A C",
        "from_stage1": ["asr", "gender"],
    }


def predictions():
    one = [line(i, "angry", "angry") for i in range(6)] + [line(i, "sad", "angry") for i in range(6, 8)]
    two = [line(i, "angry", "sad", gender="m") for i in range(2)] + [line(i, "sad", "sad") for i in range(2, 4)]
    return {"1": {"last": one}, "2": {"last": two}}


def test_results_by_hand():
    results = summarise("mine", predictions())
    first = results["folds"]["1"]
    assert first == {"last": {"ua": 50.0, "wa": 75.0}, "gender_ua": 100.0, "style_ua": None, "wer": 50.0, "n": 8}
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


def test_markdown_shows_every_fold_the_mean_and_the_paper():
    text = results_markdown(summarise("mine", predictions()), {"ua": 76.1, "wa": 74.94}, "./run.sh --system mine", {"seed": 0})
    assert "| held-out fold | UA (last) | WA (last) | gender UA* | WER* | utterances |" in text
    assert "| 1 | 50.00 | 75.00 | 100.00 | 50.00 | 8 |" in text
    assert "**62.50** ± 17.68" in text
    assert "| paper (IEMOCAP) | 76.10 | 74.94 |  |  | 5531 |" in text
    assert "`./run.sh --system mine`" in text
    assert "- torch: `" in text


def test_predictions_round_trip_with_six_decimals(tmp_path):
    path = predictions_path(tmp_path)
    lines = [{**line(0, "sad", "sad"), "scores": {"sad": 1 / 3}}]
    write_predictions(path, lines)
    assert read_predictions(path)[0]["scores"] == {"sad": 0.333333}
    assert path.name == "predictions_last.jsonl"


@pytest.mark.parametrize(
    ("content", "message"), [("{}\n", "line 1: not a prediction"), ("", "is empty"), ('{"utt": 1', "line 1")]
)
def test_damaged_predictions_are_named(tmp_path, content, message):
    path = predictions_path(tmp_path)
    with pytest.raises(InputError, match="run stage 5"):
        read_predictions(path)
    path.write_text(content)
    with pytest.raises(InputError, match=message):
        read_predictions(path)


def test_history_keeps_the_last_account_of_an_epoch(tmp_path):
    assert read_history(tmp_path) == []
    for epoch, loss in ((1, 3.0), (2, 2.0), (2, 1.5)):
        append_epoch(
            tmp_path, {"epoch": epoch, "max_epoch": 2, "seconds": 1.0, "train": {"loss": loss}, "valid": {"loss": loss}}
        )
    with open(tmp_path / "history.jsonl", "a") as file:
        file.write('{"epoch": 3, "tra')  # killed in mid-line
    assert [(r["epoch"], r["train"]["loss"]) for r in read_history(tmp_path)] == [(1, 3.0), (2, 1.5)]


def test_figures_are_pictures_of_the_numbers(tmp_path):
    import matplotlib.image

    lines = [line for fold in predictions().values() for line in fold["last"]]
    plot_confusion(lines, tmp_path / "figures" / "confusion.png", "mine")
    history = [
        {
            "epoch": e,
            "max_epoch": 2,
            "seconds": 1.0,
            "train": {"loss": 2.0 / e},
            "valid": {"loss": 3.0 / e, "ua": 50.0 * e, "wer": 9.0},
        }
        for e in (1, 2)
    ]
    plot_curves({"stage 1": {"1": history, "2": history}, "SER": {"1": history, "2": []}}, tmp_path / "figures" / "curves.png")
    for name in ("confusion.png", "curves.png"):
        image = matplotlib.image.imread(tmp_path / "figures" / name)
        assert image.shape[0] > 200
        assert np.ptp(image[..., :3]) > 0.5
    assert sorted(p.name for p in (tmp_path / "figures").iterdir()) == ["confusion.png", "curves.png"]
