"""Folders of experiments that stages 5 and 6, and what reads their results, must refuse."""

import gzip
import json
import os
import shutil
from pathlib import Path

from release_maker import edit
from room import cut, put
from tiny_recipe import CONF

FOLD = "exp/stl/fold2"


def after(command, change, name="stl", system="stl"):
    """The case of a stage after a change of ``exp/<system>/fold2`` (its folder is given)."""

    def case(room):
        room.experiment(name)
        change(room.root / "exp" / system / "fold2")
        return room.stage(command, system=system)

    return case


def compared(change, *more):
    """The case of a comparison of a system with its copy, whose predictions of fold 2 are changed."""

    def case(room):
        exp = room.experiment("stl")
        shutil.copytree(exp / "stl", exp / "other")
        change(exp / "other" / "fold2" / "predictions_last.jsonl")
        return ("compare", "stl", "other", "--expdir", exp, "--draws", "10", *more)

    return case


def prediction(**changes):
    """A comparison in which the first prediction is changed, or loses what is None."""

    def change(path: Path):
        first, *others = path.read_text().splitlines(keepends=True)
        line = {key: value for key, value in (json.loads(first) | changes).items() if value is not None}
        put(path, json.dumps(line) + "\n" + "".join(others))

    return compared(change)


def reported(content, name="results.json"):
    def case(room):
        exp = room.experiment("stl")
        path = exp / "stl" / name
        put(path, content(json.loads(path.read_text())) if callable(content) else content)
        return ("report", "--systems", "stl", "--conf", CONF, "--expdir", exp)

    return case


def changed(*keys, value):
    """The content of a results.json in which the value below these keys is another."""

    def content(results):
        inner = results
        for key in keys[:-1]:
            inner = inner[key]
        if value is None:
            del inner[keys[-1]]
        else:
            inner[keys[-1]] = value
        return json.dumps(results)

    return content


def seeds(change):
    def case(room):
        exp = room.experiment("stl")
        for seed in (1, 2):
            shutil.copytree(exp / "stl", exp / f"stl_seed{seed}")
        change(exp / "stl_seed2")
        return ("seeds", "--system", "stl", "--conf", CONF, "--expdir", exp, "--seeds", "1 2")

    return case


def twice(path: Path):
    put(path, path.read_text() + path.read_text().splitlines(keepends=True)[0])


def deep(path: Path):
    put(path, "[" * 100_000)


CASES = {
    "model: missing": (after("select", lambda fold: (fold / "latest.pth").unlink()), "latest.pth is missing: run stage 4"),
    "model: cut short": (
        after("select", lambda fold: cut(fold / "latest.pth")),
        "output latest.pth: changed since it was written",
    ),
    "model: of other frozen weights": (after("select", lambda fold: put(fold / "frozen.pth", "")), "run stage 4 again"),
    "model: no configuration": (after("select", lambda fold: (fold / "config.yaml").unlink()), "config.yaml is missing"),
    "model: a record that is binary": (after("select", lambda fold: put(fold / "done.json", b"\xff\0")), "is not a stamp"),
    "model: a record of 100000 brackets": (after("select", lambda fold: deep(fold / "done.json")), "is not a stamp"),
    "model: the intermediate finetuning's missing": (
        after("select", lambda fold: shutil.rmtree(fold.parents[1] / "stage1" / "asr" / "fold2"), "asr__ser", "asr__ser"),
        "run stage 3, which makes it",
    ),
    "model: the intermediate finetuning's another": (
        after("select", lambda fold: put(fold.parents[1] / "stage1/asr/fold2/latest.pth", "x"), "asr__ser", "asr__ser"),
        "run stage 3 again, which trains it anew",
    ),
    "predictions of an epoch: missing": (
        after("select", lambda fold: (fold / "epochs" / "predictions_0001.jsonl.gz").unlink()),
        "predictions_0001.jsonl.gz: missing; run stage 4 again",
    ),
    "predictions of an epoch: half a file": (
        after("select", lambda fold: cut(fold / "epochs" / "predictions_0001.jsonl.gz")),
        "predictions_0001.jsonl.gz: changed since it was written",
    ),
    "predictions of an epoch: of others": (
        after("select", lambda fold: put(fold / "epochs" / "predictions_0002.jsonl.gz", gzip.compress(b"{}"))),
        "predictions_0002.jsonl.gz: changed since it was written",
    ),
    "predictions: changed by hand": (
        after("score", lambda fold: edit(fold / "predictions_last.jsonl", "angry", "happy")),
        "predictions_last.jsonl: changed since it was written; run stage 5 again",
    ),
    "predictions: missing": (
        after("score", lambda fold: (fold / "predictions_last.jsonl").unlink()),
        "predictions_last.jsonl: missing; run stage 5 again",
    ),
    "predictions: a choice of epochs that is binary": (
        after("score", lambda fold: put(fold / "selected.json", b"\xff")),
        "selected.json is not a stamp; run stage 5 again",
    ),
    "predictions: of a fold that is gone": (after("score", lambda fold: shutil.rmtree(fold)), "run stage 5 again"),
    "record of the machine: a list": (
        after("score", lambda fold: put(fold / "environment.json", "[]")),
        "environment.json: not a record of machine and versions",
    ),
    "record of the epochs: without losses": (
        after("score", lambda fold: put(fold / "history.jsonl", '{"epoch": 1}\n'), "asr__ser", "asr__ser"),
        "history.jsonl: the record of epoch 1 has no losses",
    ),
    "embeddings: not a file of numpy's": (
        after("score", lambda fold: put(fold / "embeddings.npz", "x" * 100)),
        "embeddings.npz: not embeddings",
    ),
    "compare: no predictions": (compared(os.unlink), "predictions_last.jsonl of folds 1 2 3"),
    "compare: an empty file": (compared(lambda path: put(path, "")), "is empty: remove it and run stage 5 again"),
    "compare: binary": (compared(lambda path: put(path, bytes(range(256)))), "predictions_last.jsonl: damaged"),
    "compare: a line cut short": (
        compared(lambda path: cut(path, 100)),
        "not a prediction; remove the file and run stage 5 again",
    ),
    "compare: a line of 100000 brackets": (compared(deep), "line 1: not a prediction"),
    "compare: an utterance twice": (compared(twice), "is there twice, first in line 1"),
    "compare: an utterance that the other lacks": (prediction(utt="Ses09_F-0"), "utterances in A that are not in B: 1"),
    "compare: another reference": (prediction(emotion={"ref": "calm", "hyp": "sad"}), "whose 'ref' is not the same in both"),
    "compare: a reference that is a number": (prediction(emotion={"ref": 3, "hyp": "sad"}), "line 1: not a prediction"),
    "compare: a hypothesis that is a list": (prediction(emotion={"ref": "sad", "hyp": ["sad"]}), "line 1: not a prediction"),
    "compare: no hypothesis": (prediction(emotion={"ref": "sad", "hyp": None}), "line 1: not a prediction"),
    "compare: no emotion": (
        prediction(emotion=None, gender={"ref": "f", "hyp": "f"}),
        "'ref' is None, not a name; run stage 5 again",
    ),
    "compare: no task": (prediction(emotion=None), "line 1: not a prediction"),
    "compare: a gender without its parts": (prediction(gender={}), "line 1: not a prediction"),
    "results: no JSON": (reported("{"), "results.json: not JSON"),
    "results: a list": (reported("[]"), "results.json: not a JSON object"),
    "results: binary": (reported(b"\xff\xfe"), "results.json: not JSON"),
    "results: 100000 brackets": (reported("[" * 100_000), "results.json: not JSON"),
    "results: of another system": (reported(changed("system", value="mine")), "is of system mine, not of stl"),
    "results: a score in words": (
        reported(changed("summary", "last", "ua", "mean", value="good")),
        "not the results of a system ('good' is no score)",
    ),
    "results: a score that is NaN": (
        reported(changed("summary", "last", "wa", "pooled", value=float("nan"))),
        "not the results of a system (nan is no score)",
    ),
    "results: a score missing": (reported(changed("folds", "2", "last", "ua", value=None)), "it lacks 'ua'"),
    "results: no folds": (reported(changed("folds", value={})), "no system, or no fold"),
    "results: folds that are a list": (reported(changed("folds", value=[1])), "not the results of a system"),
    "results: an unknown headline": (reported(changed("headline", value="best")), "no scores of the headline"),
    "results: how they were made is no JSON": (reported("no", "run.json"), "run.json: not JSON"),
    "results: settings that are text": (reported('{"settings": "all"}', "run.json"), "run.json: settings is 'all'"),
    "seeds: one run without results": (seeds(lambda run: (run / "results.json").unlink()), "run stage 6, which makes it"),
    "seeds: one run damaged": (seeds(lambda run: cut(run / "results.json")), "results.json: not JSON"),
    "seeds: runs of the same seed": (seeds(lambda run: None), "was trained with seed 0, not 1"),
}
