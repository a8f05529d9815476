"""Folds whose trainings left only what a training leaves, to be scored."""

import json
import shutil

import yaml
from tiny_recipe import CONF, run

from espnet_ser.data.datadir import Example, read_datadir, write_datadir
from espnet_ser.data.identity import data_identity
from espnet_ser.data.leakage import describe_training_data
from espnet_ser.evaluation.predictions import epoch_path, write_predictions
from espnet_ser.experiment.trained_fold import trained_model_identity
from espnet_ser.utils.stamp import Stamp

EMOTIONS = ("angry", "happy", "neutral", "sad")
FOLDS = ("1", "2", "3")
CONFIG = {"max_epoch": 2, "dropout": 0.1, "optim": "adamw", "optim_conf": {"lr": 0.001}}


def example(session, gender, number):
    return Example(
        utt=f"Ses0{session}_{gender}-{number}",
        speaker=f"Ses0{session}_{gender}",
        session=session,
        gender=gender.lower(),
        emotion=EMOTIONS[number],
        label=EMOTIONS[number][:3],
        style="improvised",
        text="YES",
        wav=f"/{session}{gender}{number}.wav",
        num_samples=16000,
        sha256="",
    )


class Folds:
    """A recipe of three folds. Of eight held-out utterances the first epoch has 4 right, the second 6."""

    def __init__(self, root, system):
        self.root, self.system = root, system
        everything = [example(session, gender, number) for session in FOLDS for gender in "FM" for number in range(4)]
        for fold in FOLDS:
            data = self.data(fold)
            write_datadir(data / "test", [e for e in everything if e.session == fold])
            for name in ("train", "train_all"):
                write_datadir(data / name, [e for e in everything if e.session != fold])
            (data / "fold.json").write_text(json.dumps({"number": int(fold), "by": "session"}))
            self.train(fold)

    def data(self, fold):
        return self.root / "data" / f"fold{fold}"

    def folder(self, fold, stage="ser"):
        return self.root / "exp" / {"ser": self.system, "stage1": "stage1/asr"}[stage] / f"fold{fold}"

    def train(self, fold):
        if "__" in self.system:
            self.finetune("stage1", fold)
        self.finetune("ser", fold)

    def finetune(self, stage, fold, train_set="train", weights="", seed=0, **changes):
        """Leaves what a training leaves; changes are of its configuration."""
        folder, config = self.folder(fold, stage), {**CONFIG, **changes}
        shutil.rmtree(folder, ignore_errors=True)
        (folder / "epochs").mkdir(parents=True)
        train, test = (read_datadir(self.data(fold) / name) for name in (train_set, "test"))
        for epoch in (1, 2):
            write_predictions(epoch_path(folder, epoch), [self.line(e, epoch, stage) for e in test])
        run = {**config, "seed": seed, "ssl": "/encoders/tiny", "tasks": ["emotion" if stage == "ser" else "asr"]}
        run |= {"train_dir": str(self.data(fold) / train_set), "trained_on": describe_training_data(train)}
        (folder / "config.yaml").write_text(yaml.safe_dump(run))
        for name in ("latest.pth", "frozen.pth"):
            (folder / name).write_text(f"{name} {stage} {fold} {weights}")
        two_finetunings = stage == "ser" and "__" in self.system
        inputs = {
            "config": config,
            "seed": seed,
            "train": data_identity(train),
            "test": data_identity(test),
            "tokens": {"tokens.txt": fold} if stage == "stage1" else None,
            "stage1": trained_model_identity(self.folder(fold, "stage1"), stage=3) if two_finetunings else None,
        }
        outputs = [folder / name for name in ("latest.pth", "frozen.pth", "config.yaml", "epochs")]
        Stamp(folder / "done.json").write(inputs, outputs)

    @staticmethod
    def line(told, epoch, stage):
        right = int(told.utt[-1]) <= epoch
        line = {"utt": told.utt, "speaker": told.speaker, "session": told.session}
        if stage == "stage1":
            return {**line, "asr": {"ref": told.text, "hyp": told.text}}
        return {**line, "emotion": {"ref": told.emotion, "hyp": told.emotion if right else "angry"}}

    def environment(self, fold, **values):
        (self.folder(fold) / "environment.json").write_text(json.dumps({"environment": values}))

    def __call__(self, command, folds=""):
        where = ("--conf", CONF, "--datadir", self.root / "data", "--expdir", self.root / "exp")
        run(command, "--system", self.system, "--folds", folds, *where)

    def results(self, name="results.json"):
        return json.loads((self.root / "exp" / self.system / name).read_text())

    def text(self):
        return (self.root / "exp" / self.system / "RESULTS.md").read_text()
