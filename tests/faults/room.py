"""The folder of one case of bad input: what a command reads is put into it sound, and then spoilt."""

import shutil
from functools import cached_property
from pathlib import Path

import yaml
from release_maker import Release, make_release
from tiny import save_encoder, write_fold
from tiny_recipe import CONF


class Room:
    """Makes what a case asks for, and the command lines that read it.

    Args:
        root: An empty folder.
        made: A folder that all cases share, for what takes long to make.
    """

    def __init__(self, root: Path, made: Path):
        self.root, self.made = root, made

    @cached_property
    def release(self) -> Release:
        return make_release(self.root / "release")

    def prepare(self, *more, of=None):
        of = self.release.root if of is None else of
        return ("prepare", "--iemocap", of, "--datadir", self.root / "data", "--nj", "1", *more)

    @cached_property
    def datadir(self) -> Path:
        return write_fold(self.root)

    @property
    def train(self) -> Path:
        return self.datadir / "fold1" / "train"

    def tokens(self, *more):
        return ("tokens", "--datadir", self.datadir, "--dumpdir", self.root / "dump", *more)

    @cached_property
    def encoder(self) -> Path:
        if not (self.made / "encoder").exists():
            save_encoder(self.made / "encoder")
        return Path(shutil.copytree(self.made / "encoder", self.root / "encoder"))

    @cached_property
    def conf(self) -> Path:
        return Path(shutil.copytree(CONF, self.root / "conf"))

    def system(self, text: str | bytes):
        """A system's file with this content, and the command that reads it."""
        path = self.conf / "systems" / "mine.yaml"
        path.write_bytes(text if isinstance(text, bytes) else text.encode())
        return ("systems", "--conf", self.conf, "--system", "mine")

    def training(self, *more, config: dict | str | bytes | None = None, system="stl"):
        """The training of a system of one finetuning, with these settings in its configuration."""
        path = self.root / "train.yaml"
        if isinstance(config, str | bytes):
            path.write_bytes(config if isinstance(config, bytes) else config.encode())
        else:
            path.write_text(yaml.safe_dump({"max_epoch": 1, "num_workers": 0, **(config or {})}))
        places = ("--datadir", self.datadir, "--dumpdir", self.root / "dump", "--expdir", self.root / "exp")
        which = ("--system", system, "--conf", CONF, "--stage", "ser", "--ssl", self.encoder)
        return ("train", *which, *places, "--stage2_config", path, *more)

    def experiment(self, name: str) -> Path:
        """A copy of ``data`` and ``exp`` of a system, as ``made/<name>`` has them; returns ``exp``."""
        shutil.copytree(self.made / name, self.root, dirs_exist_ok=True)
        return self.root / "exp"

    def stage(self, command: str, *more, system="stl"):
        """A command on what :meth:`experiment` has put here."""
        places = ("--datadir", self.root / "data", "--expdir", self.root / "exp")
        return (command, "--system", system, "--conf", CONF, *places, *more)


def put(path: Path, content: bytes | str) -> None:
    """Replaces a file's content."""
    path.write_bytes(content if isinstance(content, bytes) else content.encode())


def cut(path: Path, num_bytes: int = 0) -> None:
    """Keeps the beginning of a file alone: by default its first half."""
    content = path.read_bytes()
    path.write_bytes(content[: num_bytes or len(content) // 2])
