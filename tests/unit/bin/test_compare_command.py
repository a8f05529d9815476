import json
import shutil

import numpy as np
import pytest

from espnet_ser.bin.main import main as command
from espnet_ser.evaluation.predictions import predictions_path, read_predictions, write_predictions
from espnet_ser.evaluation.significance import compare

LABELS = ["angry", "happy", "neutral", "sad"]


@pytest.fixture
def exp(tmp_path):
    """Two systems over two folds; ``good`` is right more often than ``poor``."""
    rng = np.random.default_rng(0)
    for fold in ("1", "2"):
        refs = rng.choice(LABELS, 200).tolist()
        for name, share in (("poor", 0.4), ("good", 0.8)):
            right = rng.random(200) < share
            lines = [
                {
                    "utt": f"u{fold}-{i:03d}",
                    "speaker": f"Ses0{fold}_{'FM'[i % 2]}",
                    "emotion": {"ref": ref, "hyp": ref if right[i] else LABELS[LABELS.index(ref) - 1]},
                }
                for i, ref in enumerate(refs)
            ]
            folder = tmp_path / "exp" / name / f"fold{fold}"
            folder.mkdir(parents=True)
            for selection in ("last", "others"):
                write_predictions(predictions_path(folder, selection), lines)
    return tmp_path / "exp"


def run(exp, *arguments):
    command(["compare", *arguments, "--expdir", str(exp), "--draws", "500"])


def error_of(exp, *arguments):
    with pytest.raises(SystemExit) as exit_info:
        run(exp, *arguments)
    message = exit_info.value.code
    assert message.startswith("espnet-ser compare: error: ")
    assert "\n" not in message
    return message


def test_the_better_system_is_named(exp, capsys):
    run(exp, "poor", "good")
    printed = capsys.readouterr().out
    assert f"A: {exp / 'poor'} (last)\nB: {exp / 'good'} (last)\n400 utterances of 4 speakers\n" in printed
    assert "B is better on UA (p = 0.004)" in printed  # 2 / 501: the least that 500 draws can say
    assert "B is better on WA (p < 0.001)" in printed


def test_json_holds_the_comparison_and_its_choices(exp, capsys):
    run(exp, str(exp / "poor"), "good", "--selection", "others", "--seed", "3", "--format", "json")
    printed = json.loads(capsys.readouterr().out)
    folds = [
        {k: read_predictions(predictions_path(exp / name / f"fold{k}", "others")) for k in "12"} for name in ("poor", "good")
    ]
    choices = {"folds": ["1", "2"], "selection": "others", "draws": 500, "seed": 3}
    assert printed == {"a": str(exp / "poor"), "b": str(exp / "good"), **choices, **compare(*folds, 500, 3)}


def test_a_system_is_compared_with_itself(exp, capsys):
    run(exp, "good", "good")
    assert "No difference was found (p = 1.000 on UA, p = 1.000 on WA)." in capsys.readouterr().out


def test_other_folds_are_refused_unless_common_ones_are_named(exp, capsys):
    shutil.rmtree(exp / "good" / "fold2")
    assert f"of folds 1 2, {exp / 'good'} of 1: run stage 5 for the others, or name common ones" in error_of(
        exp, "poor", "good"
    )
    run(exp, "poor", "good", "--folds", "1")
    assert "200 utterances of 2 speakers" in capsys.readouterr().out
    (exp / "good" / "fold2").mkdir()
    assert "fold2/predictions_last.jsonl is missing: run stage 5" in error_of(exp, "poor", "good", "--folds", "1 2")


def test_what_a_rerun_moved_aside_does_not_count(exp, capsys):
    for name in ("poor", "good"):
        aside = exp / name / "fold1.superseded-1"
        shutil.copytree(exp / name / "fold1", aside)
        for selection in ("last", "others"):
            path = predictions_path(aside, selection)
            write_predictions(path, [{**line, "utt": f"old-{line['utt']}"} for line in read_predictions(path)])
    run(exp, "poor", "good", "--format", "json")
    printed = json.loads(capsys.readouterr().out)
    assert (printed["folds"], printed["n"]) == (["1", "2"], 400)
    assert "unknown fold '1.superseded-1'; known: 1, 2" in error_of(exp, "poor", "good", "--folds", "1.superseded-1")


def test_an_utterance_in_two_folds_is_refused(exp):
    for name in ("poor", "good"):
        shutil.copytree(exp / name / "fold1", exp / name / "fold3")
    message = "fold 3: utterances that are in another fold too: 200, such as u1-000 (fold 1)"
    assert message in error_of(exp, "poor", "good")
    assert message in error_of(exp, "poor", "good", "--folds", "1 3")


def test_folds_are_in_the_order_of_their_numbers(exp, capsys):
    for name in ("poor", "good"):
        (exp / name / "fold2").rename(exp / name / "fold10")
        (exp / name / "fold1").rename(exp / name / "fold9")
    run(exp, "poor", "good", "--format", "json")
    assert json.loads(capsys.readouterr().out)["folds"] == ["9", "10"]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("poor", "goood"), "unknown system 'goood' (did you mean 'good'?); known: good, poor"),
        (("poor", "elsewhere/good"), "elsewhere/good: no such folder, nor one below"),
        (("poor", "good", "--selection", "oracle"), "no fold*/predictions_oracle.jsonl; run stage 5"),
        (("poor", "good", "--folds", "11"), "poor: unknown fold '11' (did you mean '1'?); known: 1, 2"),
        (("poor", "good", "--folds", "../good/fold1"), "unknown fold '../good/fold1'"),
        (("poor", "good", "--selection", "best"), "--selection: unknown value 'best'"),
        (("poor", "good", "--draws", "0"), "--draws must be 1 to 1000000, not 0"),
        (("poor", "good", "--seed", "-1"), "--seed must be 0 or more, not -1"),
        (("poor",), "the following arguments are required: B"),
    ],
)
def test_wrong_use_is_one_clear_line(exp, arguments, message):
    with pytest.raises(SystemExit) as exit_info:
        command(["compare", "--expdir", str(exp), *arguments])
    assert message in exit_info.value.code
    assert "\n" not in exit_info.value.code


def test_a_damaged_file_and_other_references_are_named(exp):
    path = predictions_path(exp / "good" / "fold2", "last")
    lines = read_predictions(path)
    write_predictions(path, [{**lines[0], "emotion": {**lines[0]["emotion"], "ref": "calm"}}, *lines[1:]])
    assert "fold 2: utterances whose 'ref' is not the same in both: 1, such as u2-000" in error_of(exp, "poor", "good")
    write_predictions(path, lines[1:])
    assert "fold 2: utterances in A that are not in B: 1, such as u2-000" in error_of(exp, "poor", "good")
    path.write_text(path.read_text()[:-20])
    assert f"{path}, line 199: not a prediction" in error_of(exp, "poor", "good")
