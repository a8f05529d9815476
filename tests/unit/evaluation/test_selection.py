"""Which epoch counts, on hand-made predictions and on a training's own."""

import json

import numpy as np
import pytest
from espnet2.train.reporter import Reporter
from tiny_recipe import SYSTEM

from espnet_ser.data.datadir import read_datadir
from espnet_ser.evaluation.metrics import refs_and_hyps, unweighted_accuracy
from espnet_ser.evaluation.predictions import predictions_path, read_epochs, read_predictions
from espnet_ser.evaluation.selection import KEPT_BY, best_epoch, choose_epochs, selected_lines, standing
from espnet_ser.inference.predict import predict
from espnet_ser.model_io.load import load_model
from espnet_ser.train.history import read_history
from espnet_ser.utils.hashing import file_sha256


def lines(right_by_speaker):
    """Four utterances a speaker, of two classes, of which so many are right."""
    made = []
    for speaker, num_right in right_by_speaker.items():
        for number in range(4):
            ref = ["happy", "sad"][number % 2]
            hyp = ref if number < num_right else "angry"
            made.append({"utt": f"{speaker}-{number}", "speaker": speaker, "emotion": {"ref": ref, "hyp": hyp}})
    return made


def of_class(label, num_right, num_utts):
    """Utterances of one class, so many of them right."""
    hyps = [label] * num_right + ["angry"] * (num_utts - num_right)
    return [{"utt": f"{label}-{i}", "speaker": label, "emotion": {"ref": label, "hyp": hyp}} for i, hyp in enumerate(hyps)]


def test_the_other_folds_choose_a_folds_epoch():
    folds = {
        "1": [lines({"A": 4, "B": 4}), lines({"A": 0, "B": 1}), lines({"A": 1, "B": 0})],
        "2": [lines({"C": 0}), lines({"C": 3}), lines({"C": 2})],
        "3": [lines({"D": 1}), lines({"D": 4}), lines({"D": 2})],
    }
    chosen = choose_epochs(folds)
    assert {fold: by["last"] for fold, by in chosen.items()} == {"1": 3, "2": 3, "3": 3}
    assert {fold: by["oracle"] for fold, by in chosen.items()} == {"1": 1, "2": 2, "3": 2}
    # right of C and D: 1, 7, 4; of A, B and D: 9, 5, 3; of A, B and C: 8, 4, 3
    assert {fold: by["others"] for fold, by in chosen.items()} == {"1": 2, "2": 1, "3": 1}


def test_the_other_folds_utterances_count_together_whatever_classes_each_fold_lacks():
    folds = {
        "1": [lines({"A": 2}), lines({"A": 2})],
        "2": [of_class("happy", 2, 10), of_class("happy", 8, 10)],
        "3": [of_class("sad", 9, 10), of_class("sad", 1, 10)],
        "4": [of_class("happy", 3, 10), of_class("happy", 4, 10)],
    }
    # UA over folds 2 to 4: happy 5 and 12 of 20, sad 9 and 1 of 10: 57.5 and 35; the mean over folds would be 46.7 and 43.3
    assert choose_epochs(folds)["1"]["others"] == 1
    # without fold 3 no sad utterance: fold 1's two right ones stand next to the happy ones
    assert choose_epochs(folds)["3"]["others"] == 2


def test_the_latest_of_equal_epochs_counts():
    epochs = [lines({"A": 2, "B": 2}), lines({"A": 2, "B": 2}), lines({"A": 1, "B": 2})]
    assert best_epoch(epochs) == 2
    assert choose_epochs({"1": epochs, "2": epochs})["1"] == {"last": 3, "oracle": 2, "others": 2}


def test_the_dev_part_chooses_the_epoch_of_its_fold():
    test = [lines({"A": 1}), lines({"A": 4}), lines({"A": 2})]
    dev = [lines({"B": 3}), lines({"B": 2}), lines({"B": 2})]
    assert choose_epochs({"1": test}, {"1": dev}) == {"1": {"last": 3, "oracle": 2, "dev": 1}}
    assert choose_epochs({"1": test, "2": test}, {"1": dev})["2"].keys() == {"last", "oracle", "others"}


def test_others_needs_two_folds_of_as_many_epochs():
    two, three = [lines({"A": 4}), lines({"A": 0})], [lines({"B": 0}), lines({"B": 4}), lines({"B": 1})]
    assert choose_epochs({"1": two}) == {"1": {"last": 2, "oracle": 1}}
    chosen = choose_epochs({"1": two, "2": three, "3": three[::-1]})
    assert "others" not in chosen["1"]
    assert chosen["2"]["others"] == 2
    assert set(chosen["3"]) == {"last", "oracle", "others"}


TRUE_UA = 60.0


def simulated_excess(epoch_recalls, held_by_fold, num_runs=40, num_utts=12, num_epochs=6):
    """Mean pooled UA of each selection minus the true one, over runs; and the standard error of the mean.

    Args:
        epoch_recalls: Given the numbers of folds, epochs, speakers and classes, and a generator: the true recalls, [folds,
            epochs, speakers, classes], whose mean over speakers and classes is the true UA in every epoch.
        held_by_fold: For each fold, of each of its speakers the classes that the speaker has.
    """
    rng = np.random.default_rng(0)
    classes = ["angry", "happy", "neutral", "sad"]
    scores = {"last": [], "others": [], "oracle": []}
    for _ in range(num_runs):
        recalls = epoch_recalls(len(held_by_fold), num_epochs, len(held_by_fold[0]), len(classes), rng)
        folds = {}
        for fold, held in enumerate(held_by_fold):
            folds[str(fold)] = [
                [
                    {
                        "utt": f"{speaker}{label}{i}",
                        "speaker": f"{fold}{speaker}",
                        "emotion": {"ref": classes[label], "hyp": hyp},
                    }
                    for speaker, labels in enumerate(held)
                    for label in labels
                    for i, right in enumerate(rng.random(num_utts) < recalls[fold, epoch, speaker, label])
                    for hyp in [classes[label] if right else classes[label - 1]]
                ]
                for epoch in range(num_epochs)
            ]
        chosen = choose_epochs(folds)
        for selection, of_runs in scores.items():
            pooled = [line for fold, epochs in folds.items() for line in epochs[chosen[fold][selection] - 1]]
            of_runs.append(unweighted_accuracy(*refs_and_hyps(pooled)))
    return {s: (np.mean(values) - TRUE_UA, np.std(values) / np.sqrt(num_runs)) for s, values in scores.items()}


def same_everywhere(folds, epochs, speakers, classes, rng):
    return np.full((folds, epochs, speakers, classes), TRUE_UA / 100)


def speakers_trade(folds, epochs, speakers, classes, rng):
    """What an epoch has better of one speaker of a pair, it has worse of the other."""
    shift = rng.normal(0, 0.05, size=(folds, epochs, 1, 1))
    return TRUE_UA / 100 + np.concatenate([shift, -shift], axis=2) * np.ones(classes)


def classes_trade(folds, epochs, speakers, classes, rng):
    """What an epoch has better of one class of a fold's model, it has worse of the others."""
    shift = rng.normal(0, 0.05, size=(folds, epochs, 1, classes))
    return TRUE_UA / 100 + (shift - shift.mean(-1, keepdims=True)) * np.ones((speakers, 1))


ALL = (range(4), range(4))


@pytest.mark.parametrize(
    ("epoch_recalls", "held_by_fold", "oracle"),
    [
        (same_everywhere, [ALL] * 5, 6.5),
        (speakers_trade, [ALL] * 5, 6.5),
        (classes_trade, [ALL] * 5, 6.5),
        (same_everywhere, [((0,), (1, 2, 3)), ((1,), (2, 3)), ((2,), (3,)), ((3,), (0,)), ((0,), (1,))], 10.5),
    ],
    ids=["epochs alike", "speakers trade", "classes trade", "speakers of few classes"],
)
def test_epochs_of_equal_true_ua_give_that_ua_but_for_the_oracle(epoch_recalls, held_by_fold, oracle):
    excess = simulated_excess(epoch_recalls, held_by_fold)
    for selection in ("last", "others"):
        mean, error = excess[selection]
        assert abs(mean) < 3 * error, (selection, mean, error)
        assert error < 0.8
    mean, error = excess["oracle"]
    assert mean == pytest.approx(oracle, abs=1.0)  # of 6 epochs, 96 utterances a fold; of few classes, fewer


def test_what_stage_one_tells_is_joined_by_utterance():
    epochs = [lines({"A": 4, "B": 0})]
    intermediate = [{**line, "asr": {"ref": "", "hyp": line["utt"].upper()}} for line in reversed(lines({"A": 0, "B": 0}))]
    intermediate.append({**intermediate[0], "utt": "not held out now"})
    chosen = selected_lines(epochs[0], intermediate)
    assert [line["asr"]["hyp"] for line in chosen] == [line["utt"].upper() for line in epochs[0]]
    assert chosen[0]["from_stage1"] == ["asr"]


def test_weights_are_kept_of_the_epochs_that_are_chosen():
    epochs = [lines({"A": a, "B": b}) for a, b in ((2, 3), (3, 3), (3, 1), (3, 3), (3, 2))]
    reporter = Reporter()
    for epoch, at_epoch in enumerate(epochs, 1):
        reporter.set_epoch(epoch)
        ua = unweighted_accuracy([line["emotion"]["ref"] for line in at_epoch], [line["emotion"]["hyp"] for line in at_epoch])
        with reporter.observe("valid") as observed:
            observed.register({"ua": standing(ua, epoch)})
            observed.next()
    ((phase, name, mode),) = KEPT_BY
    assert choose_epochs({"1": epochs})["1"]["oracle"] == reporter.get_best_epoch(phase, name, mode) == 4


def test_a_training_keeps_every_epochs_predictions_as_its_history_scored_them(trained):
    folder = trained.root / "exp" / SYSTEM / "fold1"
    epochs, history = read_epochs(folder), read_history(folder)
    assert len(epochs) == len(history) == 2
    for at_epoch, record in zip(epochs, history, strict=True):
        ua = unweighted_accuracy([line["emotion"]["ref"] for line in at_epoch], [line["emotion"]["hyp"] for line in at_epoch])
        assert record["valid"]["ua"] == pytest.approx(ua)


def test_every_selection_has_the_model_that_made_its_predictions(trained):
    folder = trained.root / "exp" / SYSTEM / "fold1"
    test = read_datadir(trained.datadir / "fold1" / "test")
    selection = json.loads((folder / "selection.json").read_text())["models"]
    assert set(selection) == {"last", "oracle"}  # a single fold
    for name, choice in selection.items():
        written = {line["utt"]: line for line in read_predictions(predictions_path(folder, name))}
        assert choice["sha256"] == file_sha256(folder / choice["model"])
        model, args = load_model(folder, model_file=folder / choice["model"])
        for line in predict(model, test, args.labels):
            told, kept = line["emotion"], written[line["utt"]]["emotion"]
            assert told["scores"] == pytest.approx(kept["scores"], abs=1e-3)
            assert told["hyp"] == kept["hyp"]


def test_espnet_keeps_the_epochs_that_the_predictions_choose(recipe):
    recipe.train("ser", "--args", "--max_epoch 6 --optim_conf lr=3e-3", system="stl")
    recipe.select("stl")
    folder = recipe.root / "exp" / "stl" / "fold1"
    selection = json.loads((folder / "selection.json").read_text())["models"]
    chosen = {choice["epoch"] for choice in selection.values()}
    kept = {int(path.name.removesuffix("epoch.pth")) for path in folder.glob("*epoch.pth")}
    assert kept == chosen
    assert not list(folder.glob("*.ave*"))
