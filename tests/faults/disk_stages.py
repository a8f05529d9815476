"""Stages of the recipe, and the commands next to them, each on a disk where it can be given trouble."""

import shutil

from release_maker import make_release
from room import Room
from scored_folds import Folds
from tiny_recipe import CONF


class Prepare:
    """Stage 1."""

    def __init__(self, root, disk):
        self.release = make_release(root / "release", dialogs=("F_impro01",), turns=5)
        self.output = disk / "data"
        self.argv = ("prepare", "--iemocap", self.release.root, "--datadir", self.output, "--nj", "1")


class Tokens:
    """Stage 2."""

    def __init__(self, root, disk):
        room = Room(root, root)
        self.output = disk / "dump"
        self.argv = room.tokens("--dumpdir", self.output)


class Select:
    """Stage 5."""

    def __init__(self, root, disk):
        self.folds = Folds(disk, "stl")
        self.output = disk / "exp"
        self.argv = ("select", *self.where(disk))

    @staticmethod
    def where(disk):
        return ("--system", "stl", "--conf", CONF, "--datadir", disk / "data", "--expdir", disk / "exp")


class Score(Select):
    """Stage 6."""

    def __init__(self, root, disk):
        super().__init__(root, disk)
        self.folds("select")
        self.argv = ("score", *self.where(disk))


class Report(Score):
    """The report of a table."""

    def __init__(self, root, disk):
        super().__init__(root, disk)
        self.folds("score")
        self.argv = ("report", "--systems", "stl", "--conf", CONF, "--expdir", self.output)


class Seeds(Score):
    """Runs with several seeds."""

    def __init__(self, root, disk):
        super().__init__(root, disk)
        self.folds("score")
        for seed in (0, 1):
            shutil.copytree(self.output / "stl", self.output / f"stl_seed{seed}")
        for path in (self.output / "stl_seed1").glob("fold*/config.yaml"):
            path.write_text(path.read_text().replace("seed: 0", "seed: 1"))
        self.argv = ("seeds", "--system", "stl", "--conf", CONF, "--expdir", self.output, "--seeds", "0 1")


class Synthesize:
    """A spoken release."""

    def __init__(self, root, disk):
        self.output = disk / "release"
        self.argv = ("synthesize", "--output", self.output, "--num_utts", "20", "--audio", "noise")


STAGES = [Prepare, Tokens, Select, Score, Report, Seeds, Synthesize]
