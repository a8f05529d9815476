"""All six stages over a release of a few utterances, called as run.sh calls them."""

import json
import re
import shutil

import numpy as np
import yaml
from release_maker import edit, make_release, write_wav
from tiny import save_encoder
from tiny_recipe import CONF, SYSTEM, run

from espnet_ser.experiment.systems import load_system

LABELS = ("neu", "hap", "sad", "ang", "fru", "neu", "hap", "sad", "ang", "xxx")

STAMPS = {
    1: "data/.prepare.json",
    2: "dump/*/tokens_*/.tokens.json",
    3: "exp/stage1/*/fold*/done.json",
    4: "exp/*/fold*/done.json",
    5: "exp/*/fold*/selected.json",
    6: "exp/*/.scored.json",
}
"""What a stage writes anew whenever it does its work, and only then."""


class WholeRecipe:
    """A release, an encoder, configurations, and what the stages make of them.

    Each speaker has five utterances, one of each of the four classes among them. Everything lies below ``root``, so that a copy
    that is put back in its place is up to date.
    """

    def __init__(self, root, backwards=False):
        self.root, self.system = root, SYSTEM
        self.release = make_release(root / "corpus", dialogs=("F_impro01",), turns=5, oddities=False, labels=LABELS)
        wavs = sorted((root / "corpus").rglob("*.wav"))
        self.sound = {wav: self.noise(number) for number, wav in enumerate(wavs)}
        for wav in reversed(wavs) if backwards else wavs:
            wav.unlink()
            write_wav(wav, self.sound[wav])
        save_encoder(root / "encoder")
        shutil.copytree(CONF / "systems", root / "conf" / "systems")
        for name in ("stage1", "ser"):
            settings = {"max_epoch": 1, "batch_size": 8, "optim": "adamw", "optim_conf": {"lr": 0.001}, "num_workers": 0}
            (root / "conf" / f"{name}.yaml").write_text(yaml.safe_dump(settings))

    @staticmethod
    def noise(number):
        rng = np.random.default_rng(number)
        return (0.1 * rng.standard_normal(9000 + 400 * (number % 7))).astype(np.float32)

    def run(self, stage=1, **options):
        """Runs the stages from the one given on; returns those that did something: ``'3 4 5 6'``."""
        before = self.written()
        self.call(stage, **options)
        return " ".join(str(number) for number, stamps in self.written().items() if stamps - before[number])

    def call(self, stage=1, folds="1", folds_by="session", nj=1, iemocap="corpus", ssl="encoder", **options):
        root = self.root
        token = {key: options.pop(key) for key in ("token_type", "nbpe") if key in options}
        tags = {key: options.pop(key) for key in ("tag", "stage1_tag") if key in options}
        which = {"system": self.system, "folds": folds, **tags}
        where = {"conf": root / "conf", "datadir": root / "data", "expdir": root / "exp"}
        configs = {"stage1_config": root / "conf" / "stage1.yaml", "stage2_config": root / "conf" / "ser.yaml"}
        ssl, dump = {"ssl": root / ssl}, {"dumpdir": root / "dump"}
        which |= {"system": options.pop("system", self.system)}
        data = {"datadir": root / "data"}
        if stage <= 1:
            run("prepare", *words({"iemocap": root / iemocap, "folds_by": folds_by, "nj": nj, **data}))
        if stage <= 2:
            run("tokens", *words({**data, **dump, "folds": folds, **token, **ssl}))
        two_finetunings = load_system(root / "conf", which["system"]).intermediate is not None
        training = which | where | dump | ssl | configs | token | options
        for kind in ("stage1", "ser") if two_finetunings else ("ser",):
            for job in range(1, len(folds.split()) + 1):
                run("train", *words({"stage": kind, "job": job, **training}))
        run("select", *words(which | where))
        run("score", *words(which | where))

    def score(self):
        """Stage 6 of the fold."""
        where = {"conf": self.root / "conf", "datadir": self.root / "data", "expdir": self.root / "exp"}
        run("score", *words({"system": self.system, "folds": "1", **where}))

    def results(self):
        """The content of ``results.json``."""
        return json.loads((self.root / "exp" / self.system / "results.json").read_text())

    def written(self):
        """Stage -> the stamps that it has left, by what tells a file written anew."""
        found = {number: self.root.glob(pattern) for number, pattern in STAMPS.items()}
        return {
            number: {(path.stat().st_ino, path.stat().st_mtime_ns) for path in paths if "superseded" not in str(path)}
            for number, paths in found.items()
        }

    def files(self, *folders):
        """Every file of the stages, with what tells whether it was written anew."""
        paths = [path for folder in folders or ("data", "dump", "exp") for path in (self.root / folder).rglob("*")]
        return {path: (path.stat().st_ino, path.stat().st_mtime_ns) for path in paths if path.is_file()}

    def path(self, pattern):
        """The one file of this pattern."""
        (path,) = self.root.glob(pattern)
        return path

    def reword(self, utt_id, words):
        """Changes what an utterance's transcript says."""
        path = self.release.transcripts(utt_id.rsplit("_", 1)[0])
        text = path.read_text()
        changed = re.sub(rf"(?m)^({utt_id} .*?\]:).*$", rf"\1 {words}", text)
        assert changed != text
        path.write_text(changed)

    def relabel(self, utt_id, old, new):
        """Changes an utterance's label."""
        edit(self.release.labels(utt_id.rsplit("_", 1)[0]), f"{utt_id}\t{old}\t", f"{utt_id}\t{new}\t")

    def add(self, utt_id, label, words, number=99):
        """Adds an utterance."""
        dialog = utt_id.rsplit("_", 1)[0]
        with open(self.release.labels(dialog), "a") as file:
            file.write(f"[90.0000 - 91.0000]\t{utt_id}\t{label}\t[2.5000, 2.5000, 2.5000]\n")
        with open(self.release.transcripts(dialog), "a") as file:
            file.write(f"{utt_id} [090.0000-091.0000]: {words}\n")
        write_wav(self.release.wav(utt_id), self.noise(number))

    def configure(self, name, **changes):
        """Changes keys of a configuration of ``conf/``."""
        path = self.root / "conf" / f"{name}.yaml"
        path.write_text(yaml.safe_dump({**yaml.safe_load(path.read_text()), **changes}))


def words(options):
    """Options as a command line, every value next to its name."""
    return [f"--{name}={value}" for name, value in options.items()]


def flip(path, place=0.5, bit=1):
    """Flips a bit of a file, at a part of its length."""
    content = bytearray(path.read_bytes())
    content[min(int(place * len(content)), len(content) - 1)] ^= bit
    path.write_bytes(bytes(content))
