"""Which epoch counts, on hand-made predictions and on a training's own."""

import json

import pytest
from espnet2.train.reporter import Reporter
from tiny_recipe import SYSTEM

from espnet_ser.data.datadir import read_datadir
from espnet_ser.history import read_history
from espnet_ser.inference import load_model, predict
from espnet_ser.predictions import predictions_path, read_epochs, read_predictions
from espnet_ser.scoring import unweighted_accuracy
from espnet_ser.selection import best_epoch, choose_epochs, selected_lines, selection_criteria, standings
from espnet_ser.stamp import file_sha256


def lines(right_by_speaker, session="1"):
    """Four utterances a speaker, of two classes, of which so many are right."""
    made = []
    for speaker, num_right in right_by_speaker.items():
        for number in range(4):
            ref = ["happy", "sad"][number % 2]
            hyp = ref if number < num_right else "angry"
            made.append({"utt": f"{speaker}-{number}", "speaker": speaker, "session": session, "ref": ref, "hyp": hyp})
    return made


def test_no_speaker_picks_their_own_epoch():
    epochs = [lines({"A": 4, "B": 0}), lines({"A": 1, "B": 3}), lines({"A": 3, "B": 2})]
    judges, chosen = choose_epochs({"1": epochs})
    assert judges == {"1": "same fold"}
    chosen = chosen["1"]
    assert chosen["last"] == {"A": 3, "B": 3}
    assert chosen["cross"] == {"A": 2, "B": 1}  # B is told best in epoch 2, which scores A; and the reverse
    assert chosen["oracle"] == {"A": 3, "B": 3}  # 5 of 8


def test_the_latest_of_equal_epochs_counts():
    epochs = [lines({"A": 2, "B": 2}), lines({"A": 2, "B": 2}), lines({"A": 1, "B": 2})]
    assert best_epoch(epochs) == 2
    assert choose_epochs({"1": epochs})[1]["1"]["cross"] == {"A": 3, "B": 2}


def test_a_speaker_held_out_alone_is_judged_by_the_other_of_the_session_in_their_own_fold():
    folds = {
        "1": [lines({"A": 4}), lines({"A": 0})],
        "2": [lines({"B": 0}), lines({"B": 4})],
        "3": [lines({"C": 4}, "2"), lines({"C": 0}, "2")],
        "4": [lines({"D": 4}, "2"), lines({"D": 0}, "2")],
    }
    judges, chosen = choose_epochs(folds)
    assert set(judges.values()) == {"same session"}
    assert chosen["1"]["cross"] == {"A": 2}
    assert chosen["2"]["cross"] == {"B": 1}
    assert chosen["3"]["cross"] == {"C": 1}


def test_a_speaker_alone_in_the_session_is_judged_by_all_other_folds():
    folds = {
        s: [lines({s: right}, session=s) for right in rights] for s, rights in {"A": (4, 0), "B": (0, 3), "C": (1, 3)}.items()
    }
    judges, chosen = choose_epochs(folds)
    assert set(judges.values()) == {"other folds"}
    assert chosen["A"]["cross"] == {"A": 2}  # B and C together: 1 right, then 6
    assert chosen["B"]["cross"] == {"B": 1}  # A and C together: 5 right, then 3


def test_without_judges_there_is_no_cross():
    alone = [lines({"A": 4}), lines({"A": 0})]
    judges, chosen = choose_epochs({"1": alone})
    assert judges == {"1": None}
    assert set(chosen["1"]) == {"last", "oracle"}
    other_length = [lines({"B": 4}, session="2")]
    assert "cross" not in choose_epochs({"1": alone, "2": other_length})[1]["1"]


def test_predictions_of_a_selection_are_each_speakers_chosen_epoch():
    epochs = [lines({"A": 4, "B": 0}), lines({"A": 0, "B": 4})]
    chosen = selected_lines(epochs, {"A": 2, "B": 1})
    assert [line["hyp"] for line in chosen] == ["angry"] * 8
    assert [line["utt"] for line in chosen] == [line["utt"] for line in epochs[0]]


def test_what_stage_one_tells_is_joined_by_utterance():
    fields = {"text_hyp": None, "gender": None, "style": None}
    epochs = [[{**line, **fields} for line in lines({"A": 4, "B": 0})]]
    stage1 = [{**line, **fields, "text_hyp": line["utt"].upper()} for line in reversed(lines({"A": 0, "B": 0}))]
    stage1.append({**stage1[0], "utt": "not held out now"})
    chosen = selected_lines(epochs, {"A": 1, "B": 1}, stage1)
    assert [line["text_hyp"] for line in chosen] == [line["utt"].upper() for line in epochs[0]]
    assert chosen[0]["from_stage1"] == ["asr"]


def test_three_speakers_are_each_judged_by_the_two_others():
    epoch = lines({"A": 4, "B": 0, "C": 2})
    assert standings(epoch, 7) == {
        "ua": pytest.approx(50.0),
        "ua_without_A": pytest.approx(25.0),
        "ua_without_B": pytest.approx(75.0),
        "ua_without_C": pytest.approx(50.0),
    }


def test_weights_are_kept_of_the_epochs_that_are_chosen():
    epochs = [lines({"A": a, "B": b}) for a, b in ((2, 3), (3, 3), (3, 1), (0, 3), (3, 2))]
    reporter = Reporter()
    for epoch, at_epoch in enumerate(epochs, 1):
        reporter.set_epoch(epoch)
        with reporter.observe("valid") as observed:
            observed.register(standings(at_epoch, observed.get_epoch()))
            observed.next()
    best = {name: reporter.get_best_epoch(phase, name, mode) for phase, name, mode in selection_criteria("AB")}
    chosen = choose_epochs({"1": epochs})[1]["1"]
    assert chosen["cross"] == {"A": best["ua_without_A"], "B": best["ua_without_B"]} == {"A": 4, "B": 5}
    assert set(chosen["oracle"].values()) == {best["ua"]} == {2}


def test_a_training_keeps_every_epochs_predictions_as_its_history_scored_them(trained):
    folder = trained.root / "exp" / SYSTEM / "fold1"
    epochs, history = read_epochs(folder), read_history(folder)
    assert len(epochs) == len(history) == 2
    for at_epoch, record in zip(epochs, history, strict=True):
        ua = unweighted_accuracy([line["ref"] for line in at_epoch], [line["hyp"] for line in at_epoch])
        assert record["valid"]["ua"] == pytest.approx(ua)


def test_every_selection_has_the_model_that_made_its_predictions(trained):
    folder = trained.root / "exp" / SYSTEM / "fold1"
    test = read_datadir(trained.datadir / "fold1" / "test")
    selection = json.loads((folder / "selection.json").read_text())["models"]
    assert list(selection) == ["last", "oracle", "cross"]
    for name, by_speaker in selection.items():
        written = {line["utt"]: line for line in read_predictions(predictions_path(folder, name))}
        assert set(by_speaker) == {"Ses01_F", "Ses01_M"}
        for speaker, choice in by_speaker.items():
            assert choice["sha256"] == file_sha256(folder / choice["model"])
            model, args = load_model(folder, model_file=folder / choice["model"])
            of_speaker = [example for example in test if example.speaker == speaker]
            for line in predict(model, of_speaker, args.labels):
                assert line["scores"] == pytest.approx(written[line["utt"]]["scores"], abs=1e-3)
                assert line["hyp"] == written[line["utt"]]["hyp"]


def test_espnet_keeps_the_epochs_that_the_predictions_choose(recipe):
    recipe.train("ser", "--args", "--max_epoch 6 --optim_conf lr=3e-3", system="stl")
    recipe.select("stl")
    folder = recipe.root / "exp" / "stl" / "fold1"
    selection = json.loads((folder / "selection.json").read_text())["models"]
    chosen = {choice["epoch"] for by in selection.values() for choice in by.values()}
    kept = {int(path.name.removesuffix("epoch.pth")) for path in folder.glob("*epoch.pth")}
    assert kept == chosen
    assert not list(folder.glob("*.ave*"))
