"""A recipe's folders with one tiny fold, and its commands as run.sh calls them."""

import pytest
import yaml
from checkout import ROOT
from tiny import save_encoder, write_fold

from espnet_ser.bin import main as commands
from espnet_ser.model_io.load import load_model

CONF = ROOT / "conf"
SYSTEM = "asr_gender_skip__ser"


def run(*argv):
    commands.main([str(argument) for argument in argv])


class Recipe:
    """A recipe's folders with one fold, up to stage 2."""

    def __init__(self, root, test_session="1"):
        self.root = root
        self.datadir = write_fold(root, test_session)
        self.encoder = save_encoder(root / "encoder")
        self.config = root / "train.yaml"
        self.config.write_text(
            yaml.safe_dump({"max_epoch": 2, "batch_size": 4, "optim": "adamw", "optim_conf": {"lr": 1e-3}, "num_workers": 0})
        )
        run("tokens", "--datadir", self.datadir, "--dumpdir", root / "dump")

    def where(self, system=SYSTEM):
        return ("--system", system, "--conf", CONF, "--datadir", self.datadir, "--expdir", self.root / "exp")

    def with_what(self):
        configs = ("--stage1_config", self.config, "--stage2_config", self.config)
        return ("--dumpdir", self.root / "dump", "--ssl", self.encoder, *configs)

    def train(self, stage, *more, system=SYSTEM):
        """``--args X`` among the further options is for both finetunings."""
        more = list(more)
        if "--args" in more:
            place = more.index("--args")
            more[place : place + 2] = ["--stage1_args", more[place + 1], "--stage2_args", more[place + 1]]
        run("train", "--stage", stage, *self.where(system), *self.with_what(), *more)

    def freeze(self, frozen):
        """Has frozen layers be ``alive`` or ``constant`` in what follows."""
        self.config.write_text(self.config.read_text() + f"frozen: {frozen}\n")

    def select(self, system=SYSTEM):
        run("select", *self.where(system))

    def model(self, name, fold="1"):
        return load_model(self.root / "exp" / name / f"fold{fold}")


def refused(capsys, *arguments, call):
    """The one line with which a command ends."""
    with pytest.raises(SystemExit) as error:
        call(*arguments)
    message = str(error.value.code)
    assert message.startswith("espnet-ser "), message
    assert "\n" not in message
    return message
