"""A task of one's own is one entry of the table: everything from training to reports takes it from there."""

import csv
import json
from dataclasses import asdict, replace

import numpy as np
import pytest
import torch
import yaml
from own_corpus import SPEAKERS, folds, tables, write_corpus
from tiny import examples_of, save_encoder
from tiny_recipe import refused, run

from espnet_ser.data.datadir import read_datadir
from espnet_ser.data.identity import data_identity
from espnet_ser.demo.answer import prediction_html
from espnet_ser.evaluation.predictions import read_predictions
from espnet_ser.inference.speech_emotion import SpeechEmotion
from espnet_ser.model_io.load import load_model
from espnet_ser.models.losses import LOSSES
from espnet_ser.tasks_table import TASKS, TaskSpec
from espnet_ser.train.history import read_history
from espnet_ser.utils.hashing import fingerprint

VALENCE = TaskSpec("valence", "regression")
DOMINANCE = TaskSpec("dominance")


def value_of(utt, spec):
    number = sum(map(ord, utt)) % 9
    return f"{1 + number / 2}" if spec.kind == "regression" else ["low", "high"][number % 2]


class NewTask:
    """A corpus that says something more, and a system that predicts it besides emotion."""

    def __init__(self, root, spec):
        self.root, self.spec, self.exp = root, spec, root / "exp"
        files = tables(speakers=SPEAKERS[:4])
        files[f"utt2{spec.name}"] = {utt: value_of(utt, spec) for utt in files["utt2spk"]}
        self.corpus = write_corpus(root / "corpus", files, without=("utt2fold", "utt2session"))
        self.datadir = folds(self.corpus, "--folds_by", "2")
        (root / "conf/systems").mkdir(parents=True)
        system = {"ser": {"tasks": ["emotion", spec.name], "trainable_layers": 2}}
        (root / "conf/systems/mine.yaml").write_text(yaml.safe_dump(system))
        self.config = root / "train.yaml"
        settings = {"max_epoch": 2, "batch_size": 8, "optim": "adamw", "optim_conf": {"lr": 1e-3}, "num_workers": 0}
        self.config.write_text(yaml.safe_dump(settings))
        self.encoder = save_encoder(root / "encoder")

    def where(self):
        return ("--system", "mine", "--conf", self.root / "conf", "--datadir", self.datadir, "--expdir", self.exp)

    def train(self, *more):
        configs = ("--stage1_config", self.config, "--stage2_config", self.config)
        dump = ("--dumpdir", self.root / "dump")
        run("train", "--stage", "ser", *self.where(), *dump, "--ssl", self.encoder, *configs, *more)

    def run_all(self):
        for job in ("1", "2"):
            self.train("--job", job)
        run("select", *self.where())
        run("score", *self.where())
        run("verify", self.exp / "mine")

    def results(self):
        return json.loads((self.exp / "mine/results.json").read_text())

    def lines(self):
        return [line for fold in "12" for line in read_predictions(self.exp / f"mine/fold{fold}/predictions_last.jsonl")]


@pytest.fixture(scope="module", params=[VALENCE, DOMINANCE], ids=lambda spec: spec.name)
def done(request, tmp_path_factory):
    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(TASKS, request.param.name, request.param)
        task = NewTask(tmp_path_factory.mktemp(request.param.name), request.param)
        task.run_all()
        yield task


def scored_by_hand(lines, spec):
    refs, hyps = ([line[spec.name][key] for line in lines] for key in ("ref", "hyp"))
    if spec.kind == "classes":
        return np.mean([np.mean([hyp == ref for ref, hyp in zip(refs, hyps, strict=True) if ref == c]) for c in set(refs)])
    (v, c), (_, w) = np.cov(refs, hyps, bias=True)
    return 2 * c / (v + w + (np.mean(refs) - np.mean(hyps)) ** 2)


def test_it_is_trained_and_scored_as_its_kind_is(done):
    spec, lines = done.spec, done.lines()
    assert {line["utt"]: line[spec.name]["ref"] for line in lines} == {
        utt: float(value) if spec.kind == "regression" else value
        for utt, value in ((line["utt"], value_of(line["utt"], spec)) for line in lines)
    }
    assert len({line[spec.name]["hyp"] for line in lines}) > (4 if spec.kind == "regression" else 0)
    name = {"valence": "valence_ccc", "dominance": "dominance_ua"}[spec.name]
    pooled = done.results()["summary"][name]["pooled"]
    assert pooled == pytest.approx(100 * scored_by_hand(lines, spec), abs=0.01)
    assert done.results()["folds"]["1"][name] is not None
    valid = read_history(done.exp / "mine/fold1")[-1]["valid"]
    assert {name, f"loss_{spec.name}", "ua", "loss_emotion"} <= valid.keys()


def test_reports_show_its_score(done):
    title = {"valence": "valence CCC", "dominance": "dominance UA"}[done.spec.name]
    run("report", "--systems", "mine", "--conf", done.root / "conf", "--expdir", done.exp)
    for folder in ("mine", "systems"):
        markdown, page = ((done.exp / folder / name).read_text() for name in ("RESULTS.md", "report.html"))
        header = next(line for line in markdown.splitlines() if line.startswith("| "))
        assert title in header
        assert f">{title}<" in page
    shown = {part for part in done.results()["slices"] if part == done.spec.name}
    assert shown == ({"dominance"} if done.spec is DOMINANCE else set())


def test_recordings_are_predicted_in_every_format(done, tmp_path):
    spec, wav = done.spec, next((done.corpus / "wav").glob("*.wav"))
    for kind in ("jsonl", "csv", "table"):
        run("predict", "--model", done.exp / "mine/fold1", "--format", kind, "--output", tmp_path / kind, wav)
    told = json.loads((tmp_path / "jsonl").read_text())[spec.name]
    (row,) = csv.DictReader((tmp_path / "csv").read_text().splitlines())
    (head, values) = (line.split() for line in (tmp_path / "table").read_text().splitlines())
    prediction = SpeechEmotion.from_pretrained(done.exp / "mine/fold1")(wav)
    shown = prediction_html(prediction)
    assert f"<dt>{spec.name.capitalize()}</dt>" in shown
    if spec is VALENCE:
        assert prediction.valence == pytest.approx(told, abs=1e-6)
        assert float(row["valence"]) == told
        assert float(values[head.index("valence")]) == pytest.approx(told, abs=1e-3)
        assert f"{told:.2f}" in shown
        ensemble = SpeechEmotion.from_pretrained(done.exp / "mine")(wav)
        other = SpeechEmotion.from_pretrained(done.exp / "mine/fold2")(wav)
        assert ensemble.valence == pytest.approx((prediction.valence + other.valence) / 2, abs=1e-5)
        in_windows = SpeechEmotion.from_pretrained(done.exp / "mine/fold1")(wav, window_s=0.2, hop_s=0.2)
        assert in_windows.valence != prediction.valence
    else:
        assert told["label"] in ("low", "high")
        assert set(told["scores"]) == {"low", "high"}
        assert row["dominance"] == values[head.index("dominance")] == prediction.dominance.label == told["label"]
    by_utt = {line["utt"]: line for line in done.lines()}
    if wav.stem in by_utt and done.spec is VALENCE:
        assert done.spec.name in by_utt[wav.stem]


def test_it_is_packed(done):
    run("pack", *done.where(), "--fold", "1", "--onnx", "true")
    folder = done.exp / "mine/packed/fold1"
    card = (folder / "README.md").read_text()
    from espnet_ser.publish.allowlist import publishable_files
    from espnet_ser.publish.onnx import FLOAT_FILE, session

    publishable_files(folder)
    exported = session(folder / "onnx" / FLOAT_FILE)
    assert [output.name for output in exported.get_outputs()] == ["emotion", done.spec.name]
    model, _ = load_model(folder / "espnet/ser")
    speech = np.random.default_rng(0).standard_normal((1, 8000)).astype(np.float32)
    (told,) = exported.run([done.spec.name], {"speech": speech, "num_samples": np.array([8000])})
    with torch.no_grad():
        output = model.logits(torch.from_numpy(speech), torch.tensor([8000]))[done.spec.name]
    wanted = output if done.spec is VALENCE else output.softmax(-1)
    np.testing.assert_allclose(told, wanted.numpy(), atol=1e-4)
    if done.spec is VALENCE:
        assert "Not for plain transformers: valence (it predicts a number" in card
    else:
        assert (folder / "heads/dominance/config.json").is_file()


def test_what_is_no_number_is_named_by_file_and_line(done, capsys):
    path = done.corpus / f"utt2{done.spec.name}"
    kept = path.read_text()
    path.write_text(kept.replace("\n", "x\n", 1))
    try:
        if done.spec is VALENCE:
            told = refused(capsys, "folds", "--data", done.corpus, "--datadir", done.root / "other", call=run)
            assert f"{path}:1: valence '" in told
            assert "expected a number" in told
        else:
            run("folds", "--data", done.corpus, "--datadir", done.root / "other", "--nj", "1")
            assert any(example.target("dominance").endswith("x") for example in read_datadir(done.root / "other/all"))
    finally:
        path.write_text(kept)


def test_a_corpus_that_does_not_say_it_is_named(tmp_path, monkeypatch, capsys):
    monkeypatch.setitem(TASKS, "valence", VALENCE)
    task = NewTask(tmp_path, VALENCE)
    for path in task.datadir.glob("*/*/utt2valence"):
        path.unlink()
    (task.datadir / ".prepare.json").unlink()
    assert "nothing to learn valence from: utt2valence is missing" in refused(capsys, "--job", "1", call=task.train)


def test_the_loss_of_numbers_is_their_mean_squared_error():
    batch = {"valence": torch.tensor([1.0, 2.0])}
    loss = LOSSES["regression"](torch.tensor([[2.0], [5.0]]), batch, VALENCE, num_frames=None, reduction="mean")
    assert loss.item() == (1 + 9) / 2


def test_a_corpus_that_says_no_more_is_known_by_the_same_hash(tmp_path):
    (example,) = examples_of(tmp_path, sessions=("1",), per_speaker=1)[:1]
    more = replace(example, targets={"valence": "1"})
    assert data_identity([example]) != data_identity([more]) != data_identity([replace(more, targets={"valence": "2"})])
    fields = {name: value for name, value in asdict(example).items() if name != "targets"}
    assert data_identity([example]) == fingerprint([{**fields, "wav": None, "segment": None, "samples_sha256": None}])
